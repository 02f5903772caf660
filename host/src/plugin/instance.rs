//! A live copy of a plugin, for one stage of one task.

mod on_timer;

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{ResourceTable, ResourceTableError, TypedFunc};
use wasmtime::{Store, Trap};
use wasmtime_wasi::WasiCtx;

use super::abi::v1;
use super::abi::v1::gregor::plugin::types;
use super::counts::Counts;
use super::engine::Engine;
use super::failure::Failure;
use super::keyvalue::Pages;
use super::limits::{CallMemory, Growth, MAX_RESOURCES, Overrun, Refusals, Soft, host_call_bytes};
use super::lines::Lines;
use super::wasi::{self, Determinism};
use super::{Digest, Version};
use crate::clock::wall_ms;
use crate::foreign::ForeignText;
use crate::plan::Scope;
use crate::record::{Header, Record};
use crate::state::{Cache, MemoryStore, StateError, Timer};
use on_timer::OnTimer;

/// Bytes of a guest's words on a failure that are kept.
const MAX_REASON: usize = 4 << 10;

/// An output as the plugin gave it.
pub type Emitted = types::Output;
pub type EmittedHeader = types::HeaderResult;

/// What host functions see of the instance that calls them.
pub struct Guest {
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) determinism: Determinism,
    /// The task's cache during a call, else an empty one.
    pub(super) cache: Box<Cache>,
    pub(super) scope: Arc<Scope>,
    pub(super) lines: Lines,
    pub(super) counts: Counts,
    pub(super) refusals: Refusals,
    pub(super) pages: Pages,
    /// Whether the plugin takes timers that it schedules.
    pub(super) takes_timers: bool,
    growth: Growth,
}

/// `migrate` of wit/v1: the digest of the version before, then what became of it.
type Migrate = TypedFunc<(String,), (Result<(), String>,)>;

/// One instance and its store.
pub struct Instance {
    store: Store<Guest>,
    /// For exports that a version may have or not.
    instance: wasmtime::component::Instance,
    exports: v1::Plugin,
    on_timer: Option<OnTimer>,
    /// Its clock at its start, milliseconds since the Unix epoch.
    started_ms: u64,
    /// Records and timers that it was called with.
    calls: u64,
}

impl Instance {
    /// Instantiates `version` and, where it exports `lifecycle`, calls `init`.
    ///
    /// # Errors
    /// [`Failure::PoolFull`]; [`Failure::NoInstance`] when `init` refuses; what
    /// ended the call when a start function or `init` traps or takes too long.
    pub fn new(engine: &Engine, version: &Version, scope: &Arc<Scope>) -> Result<Instance, Failure> {
        Instance::started_at(engine, version, scope, wall_ms())
    }

    /// As [`Instance::new`], its clock showing `now_ms` at its start.
    pub(super) fn started_at(
        engine: &Engine,
        version: &Version,
        scope: &Arc<Scope>,
        now_ms: u64,
    ) -> Result<Instance, Failure> {
        let lines = Lines::new(scope.clone());
        lines.refill(now_ms);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let guest = Guest {
            wasi: wasi::context(&lines),
            table,
            determinism: Determinism::new(now_ms),
            cache: Box::new(Cache::new(Box::new(MemoryStore::default()), scope.cache, false)),
            scope: scope.clone(),
            lines,
            counts: Counts::default(),
            refusals: Refusals::default(),
            pages: Pages::default(),
            takes_timers: version.takes_timers(),
            growth: Growth::new(scope.limits.memory),
        };
        let mut store = Store::new(engine.wasmtime(), guest);
        store.limiter(|guest| &mut guest.growth);
        store.set_max_component_handles(MAX_RESOURCES);
        store.set_hostcall_fuel(usize::try_from(host_call_bytes(&scope.limits)).unwrap_or(usize::MAX));
        store.set_epoch_deadline(Engine::ticks(scope.limits.timeout));
        let (instance, exports) =
            version.instantiate(&mut store).map_err(|error| match failure_of(&error, store.data()) {
                _ if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() => {
                    Failure::PoolFull(error.root_cause().to_string())
                }
                // No trap: the module is larger than its slot.
                Failure::Trap(_) if error.downcast_ref::<Trap>().is_none() => {
                    Failure::NoInstance(ForeignText::of_error(&error))
                }
                failure => failure,
            })?;
        let on_timer = on_timer::find(version, &instance, &mut store)?;
        let mut instance = Instance { store, instance, exports, on_timer, started_ms: now_ms, calls: 0 };
        instance.migrate_of(version).map_err(|error| Failure::NoInstance(ForeignText::of_error(&error)))?;
        instance.init(version)?;
        Ok(instance)
    }

