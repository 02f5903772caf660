//! The configuration of a host: one TOML file, `gregor.toml`, with overrides
//! from the environment.
//!
//! ```text
//! gregor.toml ─► document   every value with its place
//!      variables ─► env     put in as if the file held them
//!                  parts    each table, key by key; kind and quantity judge the values
//!                  check    contradictions between keys
//!                    └────► a Config, or all problems
//! ```
//!
//! Every value carries its place from the first step to the last, so that any
//! problem names the line or the variable that holds it. Nothing stops at the
//! first problem: a user repairs a file once.
//!
//! Keys in the file are the fields below in kebab case (`data_dir` is
//! `data-dir`). Durations are written with their unit (`"200ms"`, `"1s"`,
//! `"5m"`), sizes likewise (`"64MiB"`, `"1GiB"`).

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod check;
mod document;
mod env;
mod error;
mod kafka;
mod kind;
mod machine;
mod parts;
mod quantity;
mod read;
mod risk;
mod signer;
mod stage;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, ConfigErrors, Place, Severity};
pub use kafka::KafkaProperties;
pub use quantity::stage_memory;
pub use signer::public_key;
pub use stage::{Backend, Isolation, Limits, LogLevel, OnFailure, OnMismatch, Retry, Stage, State};

use crate::files::foreign;

/// Largest configuration file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Everything a host is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The application's name: group id, prefix of transactional ids and
    /// namespace of its state. Required; `[a-z0-9][a-z0-9-]{0,62}`.
    pub app: String,
    /// The client's properties as `[kafka]` gives them. `bootstrap.servers`
    /// is always there.
    pub kafka: KafkaProperties,
    /// `[host]`: this process.
    pub host: Host,
    /// `[delivery]`: what a crash may cost.
    pub delivery: Delivery,
    /// `[plugins]`: where plugins are found and which are accepted.
    pub plugins: Plugins,
    /// `[redis]`: where stages with the backend redis keep their entries.
    /// Always there when one has it.
    pub redis: Option<Redis>,
    /// `[[pipeline]]`, in the file's order. At least one; names are unique.
    pub pipelines: Vec<Pipeline>,
    /// What is risky and was taken all the same, those of the file first and by line.
    pub warnings: Vec<ConfigError>,
}

/// One process, its workers and its admin server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The name of this host, unique in its group. Default: the machine's
    /// name, or `gregor` where that is unknown. `[A-Za-z0-9._-]`, at most 128.
    pub id: String,
    /// Consumer-group members in this process: 1 to 256. Default: the
    /// available cores, at most 4.
    pub workers: usize,
    /// Whether members keep their place in the group while they are away for
    /// less than the session's timeout (KIP-345). Default: false.
    pub static_membership: bool,
    /// Folder of state, compiled plugins and the audit log. Default: `data`
    /// beside the config file.
    pub data_dir: PathBuf,
    /// Address of the admin server; `None` where the file says `"off"`.
    /// Default: `127.0.0.1:9640`.
    pub admin: Option<SocketAddr>,
    /// Token that the admin server asks for. Required where `admin` is not a
    /// loopback address. Default: none.
    pub admin_token: Option<Secret>,
    /// Names by which the admin server is asked, besides its address and those of
    /// loopback. Default: none.
    pub admin_hosts: Vec<String>,
    /// Whether the networks of this host are trusted: the admin server may be
    /// reached without TLS from other machines, and secrets may go to brokers
    /// and Redis without it. Default: false.
    pub insecure: bool,
    /// Most plugin instances alive at once, over all tasks: 1 to 10,000.
    /// Default: 256.
    pub max_instances: u32,
    /// Longest wait for the brokers and the source topics at start: 1 s to
    /// 1 h. Default: 30 s.
    pub start_timeout: Duration,
    /// Longest time from the stop signal to the end of the process: 1 s to
    /// 10 min. Default: 10 s.
    pub shutdown_timeout: Duration,
}

/// What a crash may cost, and how often offsets are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Default: at least once.
    pub guarantee: Guarantee,
    /// Longest time between two commits of a worker: 10 ms to 60 s.
    /// Default: 200 ms.
    pub commit_interval: Duration,
}

/// Which outputs a reader of the sink may see after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guarantee {
    /// None lost; some may come twice.
    AtLeastOnce,
    /// None lost and none twice, for readers of committed records.
    ExactlyOnce,
}

/// Where plugins are found and which are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    /// The watched folder. Default: `plugins` beside the config file.
    pub dir: PathBuf,
    /// Largest plugin accepted, in bytes: 1 KiB to 1 GiB. Default: 64 MiB.
    pub max_size: u64,
    /// Public keys whose signatures are accepted; where it is not empty,
    /// unsigned plugins are refused. Default: empty.
    pub trusted_keys: Vec<wasmsign2::PublicKey>,
    /// Longest compilation of a version: 1 s to 1 h. Default: 2 min.
    pub compile_timeout: Duration,
    /// Most address space that a compilation takes, in bytes: 256 MiB to
    /// 1 TiB. Default: 4 GiB.
    pub compile_memory: u64,
    /// Versions kept of each plugin, the one in force among them: 1 to 100.
    /// Default: 5.
    pub keep_versions: usize,
    /// When a new version is rolled back by itself.
    pub probation: Probation,
    /// Longest call of a version's `migrate`, and of all of a worker's in a
    /// swap: 10 ms to 2 min. Default: 10 s.
    pub migrate_timeout: Duration,
    /// What becomes of a partition that another host processed last, by a
    /// version that this one does not know. Default: it waits.
    pub unknown_versions: UnknownVersions,
}

