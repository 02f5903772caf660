//! A Redis for one run of the tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::Result;

use super::server::{Life, Server, running};
use super::{folder, program};
use crate::kafka::free_port;

const URL: &str = "REDIS_URL";
/// The program, for tests that start a Redis of their own.
const PROGRAM: &str = "REDIS_SERVER";

/// The Redis that REDIS_URL names, or one on a free port with a data folder of
/// its own, gone when this is dropped or when this process ends in any way.
pub struct ForTests {
    program: PathBuf,
    url: String,
    owned: Option<(Child, PathBuf)>,
}

impl ForTests {
    /// Starts it, unless one is named, and waits until it answers.
    ///
    /// # Errors
    /// When there is no Redis and it cannot be downloaded, or it does not come up.
    pub fn start() -> Result<ForTests> {
        let program = match env::var_os(PROGRAM) {
            Some(named) => named.into(),
            None => program::find()?,
        };
        if let Ok(url) = env::var(URL) {
            eprintln!("Using the Redis that {URL} names");
            return Ok(ForTests { program, url, owned: None });
        }
        let runs = folder().join("runs");
        sweep(&runs);
        let data = runs.join(std::process::id().to_string());
        fs::create_dir_all(&data)?;
        let data = data.canonicalize()?;
        let server = Server { program, data, port: free_port()? };
        let child = server.launch(Life::OfThisProcess)?;
        let Server { program, data, port } = server;
        let url = format!("redis://127.0.0.1:{port}");
        eprintln!("Redis ({}) is ready on {url}", program.display());
        Ok(ForTests { program, url, owned: Some((child, data)) })
    }

    /// Tells a test program where Redis is.
    pub fn tell(&self, command: &mut Command) {
        command.env(URL, &self.url).env(PROGRAM, &self.program);
    }
}

impl Drop for ForTests {
    fn drop(&mut self) {
        if let Some((child, data)) = &mut self.owned {
            let _ = child.kill();
            let _ = child.wait();
            let _ = fs::remove_dir_all(data);
        }
    }
}

/// Removes the folders of runs that were killed.
fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else {
        return;
    };
    for data in entries.flatten().map(|entry| entry.path()) {
        if data.canonicalize().is_ok_and(|data| running(&data).is_none()) {
            let _ = fs::remove_dir_all(&data);
        }
    }
}
