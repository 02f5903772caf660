//! WASI for plugins: no files, no network, no environment, and the same time
//! and randomness for the same record, in a test, a replay or after a crash.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::instance::Guest;
use super::limits::Overrun;
use super::lines::Lines;
use crate::config::LogLevel;
use crate::record::Record;
use crate::state::Timer;

/// Bytes of randomness in one call of the guest's.
const MAX_RANDOM: u64 = 1 << 20;
/// Bytes that a guest may print in one write.
const MAX_WRITE: usize = 64 << 10;

/// All of WASI 0.2 but HTTP, with our own clocks and randomness in its place.
pub fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    wall_clock::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    monotonic_clock::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    random::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    insecure::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    insecure_seed::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// No capability but printing, which becomes log lines.
pub fn context(lines: &Lines) -> WasiCtx {
    WasiCtx::builder()
        .stdout(Printed::new(lines, LogLevel::Info, "stdout"))
        .stderr(Printed::new(lines, LogLevel::Warn, "stderr"))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Time and randomness of one record.
pub struct Determinism {
    wall_ms: u64,
    monotonic_ns: u64,
    source: (Arc<str>, i32, i64),
    /// Names the timer that the call comes from; empty where it comes from a record.
    timer: Vec<u8>,
    random: Option<ChaCha8Rng>,
}

impl Determinism {
    /// Time of an instance's start, until its first record.
    pub fn new(now_ms: u64) -> Determinism {
        Determinism {
            wall_ms: now_ms,
            monotonic_ns: now_ms.saturating_mul(1_000_000),
            source: ("".into(), 0, 0),
            timer: Vec::new(),
            random: None,
        }
    }

    /// Starts `record`, polled at `now_ms` (milliseconds since the Unix epoch).
    pub fn begin(&mut self, record: &Record<'_>, now_ms: u64) {
        self.wall_ms = now_ms;
        self.monotonic_ns = self.monotonic_ns.max(now_ms.saturating_mul(1_000_000));
        if *self.source.0 != *record.topic {
            self.source.0 = record.topic.into();
        }
        (self.source.1, self.source.2) = (record.partition, record.offset);
        self.random = None;
    }

    /// What the call that was begun comes from: a timer, or the record itself.
    /// A timer of the same time and name has the same randomness, whatever
    /// record was next when it fired.
    pub fn attribute(&mut self, timer: Option<&Timer>) {
        self.timer.clear();
        if let Some(timer) = timer {
            self.source.2 = -1;
            self.timer.extend_from_slice(timer.domain.name().as_bytes());
            self.timer.extend_from_slice(&timer.at.to_le_bytes());
            self.timer.extend_from_slice(timer.name().as_bytes());
        }
    }

    /// Made on first use: most plugins want no randomness.
    fn random(&mut self) -> &mut ChaCha8Rng {
        let ((topic, partition, offset), timer) = (&self.source, &self.timer);
        self.random.get_or_insert_with(|| {
            let seed = Sha256::new()
                .chain_update(topic.as_bytes())
                .chain_update(partition.to_le_bytes())
                .chain_update(offset.to_le_bytes())
                .chain_update(timer);
            ChaCha8Rng::from_seed(seed.finalize().into())
        })
    }

    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        Overrun::check("randomness", len, MAX_RANDOM)?;
        let mut bytes = vec![0; len as usize];
        self.random().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let ms = self.determinism.wall_ms;
        Ok(wall_clock::Datetime { seconds: ms / 1_000, nanoseconds: (ms % 1_000) as u32 * 1_000_000 })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

/// Each reading moves it by a microsecond, as language runtimes wait on it. A
/// sleep moves it by its length and is over at once: a guest that really slept
/// would hold its worker, and epochs do not interrupt host calls.
impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.determinism.monotonic_ns += 1_000;
        Ok(self.determinism.monotonic_ns)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.determinism.monotonic_ns = self.determinism.monotonic_ns.max(when);
        self.ready()
    }

    fn subscribe_duration(&mut self, length: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.determinism.monotonic_ns = self.determinism.monotonic_ns.saturating_add(length);
        self.ready()
    }
}

impl Guest {
    fn ready(&mut self) -> wasmtime::Result<Resource<DynPollable>> {
        let ready = self.table.push(Ready)?;
        wasmtime_wasi::p2::subscribe(&mut self.table, ready)
    }
}

struct Ready;

#[async_trait::async_trait]
impl Pollable for Ready {
    async fn ready(&mut self) {}
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.determinism.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.determinism.random().next_u64())
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.determinism.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.determinism.random().next_u64())
    }
}

/// The same for every instance, not for the record: hash maps are seeded with
/// it once, and their order must not depend on which record came first.
impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((0x6772_6567_6f72, 0x0073_616d_7361))
    }
}

/// What a guest prints, line by line into the log.
#[derive(Clone)]
struct Printed {
    lines: Lines,
    level: LogLevel,
    stream: &'static str,
    partial: Arc<Mutex<Vec<u8>>>,
}

impl Printed {
    fn new(lines: &Lines, level: LogLevel, stream: &'static str) -> Printed {
        Printed { lines: lines.clone(), level, stream, partial: Arc::default() }
    }

    /// In one pass: what is printed may be line ends alone.
    fn print(&self, bytes: &[u8]) {
        if !self.lines.admits(self.level) {
            return;
        }
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = bytes.split(|&byte| byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            partial.extend_from_slice(line);
            self.lines.write(self.level, self.stream, &String::from_utf8_lossy(&partial));
            partial.clear();
        }
        partial.extend_from_slice(last);
        if partial.len() > MAX_WRITE {
            self.lines.write(self.level, self.stream, &String::from_utf8_lossy(&partial));
            partial.clear();
        }
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, and 0.3 is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let allowed = Overrun::check("print", bytes.len() as u64, MAX_WRITE as u64);
        allowed.map_err(|overrun| StreamError::Trap(overrun.into()))?;
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}