/// What becomes of a partition whose last version this host does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnknownVersions {
    /// It waits for that version, or for someone who says that this host's is newer.
    Wait,
    /// This host's version goes on with it: for hosts that start without a history.
    Serve,
}

/// A new version's first records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// `probation`: how long they are watched, 1 s to 24 h. Default: 1 min.
    pub time: Duration,
    /// `max-failure-rate`: the largest share of its calls that may fail, in
    /// percent; 0 turns it off. Default: 50.
    pub max_failure_percent: u64,
}

/// A Redis or Valkey, and how long its answers are waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis://` or, with TLS, `rediss://`, then user and password, host, port
    /// and number of the database. Required. Secret, as it may hold the password.
    pub url: Secret,
    /// Certificates in PEM of the authorities that may sign the server's; only
    /// with `rediss://`. Default: the machine's own.
    pub ca: Option<PathBuf>,
    /// Longest wait for a connection or an answer: 10 ms to 60 s. Default: 1 s.
    pub timeout: Duration,
}

/// A source topic, the stages its records go through, and a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Required; `[a-z0-9][a-z0-9-]{0,62}`, unique in the file.
    pub name: String,
    /// The topic read. Required.
    pub source: String,
    /// Where a group without committed offsets begins. Default: earliest.
    pub start: Start,
    /// The topic that takes outputs which name no topic of their own.
    /// Default: none.
    pub sink: Option<String>,
    /// The topic that takes failed records. Default: none.
    pub dead_letter: Option<String>,
    /// Whether outputs carry headers that name the source record and the
    /// plugin's version. Default: false.
    pub provenance: bool,
    /// How much earlier than the latest record so far one may be without being
    /// late: 0 to 24 h. Default: 0.
    pub max_out_of_orderness: Duration,
    /// Without a record for so long, a partition's event time goes on by the
    /// clock: 100 ms to 24 h. Default: it stands still.
    pub idle_timeout: Option<Duration>,
    /// How far past the host's clock a record's timestamp may be: 0 to 366 days.
    /// Default: 10 min.
    pub max_future: Duration,
    /// What becomes of a record that is past it. Default: clamp.
    pub future: FutureRecords,
    /// Largest record that a plugin is given, in bytes of its key, value and
    /// headers: 1 KiB to 1 GiB. A larger one fails. Default: 64 MiB.
    pub max_record_bytes: u64,
    /// Most headers of a record that a plugin is given: 0 to 100,000. A record
    /// with more fails. Default: 10,000.
    pub max_headers: usize,
    /// What is parked of a partition at most.
    pub quarantine: Quarantine,
    /// The plugins each record goes through, in order. At least one; names
    /// are unique in the pipeline.
    pub stages: Vec<Stage>,
}

/// What becomes of a record whose timestamp is past the host's clock by more than
/// `max_future`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FutureRecords {
    /// It is processed, and moves event time no further than to the clock and `max_future`.
    Clamp,
    /// It fails, by the policy of the first stage, and moves event time nowhere.
    Fail,
}

/// Bounds of what stages with `on-failure = "quarantine"` park of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Most records and timers: 1 to 1,000,000. Default: 1,000.
    pub records: u64,
    /// Most bytes, of keys and values of their entries: 1 KiB to 16 GiB, on top of
    /// the first stage's `max_bytes`. Default: 16 MiB.
    pub bytes: u64,
}

/// Where a group without committed offsets begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// At the oldest record that the topic still holds.
    Earliest,
    /// After the newest record.
    Latest,
}

/// A value that is shown to nobody: `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself, for the one place that compares or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Says whether the Kafka client takes a property: `Err` holds the client's
/// own words on why it does not.
pub type KafkaProperty<'a> = &'a dyn Fn(&str, &str) -> Result<(), String>;

impl Config {
    /// Reads the file at `path` and the variables of `env` that start with
    /// `GREGOR__`.
    ///
    /// # Errors
    /// Every problem of the file and of the variables at once; or the one
    /// problem that keeps the file from being read or from being TOML.
    pub fn load(
        path: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        kafka_property: KafkaProperty<'_>,
    ) -> Result<Self, ConfigErrors> {
        let env = env.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self::load_with(path, env, kafka_property)
    }

    /// As [`Config::load`], with variables as a process has them: what is not
    /// UTF-8 is a problem of theirs.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(
        path: &Path,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        kafka_property: KafkaProperty<'_>,
    ) -> Result<Self, ConfigErrors> {
        let bytes = foreign::read_named(path, MAX_BYTES).map_err(io::Error::from);
        let text = bytes.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        let text = text.map_err(|error| ConfigErrors::unreadable(path, &error))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let (env, problems) = env::readable(env);
        Self::parse_with(&text, &path.display().to_string(), dir, env, problems, kafka_property)
    }

    /// Reads the text of a config file. `origin` stands before the line in
    /// problems; relative paths resolve against `dir`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        origin: &str,
        dir: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        kafka_property: KafkaProperty<'_>,
    ) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, origin, dir, env, Vec::new(), kafka_property)
    }

    fn parse_with(
        text: &str,
        origin: &str,
        dir: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        mut problems: Vec<ConfigError>,
        kafka_property: KafkaProperty<'_>,
    ) -> Result<Self, ConfigErrors> {
        let mut document = document::parse(text, origin)?;
        kafka::join_dotted_keys(&mut document);
        problems.extend(env::merge(&mut document, env));
        let config = parts::config(&document, dir, kafka_property, &mut problems);
        let (warnings, mistakes): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|problem| problem.severity == Severity::Warning);
        let ConfigErrors(warnings) = ConfigErrors::in_order(warnings);
        if mistakes.is_empty() { Ok(Config { warnings, ..config }) } else { Err(ConfigErrors::in_order(mistakes)) }
    }
}
