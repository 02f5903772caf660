//! A broker for one run of one command.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::Result;

use super::broker::{Broker, Life, free_port, running};
use super::{folder, jars, lock_start};

/// A broker for one run of one command: on free ports, with a data folder
/// of its own, gone when this is dropped or when this process ends in any way.
pub struct Owned {
    child: Child,
    data: PathBuf,
    port: u16,
}

impl Owned {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When Java or Maven is missing, or the broker does not come up.
    pub fn start() -> Result<Owned> {
        let libs = jars::fetch()?;
        let _alone = lock_start()?;
        let runs = folder().join("runs");
        sweep(&runs);
        let data = runs.join(std::process::id().to_string());
        fs::create_dir_all(&data)?;
        let data = data.canonicalize()?;
        let broker = Broker { libs, data, port: free_port()?, heap: "1g", set: &[] };
        let child = broker.launch(Life::OfThisProcess)?;
        let owned = Owned { child, port: broker.port, data: broker.data };
        eprintln!("Kafka {} is ready on {}", jars::version(), owned.bootstrap());
        Ok(owned)
    }

    /// Its address, for KAFKA_BOOTSTRAP.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// Removes the folders of runs that were killed.
fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else {
        return;
    };
    for data in entries.flatten().map(|entry| entry.path()) {
        if running(&data).is_none() {
            let _ = fs::remove_dir_all(&data);
        }
    }
}
