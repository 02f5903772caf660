//! A broker of one test's own, to be killed and frozen.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::kafka::Kafka;

/// Ends with the value, or with the test's process.
pub struct Broker {
    data: TempDir,
    port: u16,
    process: Process,
}

/// `cargo xtask kafka start --attached`, which ends with its standard input.
struct Process {
    xtask: Child,
    broker: Pid,
}

impl Broker {
    pub fn start() -> Broker {
        let data = tempfile::Builder::new().prefix("gregor-broker-").tempdir().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let process = Process::start(&data, port);
        Broker { data, port, process }
    }

    /// SIGKILL, as a crash would end it.
    pub fn kill9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.process.xtask.wait().expect("the broker's end");
    }

    /// Starts it again, after [`Broker::kill9`], on the data that it has.
    pub fn restart(&mut self) {
        self.process = Process::start(&self.data, self.port);
    }

    /// Stops the process where it stands, until [`Broker::thaw`]: it keeps its
    /// connections and answers nobody.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Clients of it, for as long as the test's process lives.
    pub fn connect(&self) -> &'static Kafka {
        Box::leak(Box::new(Kafka::connect(&format!("127.0.0.1:{}", self.port))))
    }

    fn signal(&self, signal: Signal) {
        kill(self.process.broker, signal).expect("the broker lives");
    }
}

impl Process {
    fn start(data: &TempDir, port: u16) -> Process {
        let mut xtask = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "kafka", "start", "--attached"])
            .args(["--heap", "512m", "--port", &port.to_string(), "--data"])
            .arg(data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo runs");
        let lines = BufReader::new(xtask.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        // To the report's last line: it is not to be printed into a closed pipe.
        let report: Vec<String> = lines.take_while(|line| !line.trim().starts_with("data")).collect();
        let pid = report.iter().find_map(|line| line.trim().strip_prefix("pid")?.trim().parse().ok());
        Process { xtask, broker: Pid::from_raw(pid.expect("the broker starts: see above")) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ended already where the broker was killed.
        drop(self.xtask.stdin.take());
        let _ = self.xtask.wait();
    }
}
