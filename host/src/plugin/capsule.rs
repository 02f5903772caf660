//! A call that failed, kept so that it can happen again: the record or the timer,
//! what the call found in its cache, its configuration, its limits and its clocks.
//! The seed of its random bytes follows from the record's place, or from the timer.
//!
//! A capsule holds what the record and the cache hold: it is written only where
//! the stage's `capsules` asks for it, readable by the host's user alone.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::call::Call;
use super::engine::Engine;
use super::failure::Failure;
use super::instance::{Emitted, Instance};
use super::{Digest, Version};
use crate::config::{self, Isolation};
use crate::files::foreign::{self, ForeignError};
use crate::plan::CacheLimits;
use crate::plan::CapsuleFolder;
use crate::plan::Scope;
use crate::record::{Header, Record};
use crate::state::{Cache, Domain, Entry, MemoryStore, Origin, Seen, StateStore, Timer};

/// Of this module's own; another one is refused.
const FORMAT: u32 = 1;
/// Bytes of one capsule's file at most.
pub const MAX_BYTES: usize = 16 << 20;
/// Capsules of one time that are looked into for a timer's own.
const MOST_READ: u32 = 16;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capsule {
    format: u32,
    pub pipeline: String,
    pub stage: String,
    pub plugin: String,
    /// SHA-256 of the version that failed.
    pub digest: String,
    pub outcome: Ending,
    /// Records and timers that the instance had been called with before: what it
    /// kept of them in its own memory is not here.
    pub calls_before: u64,
    started_ms: u64,
    now_ms: u64,
    /// Of a timer, what stands in for a record of the source.
    record: Whole,
    /// The timer that the call comes from, if it comes from one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    timer: Option<Fired>,
    /// Event time of the stage, milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    watermark: Option<u64>,
    /// What stood under the keys that the call touched; `null`: nothing.
    cache: BTreeMap<String, Option<Stood>>,
    /// Bytes of the whole cache when the call began.
    cache_bytes: u64,
    config: BTreeMap<String, String>,
    limits: Bounds,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ending {
    /// `ok`, or the kind of failure.
    pub kind: String,
    /// In the host's words, with a limit's numbers.
    pub text: String,
    /// The plugin's own words, where it failed the record itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub guest_text: Option<String>,
}

/// The call's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Whole {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fired {
    domain: Domain,
    name: String,
    at: u64,
    /// The call is `on-timer` itself, and not one with a record that came out of it.
    on_timer: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stood {
    value: Bytes,
    expires_at: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bounds {
    timeout_ms: u64,
    memory: u64,
    outputs: u32,
    output_bytes: u64,
    log_lines: u32,
    cache_bytes: u64,
    cache_value: u64,
    /// Left out where it is the default, which a gregor before this limit reads too.
    #[serde(skip_serializing_if = "is_default_call_memory", default = "default_call_memory")]
    call_memory: u64,
}

fn default_call_memory() -> u64 {
    64 << 20
}

fn is_default_call_memory(bytes: &u64) -> bool {
    *bytes == default_call_memory()
}

/// In base64 where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes).map_err(serde::de::Error::custom)
    }
}

impl Ending {
    pub fn of(outcome: Result<&[Emitted], &Failure>) -> Ending {
        match outcome {
            Ok(outputs) => {
                Ending { kind: "ok".to_owned(), text: format!("{} outputs", outputs.len()), guest_text: None }
            }
            Err(failure) => Ending {
                kind: failure.kind().to_owned(),
                text: failure.to_string(),
                guest_text: failure.guest_text().map(|text| text.as_given().to_owned()),
            },
        }
    }
}