    /// Its `migrate`, where `version` exports one; of another type than the
    /// world's it is found out at once, not when there is state to migrate.
    fn migrate_of(&mut self, version: &Version) -> wasmtime::Result<Option<Migrate>> {
        version.migrate().map(|migrate| self.instance.get_typed_func(&mut self.store, migrate)).transpose()
    }

    fn init(&mut self, version: &Version) -> Result<(), Failure> {
        let Some(init) = version.init() else { return Ok(()) };
        let outcome = self
            .instance
            .get_typed_func::<(), (Result<(), String>,)>(&mut self.store, init)
            .and_then(|init| init.call(&mut self.store, ()));
        match outcome.map(|(outcome,)| outcome) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(Failure::NoInstance(format!("its init says: {}", bounded(reason)).into())),
            Err(error) => Err(failure_of(&error, self.store.data())),
        }
    }

    /// Calls the plugin with `record`, polled at `now_ms` (milliseconds since
    /// the Unix epoch) and, in a later stage, given by `timer`; `cache` is the
    /// task's, lent for the call. The caller keeps or undoes the cache's writes.
    ///
    /// # Errors
    /// Whatever ended the call; the instance is spoilt where
    /// [`Failure::spoils_instance`] says so.
    pub fn process(
        &mut self,
        record: &Record<'_>,
        timer: Option<&Timer>,
        now_ms: u64,
        cache: &mut Box<Cache>,
    ) -> Result<Vec<Emitted>, Failure> {
        self.begin(record, timer, now_ms);
        self.lend(cache, |instance| instance.call(record))
    }

    /// Starts a call: clocks, randomness and limits.
    fn begin(&mut self, source: &Record<'_>, timer: Option<&Timer>, now_ms: u64) {
        self.calls += 1;
        let guest = self.store.data_mut();
        guest.determinism.begin(source, now_ms);
        guest.determinism.attribute(timer);
        guest.growth.begin();
        guest.refusals.begin();
        guest.lines.refill(now_ms);
    }

    /// Calls the guest with the task's cache in its hands.
    fn lend(
        &mut self,
        cache: &mut Box<Cache>,
        call: impl FnOnce(&mut Instance) -> wasmtime::Result<Result<Vec<Emitted>, types::Failure>>,
    ) -> Result<Vec<Emitted>, Failure> {
        let guest = self.store.data_mut();
        let ticks = Engine::ticks(guest.scope.limits.timeout);
        std::mem::swap(&mut guest.cache, cache);
        self.store.set_epoch_deadline(ticks);
        let called = call(self);
        std::mem::swap(&mut self.store.data_mut().cache, cache);
        match called {
            Ok(Ok(outputs)) => Ok(outputs),
            Ok(Err(types::Failure::Reject(reason))) => Err(Failure::Reject(bounded(reason).into())),
            Ok(Err(types::Failure::Retry(reason))) => Err(Failure::Retry(bounded(reason).into())),
            Err(error) => Err(failure_of(&error, self.store.data())),
        }
    }

    /// Calls `migrate`, where `version` exports it: the state in `cache`, lent
    /// for the call, is what version `from` left. `at` is where the partition
    /// stands; `now_ms` in milliseconds since the Unix epoch. The caller keeps
    /// or undoes the cache's writes, and lets the instance go where this fails.
    ///
    /// # Errors
    /// Whatever ended the call; [`Failure::Migration`] where the plugin refuses.
    pub fn migrate(
        &mut self,
        version: &Version,
        from: Digest,
        at: &Record<'_>,
        now_ms: u64,
        timeout: Duration,
        cache: &mut Box<Cache>,
    ) -> Result<(), Failure> {
        let migrate = self.migrate_of(version).map_err(|error| Failure::NoInstance(ForeignText::of_error(&error)))?;
        let Some(migrate) = migrate else { return Ok(()) };
        self.begin(at, None, now_ms);
        self.store.set_epoch_deadline(Engine::ticks(timeout));
        std::mem::swap(&mut self.store.data_mut().cache, cache);
        let called = migrate.call(&mut self.store, (from.to_string(),));
        std::mem::swap(&mut self.store.data_mut().cache, cache);
        match called {
            Ok((Ok(()),)) => Ok(()),
            Ok((Err(reason),)) => Err(Failure::Migration(bounded(reason).into())),
            Err(error) => Err(match failure_of(&error, self.store.data()) {
                Failure::Timeout(_) => Failure::Timeout(timeout),
                failure => failure,
            }),
        }
    }

    fn call(&mut self, record: &Record<'_>) -> wasmtime::Result<Result<Vec<Emitted>, types::Failure>> {
        let headers: Vec<_> = record.headers.iter().map(lower_header).collect();
        let input = types::Input {
            topic: record.topic,
            partition: record.partition.cast_unsigned(),
            offset: record.offset.cast_unsigned(),
            timestamp: u64::try_from(record.timestamp).unwrap_or(0),
            key: record.key,
            value: record.value,
            headers: &headers,
        };
        self.exports.gregor_plugin_processor().call_process(&mut self.store, input)
    }

    /// Its clock at its start, in milliseconds since the Unix epoch, and how
    /// many records it was called with.
    pub fn life(&self) -> (u64, u64) {
        (self.started_ms, self.calls)
    }

    /// The plugin's own metrics since this was last asked.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.store.data_mut().counts)
    }

    /// The limits that the plugin met without its call ending, since this was
    /// last asked. To be called before [`Instance::take_counts`].
    pub fn take_refusals(&mut self) -> Refusals {
        let guest = self.store.data_mut();
        let mut refusals = std::mem::take(&mut guest.refusals);
        refusals.add(Soft::LogLines, guest.lines.take_lost());
        refusals.add(Soft::MetricNames, std::mem::take(&mut guest.counts.ignored));
        refusals
    }

    /// The limit of the cache that the last call met, with its value.
    pub fn refused(&self) -> Option<(Soft, u64)> {
        self.store.data().refusals.in_call()
    }
}

