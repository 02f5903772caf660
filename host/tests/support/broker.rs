//! Brokers of one test's own, to be killed and frozen.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::kafka::Kafka;

/// Ends with the value, or with the test's process.
pub struct Broker {
    data: TempDir,
    port: u16,
    /// Properties (`name=value`) that differ from those of the tests' brokers.
    set: Vec<String>,
    process: Process,
}

/// `cargo xtask kafka start --attached`, which ends with its standard input.
struct Process {
    xtask: Child,
    broker: Pid,
}

/// How soon a broker that is gone is missed, and may come back: not for brokers
/// that others share, which a busy machine would keep from their heartbeats.
const MISSED_SOON: [&str; 2] = ["broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=500"];
/// Of a cluster of two: each partition on both, and one is enough to go on.
const OF_TWO: [&str; 3] = [
    "default.replication.factor=2",
    "offsets.topic.replication.factor=2",
    "transaction.state.log.replication.factor=2",
];

impl Broker {
    pub fn start() -> Broker {
        Broker::start_with(&[])
    }

    /// Two brokers of one cluster; the first one, number 1, is its controller.
    pub fn start_two() -> (Broker, Broker) {
        let first = Broker::start_with(&OF_TWO);
        let properties = fs::read_to_string(first.data.path().join("server.properties")).expect("its properties");
        let voters = properties.lines().find(|line| line.starts_with("controller.quorum.voters=")).expect("its voters");
        let port = free_port();
        let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
        let own = ["process.roles=broker", "node.id=2", voters, &listeners, &format!("advertised.{listeners}")];
        let second = Broker::start_on(port, &[&OF_TWO[..], &own].concat());
        (first, second)
    }

    /// With further properties, each `name=value`.
    pub fn start_with(set: &[&str]) -> Broker {
        Broker::start_on(free_port(), set)
    }

    fn start_on(port: u16, set: &[&str]) -> Broker {
        let data = tempfile::Builder::new().prefix("gregor-broker-").tempdir().expect("a temporary folder");
        let set: Vec<String> = MISSED_SOON.iter().chain(set).map(|&property| property.to_owned()).collect();
        let process = Process::start(&data, port, &set);
        Broker { data, port, set, process }
    }

    /// SIGKILL, as a crash would end it.
    pub fn kill9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.process.xtask.wait().expect("the broker's end");
    }

    /// Starts it again, after [`Broker::kill9`], on the data that it has.
    pub fn restart(&mut self) {
        self.process = Process::start(&self.data, self.port, &self.set);
    }

    /// Stops the process where it stands, until [`Broker::thaw`]: it keeps its
    /// connections and answers nobody.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kafka's kafka-acls, as in `--add --deny-principal User:ANONYMOUS --operation Write --topic sink`.
    pub fn acls(&self, arguments: &str) {
        let mut xtask = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        xtask
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "kafka", "acls"])
            .args(arguments.split(' '))
            .env("KAFKA_BOOTSTRAP", format!("127.0.0.1:{}", self.port))
            .stdout(Stdio::null());
        assert!(xtask.status().expect("cargo runs").success(), "kafka-acls {arguments}");
    }

    /// Clients of it, for as long as the test's process lives.
    pub fn connect(&self) -> &'static Kafka {
        Box::leak(Box::new(Kafka::connect(&format!("127.0.0.1:{}", self.port))))
    }

    /// The file that holds the first records of a partition.
    pub fn segment(&self, topic: &str, partition: i32) -> PathBuf {
        let wanted = format!("{topic}-{partition}");
        let mut folders = vec![self.data.path().to_owned()];
        while let Some(folder) = folders.pop() {
            let below = fs::read_dir(&folder).expect("the broker's folder").flatten().map(|entry| entry.path());
            for path in below.filter(|path| path.is_dir()) {
                match path.file_name().is_some_and(|name| *name == *wanted) {
                    true => return path.join("00000000000000000000.log"),
                    false => folders.push(path),
                }
            }
        }
        panic!("the broker has no {wanted}")
    }

    fn signal(&self, signal: Signal) {
        kill(self.process.broker, signal).expect("the broker lives");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Process {
    fn start(data: &TempDir, port: u16, set: &[String]) -> Process {
        let mut xtask = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "kafka", "start", "--attached"])
            .args(["--heap", "512m", "--port", &port.to_string(), "--data"])
            .arg(data.path())
            .args(set.iter().flat_map(|property| ["--set", property]))
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

/// A broker that lets in only those who may: for logins over plain connections, and
/// for TLS without a login. Its third listener is the tests' own.
pub struct Guarded {
    broker: Broker,
    login: u16,
    tls: u16,
}

impl Broker {
    /// `pem`: key and certificate of its TLS listener. The user `owner` may do all, the
    /// user `stranger` nothing; both have this password.
    pub fn start_guarded(pem: &str, owner: &str, stranger: &str, password: &str) -> Guarded {
        let data = tempfile::Builder::new().prefix("gregor-broker-").tempdir().expect("a temporary folder");
        let keystore = data.path().join("broker.pem");
        fs::write(&keystore, pem).expect("the folder takes a file");
        let [plain, login, tls, controller] = [(); 4].map(|()| free_port());
        let listeners = format!(
            "PLAINTEXT://127.0.0.1:{plain},LOGIN://127.0.0.1:{login},TLS://localhost:{tls},CONTROLLER://127.0.0.1:{controller}"
        );
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let set = [
            format!("listeners={listeners}"),
            format!("advertised.listeners={listeners}"),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL"
                .into(),
            "sasl.enabled.mechanisms=PLAIN".into(),
            format!(
                "listener.name.login.plain.sasl.jaas.config={module} user_{owner}=\"{password}\" user_{stranger}=\"{password}\";"
            ),
            "listener.name.tls.ssl.keystore.type=PEM".into(),
            format!("listener.name.tls.ssl.keystore.location={}", keystore.display()),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".into(),
            format!("super.users=User:ANONYMOUS;User:{owner}"),
        ];
        let set: Vec<String> = MISSED_SOON.iter().map(|&property| property.to_owned()).chain(set).collect();
        let process = Process::start(&data, plain, &set);
        Guarded { broker: Broker { data, port: plain, set, process }, login, tls }
    }
}

impl Guarded {
    /// Clients of the listener that lets everybody in.
    pub fn kafka(&self) -> &'static Kafka {
        self.broker.connect()
    }

    /// Starts it again, its users now with another password.
    pub fn change_password(&mut self, old: &str, new: &str) {
        self.broker.kill9();
        for property in &mut self.broker.set {
            *property = property.replace(&format!("{old:?}"), &format!("{new:?}"));
        }
        self.broker.restart();
    }

    /// Where it takes logins.
    pub fn login(&self) -> String {
        format!("127.0.0.1:{}", self.login)
    }

    /// Where it takes TLS.
    pub fn tls(&self) -> String {
        format!("localhost:{}", self.tls)
    }
}