impl Capsule {
    /// `life` as [`Instance::life`] tells it after the call.
    pub fn new(
        scope: &Scope,
        digest: &Digest,
        call: Call<'_>,
        failure: &Failure,
        seen: Seen,
        life: (u64, u64),
        now_ms: u64,
    ) -> Capsule {
        let bytes = |bytes: Option<&[u8]>| bytes.map(|bytes| Bytes(bytes.to_vec()));
        let stood = |entry: Entry| Stood { value: Bytes(entry.value), expires_at: entry.expires_at };
        let Scope { limits, cache, .. } = scope;
        let record = call.record();
        Capsule {
            format: FORMAT,
            pipeline: scope.pipeline.clone(),
            stage: scope.stage.clone(),
            plugin: scope.plugin.clone(),
            digest: digest.to_string(),
            outcome: Ending::of(Err(failure)),
            calls_before: life.1.saturating_sub(1),
            started_ms: life.0,
            now_ms,
            record: Whole {
                topic: record.topic.to_owned(),
                partition: record.partition,
                offset: record.offset,
                timestamp: record.timestamp,
                key: bytes(record.key),
                value: bytes(record.value),
                headers: record.headers.iter().map(|(name, value)| (name.clone(), bytes(value.as_deref()))).collect(),
            },
            timer: call.timer().map(|timer| Fired {
                domain: timer.domain,
                name: timer.name().to_owned(),
                at: timer.at,
                on_timer: matches!(call, Call::OnTimer(..)),
            }),
            watermark: seen.watermark,
            cache: seen.entries.into_iter().map(|(key, entry)| (key, entry.map(stood))).collect(),
            cache_bytes: seen.bytes,
            config: scope.config.clone(),
            limits: Bounds {
                timeout_ms: limits.timeout.as_millis() as u64,
                memory: limits.memory,
                outputs: limits.outputs,
                output_bytes: limits.output_bytes,
                log_lines: limits.log_lines,
                cache_bytes: cache.bytes,
                cache_value: cache.value,
                call_memory: limits.call_memory,
            },
        }
    }

    /// The topic partition that the record, or the timer, is of.
    pub fn topic_partition(&self) -> (&str, i32) {
        (&self.record.topic, self.record.partition)
    }

    /// Of the record; of a timer, of the record that came next.
    pub fn offset(&self) -> i64 {
        self.record.offset
    }

    /// The timer that failed, itself or a later stage on what it gave.
    pub fn timer(&self) -> Option<Timer> {
        self.timer.as_ref().map(|Fired { domain, name, at, .. }| Timer::new(*domain, name, *at, None))
    }

    /// Bytes of linear memory that the call may use.
    pub fn memory(&self) -> u64 {
        self.limits.memory
    }

