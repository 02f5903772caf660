//! One broker: its data folder, its process, and whether it runs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{JAVA, properties};
use crate::command;
use crate::process::{self, Signal};

/// Kafka wants 16 bytes in base64; every data folder is a cluster of its own.
const CLUSTER: &str = "R3JlZ29yU2Ftc2FLYWZrYQ";
pub const PROPERTIES: &str = "server.properties";
pub const PID: &str = "broker.pid";
const LOG: &str = "broker.out";
const READY_WITHIN: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// How long a broker runs.
#[derive(Clone, Copy)]
pub enum Life {
    /// Until it is stopped.
    OfItsOwn,
    /// Until this process ends, or closes the pipe to it.
    OfThisProcess,
}

/// A broker to be started.
pub struct Broker<'a> {
    pub libs: PathBuf,
    /// The data folder's full name: a running broker is recognised by it.
    pub data: PathBuf,
    /// On 127.0.0.1; the controller takes any free port.
    pub port: u16,
    /// Largest heap, as Java's `-Xmx` takes it.
    pub heap: &'a str,
    /// Further properties, `name=value`.
    pub set: &'a [String],
}

impl Broker<'_> {
    /// Writes the properties and, into a new folder, the cluster's identity.
    fn format(&self) -> Result<()> {
        let text = properties::text(self.port, free_port()?, &self.data, self.set);
        fs::write(self.data.join(PROPERTIES), text)?;
        if self.data.join("log/meta.properties").exists() {
            return Ok(());
        }
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg("-cp")
            .arg(self.libs.join("*"))
            .args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config"])
            .arg(self.data.join(PROPERTIES));
        let output = java.output().map_err(|error| command::not_started(&java, JAVA, error))?;
        if !output.status.success() {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            bail!("Kafka could not format {}:\n{out}{err}", self.data.display());
        }
        Ok(())
    }

    /// Starts the broker and waits until it answers.
    ///
    /// # Errors
    /// When Java is missing, or the broker ends or hangs before it is ready:
    /// its last lines are then in the error.
    pub fn launch(&self, life: Life) -> Result<Child> {
        self.format()?;
        let mut command = match life {
            Life::OfItsOwn => {
                let mut java = Command::new("java");
                // A group of its own: neither Ctrl-C nor the end of the terminal reaches it.
                java.stdin(Stdio::null()).process_group(0);
                java
            }
            // Killed rather than asked: nobody reads its data again.
            Life::OfThisProcess => process::tied("java", Signal::Kill),
        };
        let log = File::create(self.data.join(LOG))?;
        command.stdout(log.try_clone()?).stderr(log);
        command.args(self.java_args());
        let mut child = command.spawn().map_err(|error| command::not_started(&command, JAVA, error))?;
        fs::write(self.data.join(PID), child.id().to_string())?;
        self.wait_until_ready(&mut child)?;
        Ok(child)
    }

    fn java_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = [
            "-Xms256m",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-Djava.awt.headless=true",
            "-Dlog4j2.disable.jmx=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            // Its one line at `info` tells that the broker has started.
            "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
        ]
        .map(OsString::from)
        .into();
        args.push(format!("-Xmx{}", self.heap).into());
        args.push("-cp".into());
        args.push(self.libs.join("*").into());
        args.push("kafka.Kafka".into());
        args.push(self.data.join(PROPERTIES).into());
        args
    }

    fn wait_until_ready(&self, child: &mut Child) -> Result<()> {
        let since = Instant::now();
        loop {
            let out = fs::read_to_string(self.data.join(LOG)).unwrap_or_default();
            if out.contains("Kafka Server started") && listening(self.port) {
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                bail!("the broker ended ({status}) before it was ready:\n{}", self.last_lines()?);
            }
            if since.elapsed() > READY_WITHIN {
                child.kill()?;
                bail!(
                    "the broker was not ready within {} s and was killed:\n{}",
                    READY_WITHIN.as_secs(),
                    self.last_lines()?
                );
            }
            sleep(PAUSE);
        }
    }

    /// The end of what the broker has printed, at most 4 KiB.
    fn last_lines(&self) -> Result<String> {
        let mut log = File::open(self.data.join(LOG))?;
        let start = log.metadata()?.len().saturating_sub(4096);
        log.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        log.read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    }
}

/// The pid of the broker that runs on `data`, if one does.
pub fn running(data: &Path) -> Option<u32> {
    let pid = fs::read_to_string(data.join(PID)).ok()?.trim().parse().ok()?;
    // A pid may have gone to another process since.
    let ours = format!("kafka.Kafka {}", data.join(PROPERTIES).display());
    process::command_line(pid).is_some_and(|line| line.contains(&ours)).then_some(pid)
}

/// Whether anything accepts connections on the port of 127.0.0.1.
pub fn listening(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::TimedOut,
    }
}

/// A port of 127.0.0.1 that nothing uses yet.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
