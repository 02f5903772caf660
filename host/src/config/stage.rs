//! A stage of a pipeline: what it runs, keeps, may use, and does about failures.

use std::collections::BTreeMap;
use std::time::Duration;

/// A plugin's place in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// `[a-z0-9][a-z0-9-]{0,62}`. Default: the plugin's name.
    pub name: String,
    /// The plugin, found as `<plugins.dir>/<plugin>.wasm`. Required;
    /// `[a-z0-9][a-z0-9-]{0,62}`.
    pub plugin: String,
    /// The cache of this stage.
    pub state: State,
    /// Topics besides the sink that the plugin may write to. Default: none.
    pub topics: Vec<String>,
    /// What one call may use.
    pub limits: Limits,
    /// How long an instance lives. Default: with its task.
    pub isolation: Isolation,
    /// What happens to a record that fails for good. Default: dead letter
    /// where the pipeline names a topic for it, else hold.
    pub on_failure: OnFailure,
    /// How often and when a failed record is tried again.
    pub retry: Retry,
    /// The least severe log lines of the plugin that are kept; `None` keeps
    /// none, which is the default: a plugin's lines may hold what a record
    /// holds.
    pub log: Option<LogLevel>,
    /// How many calls that failed are kept in files, with what their records
    /// hold: 0 to 1,000. Default: 0, which the file also calls "off".
    pub capsules: u32,
    /// What the plugin reads through `wasi:config`. Default: empty.
    pub config: BTreeMap<String, String>,
}

/// The cache of a stage, for each topic partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Default: memory.
    pub backend: Backend,
    /// Whether changes go to a compacted topic too. Default: false.
    pub changelog: bool,
    /// Most bytes, keys and values together, that one task's cache holds:
    /// 1 KiB to 1 TiB. Default: 256 MiB.
    pub max_bytes: u64,
    /// Largest value, in bytes: 1 to 1 GiB, and not above `max_bytes`.
    /// Default: 1 MiB, or `max_bytes` where that is less.
    pub max_value: u64,
    /// disk: bytes of each task's entries that memory keeps for reads: 64 KiB
    /// to 16 GiB. Default: 8 MiB.
    pub hot_bytes: u64,
    /// Replicas of the changelog topic where it is created: 1 to 32767.
    /// Default: the brokers' own default.
    pub replication_factor: Option<u16>,
    /// Other hosts that keep a warm copy of each partition's entries, with a
    /// changelog: 0 to 16. Default: 0.
    pub standby: u8,
    /// What becomes of state that does not belong to the group's offset.
    /// Default: hold.
    pub on_mismatch: OnMismatch,
}

/// What becomes of state that does not belong to the group's committed offset:
/// the offset was moved, the group expired, or a topic was deleted or cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnMismatch {
    /// The partition waits until a person decides.
    #[default]
    Hold,
    /// Its records go on with the state as it is.
    Keep,
    /// Its records go on with empty state.
    Reset,
}

/// What holds a stage's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The host's memory; gone when the process ends.
    Memory,
    /// A store under `host.data-dir`.
    Disk,
    /// Redis or Valkey.
    Redis,
}

/// The largest value that Redis takes.
const MAX_REDIS_VALUE: u64 = 512 << 20;

impl Backend {
    /// Whether it outlives the process.
    pub fn is_durable(self) -> bool {
        match self {
            Backend::Memory => false,
            Backend::Disk | Backend::Redis => true,
        }
    }

    /// Whether every host of the group reaches it: the state is not lost with one of
    /// them, and needs no changelog.
    pub fn is_shared(self) -> bool {
        match self {
            Backend::Memory | Backend::Disk => false,
            Backend::Redis => true,
        }
    }

    /// The largest value that it takes, in bytes.
    pub fn max_value(self) -> u64 {
        match self {
            Backend::Memory | Backend::Disk => u64::MAX,
            Backend::Redis => MAX_REDIS_VALUE,
        }
    }
}

/// What one call of a plugin may use. A breach fails the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest call: 10 ms to 60 s. Default: 1 s.
    pub timeout: Duration,
    /// Linear memory of an instance, in bytes: 1 MiB to 4 GiB.
    /// Default: 64 MiB.
    pub memory: u64,
    /// Most outputs of one record: 1 to 100,000. Default: 1,000.
    pub outputs: u32,
    /// Most bytes in the outputs of one record: 1 KiB to 1 GiB.
    /// Default: 8 MiB.
    pub output_bytes: u64,
    /// Most log lines kept of one record: 0 to 100,000. Default: 100.
    pub log_lines: u32,
    /// Most bytes that the writes of one call make the host keep: 1 MiB to 16 GiB.
    /// Default: 64 MiB, or twice the state's `max_value` where that is more.
    pub call_memory: u64,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// As long as its task, from record to record.
    Task,
    /// For one record.
    Record,
}

/// What happens to a record that fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// It goes to the pipeline's dead-letter topic.
    DeadLetter,
    /// It is counted and left out.
    Skip,
    /// Its partition waits, until a new version of the plugin lands.
    Hold,
    /// It is parked until then, and behind it those of the same record key.
    Quarantine,
}

/// How often and when a record is tried again. The wait doubles from
/// `backoff` up to `max_backoff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first: 0 to 1,000. Default: 5.
    pub attempts: u32,
    /// Wait before the first of them: 1 ms to 1 h. Default: 100 ms.
    pub backoff: Duration,
    /// Longest wait: 1 ms to 1 h, not below `backoff`. Default: 10 s, or
    /// `backoff` where that is more.
    pub max_backoff: Duration,
}

/// The severity of a plugin's log line, least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}