/// A guest's words on a failure, of which the host keeps the beginning.
fn bounded(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    reason.shrink_to_fit();
    reason
}

fn lower_header((name, value): &Header) -> types::HeaderParam<'_> {
    types::HeaderParam { name, value: value.as_deref() }
}

/// Names what ended a call. Texts of traps are wasmtime's, never the guest's.
fn failure_of(error: &wasmtime::Error, guest: &Guest) -> Failure {
    let limits = &guest.scope.limits;
    if let Some(error) = error.downcast_ref::<StateError>() {
        return Failure::State(error.clone());
    }
    if let Some(overrun) = error.downcast_ref::<Overrun>() {
        return Failure::Overrun(*overrun);
    }
    if let Some(CallMemory { bytes, limit }) = error.downcast_ref::<CallMemory>() {
        return Failure::CallMemory { bytes: *bytes, limit: *limit };
    }
    let trap = error.downcast_ref::<Trap>();
    match trap {
        Some(Trap::Interrupt) => return Failure::Timeout(limits.timeout),
        Some(Trap::StackOverflow) => return Failure::Stack,
        _ => {}
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Failure::Handles;
    }
    if let Some(refused) = guest.growth.refused() {
        return refused.clone();
    }
    match trap {
        Some(Trap::UnreachableCodeReached) => Failure::Trap("unreachable code, as after a panic"),
        Some(Trap::MemoryOutOfBounds) => Failure::Trap("memory access out of bounds"),
        Some(Trap::IntegerDivisionByZero) => Failure::Trap("integer division by zero"),
        Some(Trap::IndirectCallToNull | Trap::BadSignature) => Failure::Trap("bad indirect call"),
        Some(_) => Failure::Trap("a WebAssembly trap"),
        // wasmtime keeps the types of these errors to itself.
        None if error.root_cause().to_string().contains("fuel") => Failure::HostCall(host_call_bytes(limits)),
        None if error.root_cause().to_string().contains("handle limit") => Failure::Handles,
        None if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() => Failure::Trap("the plugin called exit"),
        None => Failure::Trap("a host call was refused"),
    }
}