    /// Writes it into `folder`, under the name of its stage and of its record or the
    /// time of its timer, in place of an earlier one of the same (of a timer, if it is
    /// among the first ones of its time). `None` where the folder has enough of the
    /// stage, or the capsule is too large.
    ///
    /// # Errors
    /// When the folder does not take it.
    pub fn write(&self, folder: &CapsuleFolder) -> io::Result<Option<PathBuf>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder.path)?;
        let stem = format!("{}.{}.", self.pipeline, self.stage);
        let path = self.file(&folder.path);
        let ours = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(&stem) && name.ends_with(".json"))
        };
        let kept = fs::read_dir(&folder.path)?.filter_map(Result::ok).filter(ours).count();
        if kept >= folder.most as usize && !path.exists() {
            return Ok(None);
        }
        let text = serde_json::to_vec_pretty(self)?;
        if text.len() > MAX_BYTES {
            return Ok(None);
        }
        // A temporary file is its owner's alone, and so is what it becomes.
        let mut file = tempfile::Builder::new().prefix(".").suffix(".new").tempfile_in(&folder.path)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(Some(path))
    }

    /// A timer's name may hold a key, which no path may: those of one time are numbered.
    fn file(&self, folder: &Path) -> PathBuf {
        let Whole { topic, partition, offset, .. } = &self.record;
        let beginning = format!("{}.{}.{topic}-{partition}", self.pipeline, self.stage);
        let Some(Fired { domain, at, .. }) = &self.timer else {
            return folder.join(format!("{beginning}-{offset}.json"));
        };
        let numbered = |nth: u32| folder.join(format!("{beginning}-{}-{at}-{nth}.json", domain.name()));
        // Whose a file is shows only inside, and a thousand windows may end at one time.
        let is_of_another = |nth: u32| match nth {
            ..=MOST_READ => Capsule::read(&numbered(nth)).is_ok_and(|there| there.timer != self.timer),
            _ => numbered(nth).exists(),
        };
        let mut nth = 1;
        while is_of_another(nth) {
            nth += 1;
        }
        numbered(nth)
    }

    /// # Errors
    /// In one line, what is wrong with the file.
    pub fn read(path: &Path) -> Result<Capsule, String> {
        let problem = |what: String| format!("{} {what}", path.display());
        let text = foreign::read(path, MAX_BYTES as u64).map_err(|error| match error {
            ForeignError::TooLarge { bytes, limit } => {
                problem(format!("has {bytes} bytes or more, and no capsule has more than {limit}"))
            }
            ForeignError::Missing => problem("cannot be read: there is no such file".to_owned()),
            error => problem(error.to_string()),
        })?;
        let capsule: Capsule =
            serde_json::from_slice(&text).map_err(|error| problem(format!("is no capsule: {error}")))?;
        if capsule.format != FORMAT {
            return Err(problem(format!("has format {}, and this gregor reads {FORMAT}", capsule.format)));
        }
        Ok(capsule)
    }

    /// Calls `version` as the call was made; what came of it.
    pub fn replay(&self, engine: &Engine, version: &Version) -> Ending {
        match self.call(engine, version) {
            Ok(outputs) => Ending::of(Ok(&outputs)),
            Err(failure) => Ending::of(Err(&failure)),
        }
    }

    fn call(&self, engine: &Engine, version: &Version) -> Result<Vec<Emitted>, Failure> {
        let Bounds { timeout_ms, memory, outputs, output_bytes, log_lines, cache_bytes, cache_value, call_memory } =
            self.limits;
        let timeout = Duration::from_millis(timeout_ms);
        let scope = Arc::new(Scope {
            pipeline: self.pipeline.clone(),
            stage: self.stage.clone(),
            plugin: self.plugin.clone(),
            limits: config::Limits { timeout, memory, outputs, output_bytes, log_lines, call_memory },
            cache: CacheLimits { bytes: cache_bytes, value: cache_value, call: call_memory },
            isolation: Isolation::Record,
            log: None,
            config: self.config.clone(),
        });
        let mut store = MemoryStore::default();
        for (key, stood) in &self.cache {
            if let Some(Stood { value, expires_at }) = stood {
                store.put(key, Entry::durable(value.0.clone(), *expires_at, Origin::Same)).map_err(Failure::State)?;
            }
        }
        // As much room as there was: what else stood there is not here.
        let room = cache_bytes.saturating_sub(self.cache_bytes);
        let limits = CacheLimits { bytes: store.bytes().saturating_add(room), value: cache_value, call: call_memory };
        let mut cache = Box::new(Cache::new(Box::new(store), limits, false));
        let headers: Vec<Header> = self
            .record
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_ref().map(|value| value.0.clone())))
            .collect();
        let record = Record {
            topic: &self.record.topic,
            partition: self.record.partition,
            offset: self.record.offset,
            timestamp: self.record.timestamp,
            key: self.record.key.as_ref().map(|key| &*key.0),
            value: self.record.value.as_ref().map(|value| &*value.0),
            headers: &headers,
        };
        let mut instance = Instance::started_at(engine, version, &scope, self.started_ms)?;
        cache.begin(self.now_ms, record.key);
        cache.advance(self.watermark);
        let timer = self.timer();
        let call = match (&timer, &self.timer) {
            (Some(timer), Some(Fired { on_timer: true, .. })) => Call::OnTimer(&record, timer),
            _ => Call::Process(&record, timer.as_ref()),
        };
        call.make(&mut instance, self.now_ms, &mut cache)
    }
}
