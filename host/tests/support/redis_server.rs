//! A Redis of one test's own, to be killed and frozen.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::wait::until;

/// Ends with the value, or with the test's process.
pub struct RedisServer {
    data: TempDir,
    port: u16,
    process: Child,
}

impl RedisServer {
    pub fn start() -> RedisServer {
        let data = tempfile::Builder::new().prefix("gregor-redis-").tempdir().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let process = launch(&data, port);
        RedisServer { data, port, process }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL, as a crash would end it.
    pub fn kill9(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("its end");
    }

    /// Starts it again, after [`RedisServer::kill9`], on the data that it has.
    pub fn restart(&mut self) {
        self.process = launch(&self.data, self.port);
    }

    /// Stops the process where it stands, until [`RedisServer::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).expect("it runs");
    }
}

/// Every write is on its disk before it is answered: a crash loses none.
fn launch(data: &TempDir, port: u16) -> Child {
    let program = std::env::var("REDIS_SERVER").expect("these tests start a Redis: run `cargo xtask test`");
    // It ends with the pipe, so with this process, however that ends.
    let script = "exec 3<&0; (read -r _ <&3; kill -KILL $$ 2>&-) & exec \"$@\" 3<&- </dev/null";
    let process = Command::new("sh")
        .args(["-c", script, "sh", &program, "--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(data.path())
        .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a Redis");
    until("Redis listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    process
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It ended already where it was killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
