//! `cargo xtask kafka stop`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::broker::{PID, running};
use crate::process::{self, Signal};

const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Stops the broker that `start` left on `data`, and no other process.
///
/// # Errors
/// When it is another user's.
pub fn run(data: &Path, kill: bool) -> Result<()> {
    let Some((data, pid)) = running_below(data) else {
        println!("no broker runs on {}", data.display());
        return Ok(());
    };
    process::signal(pid, if kill { Signal::Kill } else { Signal::Term })?;
    let asked = Instant::now();
    while running(&data).is_some() {
        if asked.elapsed() > STOPPED_WITHIN {
            eprintln!("still running after {} s: killing it", STOPPED_WITHIN.as_secs());
            process::signal(pid, Signal::Kill)?;
            sleep(Duration::from_secs(1));
            break;
        }
        sleep(PAUSE);
    }
    fs::remove_file(data.join(PID))?;
    println!("stopped the broker (pid {pid}) on {}", data.display());
    Ok(())
}

/// The folder's full name and its broker's pid; nothing when there is no folder or no broker.
fn running_below(data: &Path) -> Option<(PathBuf, u32)> {
    let data = data.canonicalize().ok()?;
    let pid = running(&data)?;
    Some((data, pid))
}
