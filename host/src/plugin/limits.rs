//! What an instance may use, and how what it may not is remembered.

use wasmtime::ResourceLimiter;

use super::failure::Failure;

/// Elements of one table; a Rust plugin uses about a hundred, an interpreter a few thousand.
pub const TABLE_ELEMENTS: usize = 20_000;
/// Tables of one component, and of one core module in it.
pub const TABLES: u32 = 4;
/// Linear memories of one component, which [`Growth`] bounds together. A module has
/// one; a second comes with components inside a component, as QuickJS has it.
pub const MEMORIES: u32 = 2;
/// Core modules of one component: a Rust plugin has two or three, an interpreted
/// language a few dozen.
pub const MODULES: u32 = 64;
/// A guest's stack; the worker's own is several times that.
pub const GUEST_STACK: usize = 512 << 10;
/// Handles and entries of WASI resources (streams, pollables) alive at once.
pub const MAX_RESOURCES: usize = 1_000;
/// Bytes that one host call may take from the guest besides a call's outputs.
const HOST_CALL_BYTES: u64 = 2 << 20;
/// Bytes that lifting one output takes besides its key, value and headers.
const OUTPUT_BYTES: u64 = 256;

/// Bytes that one call between guest and host may carry out of the guest.
pub fn host_call_bytes(limits: &crate::config::Limits) -> u64 {
    HOST_CALL_BYTES + limits.output_bytes + u64::from(limits.outputs) * OUTPUT_BYTES
}

/// Refuses growth past a stage's limits and remembers that it did, so that the
/// trap that follows in the guest's allocator is named by its cause.
pub struct Growth {
    memory: usize,
    /// Bytes of all its linear memories.
    used: usize,
    /// Bytes that the last growth has added.
    added: usize,
    refused: Option<Failure>,
}

impl Growth {
    /// `memory`: bytes of linear memory, of all that a component has together.
    pub fn new(memory: u64) -> Growth {
        Growth { memory: usize::try_from(memory).unwrap_or(usize::MAX), used: 0, added: 0, refused: None }
    }

    /// Starts a call: growth refused in an earlier one, and survived, does not count.
    pub fn begin(&mut self) {
        self.refused = None;
    }

    /// What was asked for and the limit, when growth was refused.
    pub fn refused(&self) -> Option<&Failure> {
        self.refused.as_ref()
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.added = 0;
        let asked = self.used.saturating_sub(current).saturating_add(desired);
        if asked > self.memory {
            self.refused = Some(Failure::Memory { asked: asked as u64, limit: self.memory as u64 });
            return Ok(false);
        }
        let granted = maximum.is_none_or(|maximum| desired <= maximum);
        if granted {
            self.added = asked.saturating_sub(self.used);
            self.used = asked;
        }
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.used -= std::mem::take(&mut self.added);
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            self.refused = Some(Failure::Table { asked: desired as u64, limit: TABLE_ELEMENTS as u64 });
            return Ok(false);
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }
}

/// One host call that asks for more than a call may: no epoch interrupts the
/// host's own code, so it has to stay short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} bytes of {what} in one host call, the limit is {limit}")]
pub struct Overrun {
    pub what: &'static str,
    pub asked: u64,
    pub limit: u64,
}

impl Overrun {
    /// # Errors
    /// When `asked` is past `limit`, both in bytes.
    pub fn check(what: &'static str, asked: u64, limit: u64) -> Result<(), Overrun> {
        if asked > limit { Err(Overrun { what, asked, limit }) } else { Ok(()) }
    }
}

/// A limit that a plugin is told of, or only loses something by: its call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Soft {
    /// `state.max-bytes`
    CacheBytes,
    /// `state.max-value`
    ValueBytes,
    /// `log-lines`
    LogLines,
    /// Names of a plugin's own metrics.
    MetricNames,
}

impl Soft {
    pub const ALL: [Soft; 4] = [Soft::CacheBytes, Soft::ValueBytes, Soft::LogLines, Soft::MetricNames];

    /// Its name in metrics and in dead letters: the key in the configuration, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Soft::CacheBytes => "state.max-bytes",
            Soft::ValueBytes => "state.max-value",
            Soft::LogLines => "log-lines",
            Soft::MetricNames => "metric-names",
        }
    }
}

/// How often each soft limit was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    counts: [u64; Soft::ALL.len()],
    /// The cache's limit that the call in work met last, with its value.
    in_call: Option<(Soft, u64)>,
}

impl Refusals {
    /// Starts a call.
    pub fn begin(&mut self) {
        self.in_call = None;
    }

    /// The plugin was told of `limit`.
    pub fn tell(&mut self, soft: Soft, limit: u64) {
        self.add(soft, 1);
        self.in_call = Some((soft, limit));
    }

    pub fn add(&mut self, soft: Soft, times: u64) {
        self.counts[soft as usize] += times;
    }

    /// The limit of the cache that the call in work met last.
    pub fn in_call(&self) -> Option<(Soft, u64)> {
        self.in_call
    }

    /// Those that were met, with how often.
    pub fn met(&self) -> impl Iterator<Item = (Soft, u64)> {
        Soft::ALL.into_iter().map(|soft| (soft, self.counts[soft as usize])).filter(|(_, times)| *times > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_that_is_refused_is_remembered_with_its_numbers_until_the_next_call() {
        let mut growth = Growth::new(100);
        assert!(growth.memory_growing(0, 100, None).unwrap());
        assert!(!growth.memory_growing(100, 101, None).unwrap());
        assert_eq!(growth.refused(), Some(&Failure::Memory { asked: 101, limit: 100 }));
        growth.begin();
        assert!(growth.table_growing(0, TABLE_ELEMENTS, None).unwrap());
        assert!(!growth.table_growing(0, 10, Some(9)).unwrap());
        assert_eq!(growth.refused(), None, "the guest's own maximum is no limit of ours");
        assert!(!growth.table_growing(0, TABLE_ELEMENTS + 1, None).unwrap());
        assert_eq!(growth.refused(), Some(&Failure::Table { asked: 20_001, limit: 20_000 }));
    }

    #[test]
    fn the_memories_of_one_component_are_bounded_together() {
        let mut growth = Growth::new(100);
        assert!(growth.memory_growing(0, 60, None).unwrap());
        assert!(growth.memory_growing(0, 30, None).unwrap());
        assert!(!growth.memory_growing(30, 41, None).unwrap());
        assert_eq!(growth.refused(), Some(&Failure::Memory { asked: 101, limit: 100 }));
        assert!(growth.memory_growing(60, 70, None).unwrap());
        growth.memory_grow_failed(wasmtime::Error::msg("the pool is full")).unwrap();
        assert!(growth.memory_growing(30, 40, None).unwrap());
    }

    #[test]
    fn refusals_are_counted_by_limit_and_the_call_in_work_knows_its_last() {
        let mut refusals = Refusals::default();
        refusals.tell(Soft::ValueBytes, 7);
        refusals.tell(Soft::CacheBytes, 9);
        refusals.add(Soft::LogLines, 3);
        assert_eq!(refusals.in_call(), Some((Soft::CacheBytes, 9)));
        refusals.begin();
        assert_eq!(refusals.in_call(), None);
        let met: Vec<_> = refusals.met().map(|(soft, times)| (soft.name(), times)).collect();
        assert_eq!(met, [("state.max-bytes", 1), ("state.max-value", 1), ("log-lines", 3)]);
    }
}
