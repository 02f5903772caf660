//! A Redis of a test's own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use super::*;

pub struct Server {
    child: Option<Child>,
    args: Vec<String>,
    pub port: u16,
    /// Its data, removed with it.
    dir: tempfile::TempDir,
}

impl Server {
    /// With further options, as its command line takes them; `DIR` in them
    /// stands for its folder, `PORT` for its port.
    pub fn start(options: &str) -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), options)
    }

    pub fn start_in(dir: tempfile::TempDir, options: &str) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = dir.path().to_str().unwrap().to_owned();
        let options = options.replace("DIR", &folder).replace("PORT", &port.to_string());
        let port_option = if options.contains("--tls-port") { "--port 0".into() } else { format!("--port {port}") };
        let args = format!("{port_option} --bind 127.0.0.1 --dir {folder} --appendonly yes {options}");
        let args = args.split_whitespace().chain(["--save", ""]).map(str::to_owned).collect();
        let mut server = Server { child: None, args, port, dir };
        server.resume();
        server
    }

    /// Starts it once more, with the data it had.
    pub fn resume(&mut self) {
        let program = env::var("REDIS_SERVER").expect("REDIS_SERVER is not set: run the tests with `cargo xtask test`");
        // It ends with the pipe, so with this process, however that ends.
        let mut shell = Command::new("sh");
        shell
            .args([
                "-c",
                "exec 3<&0; (read -r _ <&3; kill -KILL $$ 2>&-) & exec \"$@\" 3<&- </dev/null",
                "sh",
                &program,
            ])
            .args(&self.args);
        let printed = self.dir.path().join("redis.out");
        let log = fs::File::create(&printed).unwrap();
        let child = self.child.insert(shell.stdin(Stdio::piped()).stdout(log).spawn().unwrap());
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let runs = child.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(20);
            assert!(runs, "{program} does not start: {}", fs::read_to_string(&printed).unwrap());
            sleep(Duration::from_millis(10));
        }
    }

    /// As a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &pid]).status().unwrap().success());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
