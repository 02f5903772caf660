//! A running host: a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde_json::Value;

use super::code;
use super::wait::{PATIENCE, eventually, until};

/// Lines of the log that a failing test shows.
const TAIL: usize = 40;
/// Of a command that may compile a version first, which has two minutes.
const COMMAND: Duration = Duration::from_secs(180);
/// Of one question to the admin server.
const ANSWER: Duration = Duration::from_secs(10);

/// A `gregor run`; ended with the value, its log shown if a test fails.
pub struct Host {
    child: Child,
    id: String,
    log: PathBuf,
    /// Where it keeps its data, and so what it compiles; none where that was there before.
    new_data: Option<PathBuf>,
    /// Of its admin server, where the environment sets one.
    token: Option<String>,
}

impl Host {
    /// Starts `gregor run` on `config` as the host `id`, whose data is in a
    /// folder of its own.
    pub fn spawn(config: &Path, id: &str, arguments: &[&str]) -> Host {
        Host::spawn_with(config, id, arguments, &[])
    }

    /// As [`Host::spawn`], with more of an environment.
    pub fn spawn_with(config: &Path, id: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Host {
        Host::spawn_by(Command::new(env!("CARGO_BIN_EXE_gregor")), config, id, arguments, environment)
    }

    /// As [`Host::spawn`], for a host whose disk [`Host::fill_disk`] fills: past
    /// its limit a write fails, instead of ending the process.
    pub fn spawn_on_small_disk(config: &Path, id: &str) -> Host {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_gregor")]);
        Host::spawn_by(shell, config, id, &[], &[])
    }

    /// As [`Host::spawn`], for a host whose files cannot grow past so many bytes.
    pub fn spawn_on_disk_of(config: &Path, id: &str, bytes: u64) -> Host {
        let mut shell = Command::new("sh");
        let limited = format!("trap '' XFSZ; exec prlimit --fsize={bytes}:unlimited \"$0\" \"$@\"");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_gregor")]);
        Host::spawn_by(shell, config, id, &[], &[])
    }

    fn spawn_by(
        mut gregor: Command,
        config: &Path,
        id: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Host {
        let log = config.with_file_name(format!("{}.log", super::unique()));
        let data = config.with_file_name(data_dir(id));
        let new_data = code::bring(config, &data).then_some(data);
        let file = File::create(&log).expect("the folder takes a log");
        let child = gregor
            .args(["--log-format", "json", "run", "--config"])
            .arg(config)
            .args(arguments)
            .env_remove("GREGOR_CONFIG")
            .env_remove("GREGOR_LOG")
            .env("GREGOR__HOST__ID", id)
            .env("GREGOR__HOST__DATA_DIR", data_dir(id))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the binary runs");
        let token = environment.iter().find(|(name, _)| *name == "GREGOR__HOST__ADMIN_TOKEN");
        Host { child, id: id.to_owned(), log, new_data, token: token.map(|(_, token)| (*token).to_owned()) }
    }

    /// Waits until every worker is a member of the group and reaches the broker.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        until(&format!("host {} is ready", self.id), || self.answers("/readyz"));
    }

    /// Whether a route of the admin server answers with 200.
    pub fn answers(&self, route: &str) -> bool {
        self.ask(route).is_some_and(|(status, _)| status == 200)
    }

    /// The status and body of a route of the admin server; `None` where it does
    /// not listen (yet).
    pub fn ask(&self, route: &str) -> Option<(u16, String)> {
        let address = self.admin()?;
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(ANSWER))
            .build()
            .into();
        let mut request = agent.get(format!("http://{address}{route}"));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// As [`Host::ask`], by a POST with the admin token and a body.
    #[track_caller]
    pub fn post(&self, route: &str, token: &str, body: &[u8]) -> (u16, Value) {
        let address = eventually("an admin server", || self.admin());
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(COMMAND))
            .build()
            .into();
        let request = agent.post(format!("http://{address}{route}")).header("authorization", format!("Bearer {token}"));
        let mut answer = request.header("expect", "100-continue").send(body).expect("the admin API answers");
        let text = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), serde_json::from_str(&text).expect("the API answers with JSON"))
    }

    /// CPU that the process has used.
    pub fn cpu(&self) -> Duration {
        let clock = ClockId::pid_cpu_clock_id(self.pid()).expect("the host runs");
        clock_gettime(clock).expect("its clock").into()
    }

    /// The most bytes that have been resident at once.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the host runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is told");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// Where the admin server listens, once the log says so.
    pub fn admin(&self) -> Option<String> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("\"admin server\""))?;
        let line: Value = serde_json::from_str(line).ok()?;
        Some(line["fields"]["address"].as_str()?.to_owned())
    }

    /// A JSON document of the API: `partitions`, `plugins`, `status`.
    #[track_caller]
    pub fn document(&self, name: &str) -> Value {
        let (_, body) = eventually("the admin API answers", || {
            self.ask(&format!("/api/v1/{name}")).filter(|(status, _)| *status == 200)
        });
        serde_json::from_str(&body).expect("the API answers with JSON")
    }

    /// Every partition of this host, as its API shows it.
    #[track_caller]
    pub fn partitions(&self) -> Vec<Value> {
        self.document("partitions").as_array().expect("a list").clone()
    }

    /// Whether this host has so many partitions.
    pub fn owns(&self, partitions: usize) -> bool {
        self.partitions().len() == partitions
    }

    /// The text of `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        eventually("metrics", || self.ask("/metrics").filter(|(status, _)| *status == 200)).1
    }

    /// The sum over the metrics named `name` whose labels hold all of `labels`,
    /// each as `key="value"`.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let named = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
                && labels.iter().all(|label| line.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
        self.metrics().lines().filter(named).filter_map(value).sum()
    }

    /// Everything written to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the host's log")
    }

    /// Waits until the log holds `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        until(&format!("the log of {} says {text:?}", self.id), || self.log().contains(text));
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the host lives");
    }

    /// The process that compiles for it at the moment.
    pub fn compiler(&self) -> Option<PathBuf> {
        let of_host = format!("PPid:\t{}\n", self.child.id());
        std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| Some(entry.ok()?.path())).find(|process| {
            let read = |name: &str| std::fs::read(process.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&read("status")).contains(&of_host)
                && String::from_utf8_lossy(&read("cmdline")).contains("compile-plugin")
        })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    /// Bytes of memory that the process has resident.
    #[track_caller]
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the host runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// SIGTERM, and waits for the end; its exit code.
    #[track_caller]
    pub fn term(&mut self) -> Option<i32> {
        self.signal(Signal::SIGTERM);
        self.wait_exit()
    }

    /// Whether the process has ended, of itself or by a signal.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the host's state").is_some()
    }

    /// SIGKILL: no last word, no commit.
    pub fn kill9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("the host's end");
    }

    /// Stops the process where it stands, until [`Host::thaw`].
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// No file of it grows any more, its log neither, until [`Host::free_disk`].
    pub fn fill_disk(&self) {
        self.limit_files("0");
    }

    pub fn free_disk(&self) {
        self.limit_files("unlimited");
    }

    fn limit_files(&self, bytes: &str) {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &self.child.id().to_string(), &format!("--fsize={bytes}:unlimited")]);
        assert!(prlimit.status().expect("prlimit, of util-linux").success(), "prlimit fails");
    }

    /// Waits for the end; the exit code, `None` for one by a signal.
    #[track_caller]
    pub fn wait_exit(&mut self) -> Option<i32> {
        self.wait_exit_within(PATIENCE)
    }

    /// As [`Host::wait_exit`], for work that takes longer.
    #[track_caller]
    pub fn wait_exit_within(&mut self, patience: Duration) -> Option<i32> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("the host's state") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "host {} did not end within {patience:?}", self.id);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The folder of a host's data, beside its configuration.
pub fn data_dir(id: &str) -> String {
    format!("data-{id}")
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("-- the last lines of host {}:", self.id);
            lines[lines.len().saturating_sub(TAIL)..].iter().for_each(|line| eprintln!("{line}"));
        }
        // Ended already where a test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(data) = &self.new_data {
            code::keep(data);
        }
    }
}
