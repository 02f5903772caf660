//! One Redis: its data folder, its process, and whether it runs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::command;
use crate::process::{self, Signal};

pub const CONFIG: &str = "redis.conf";
const LOG: &str = "redis.out";
const READY_WITHIN: Duration = Duration::from_secs(20);
const INSTALL: &str = "install redis-server";

/// How long it runs.
#[derive(Clone, Copy)]
pub enum Life {
    /// Until it is stopped.
    OfItsOwn,
    /// Until this process ends, or closes the pipe to it.
    OfThisProcess,
}

/// A Redis to be started.
pub struct Server {
    pub program: PathBuf,
    /// The data folder's full name: a running Redis is recognised by it.
    pub data: PathBuf,
    /// On 127.0.0.1.
    pub port: u16,
}

impl Server {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it ends or hangs before: what it printed is then in the error.
    pub fn launch(&self, life: Life) -> Result<Child> {
        let config = self.data.join(CONFIG);
        fs::write(&config, configuration(self.port, &self.data))?;
        let program = self.program.to_string_lossy();
        let mut command = match life {
            Life::OfItsOwn => {
                let mut server = Command::new(&self.program);
                // A group of its own: neither Ctrl-C nor the end of the terminal reaches it.
                server.stdin(Stdio::null()).process_group(0);
                server
            }
            // Killed rather than asked: nobody reads its data again.
            Life::OfThisProcess => process::tied(&program, Signal::Kill),
        };
        let log = File::create(self.data.join(LOG))?;
        command.arg(&config).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().map_err(|error| command::not_started(&command, INSTALL, error))?;
        let since = Instant::now();
        while running(&self.data).is_none() {
            let printed = || fs::read_to_string(self.data.join(LOG)).unwrap_or_default();
            if let Some(status) = child.try_wait()? {
                bail!("`{program}` ended ({status}) before it was ready:\n{}", printed());
            }
            if since.elapsed() > READY_WITHIN {
                child.kill()?;
                bail!("`{program}` was not ready within {} s and was killed:\n{}", READY_WITHIN.as_secs(), printed());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(child)
    }
}

/// What survives a kill, without snapshots that would take time from the tests.
fn configuration(port: u16, data: &Path) -> String {
    format!("bind 127.0.0.1\nport {port}\ndir \"{}\"\nappendonly yes\nsave \"\"\n", data.display())
}

/// Pid and port of the Redis that runs on `data`, if one does.
pub fn running(data: &Path) -> Option<(u32, u16)> {
    let config = data.join(CONFIG);
    let text = fs::read_to_string(&config).ok()?;
    let port = field(text.lines(), "port ")?.parse().ok()?;
    let lines = info(port).ok()?;
    let lines = || lines.iter().map(String::as_str);
    // Another Redis may have the port.
    let ours = field(lines(), "config_file:").is_some_and(|file| Path::new(file) == config);
    let pid = field(lines(), "process_id:")?.parse().ok()?;
    ours.then_some((pid, port))
}

/// What the Redis at a port says about itself.
fn info(port: u16) -> std::io::Result<Vec<String>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"INFO server\r\nQUIT\r\n")?;
    BufReader::new(stream).lines().collect()
}

fn field<'a>(mut lines: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    lines.find_map(|line| line.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::free_port;
    use crate::redis::program;

    #[test]
    fn a_redis_is_known_by_its_folder_while_it_runs() -> Result<()> {
        let data = crate::redis::folder().join(format!("runs/test-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        let data = data.canonicalize()?;
        let server = Server { program: program::find()?, port: free_port()?, data: data.clone() };
        assert_eq!(running(&data), None);
        let mut child = server.launch(Life::OfThisProcess)?;
        assert_eq!(running(&data), Some((child.id(), server.port)));
        fs::write(data.join(CONFIG), configuration(server.port, &data.join("another")))?;
        assert_eq!(running(&data.join("another")), None);
        child.kill()?;
        child.wait()?;
        assert_eq!(running(&data), None);
        fs::remove_dir_all(&data)?;
        Ok(())
    }

    #[test]
    fn a_program_that_ends_is_told_with_what_it_said() -> Result<()> {
        let data = crate::redis::folder().join(format!("runs/ends-{}", std::process::id()));
        fs::create_dir_all(&data)?;
        let server = Server { program: "cat".into(), port: free_port()?, data: data.canonicalize()? };
        let error = server.launch(Life::OfThisProcess).map(|_| ()).map_err(|error| error.to_string());
        fs::remove_dir_all(&data)?;
        assert!(error.is_err_and(|error| error.contains("before it was ready:\nbind 127.0.0.1")));
        Ok(())
    }
}
