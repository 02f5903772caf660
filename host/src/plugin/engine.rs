//! One wasmtime engine for the process: settings, the pool of instances and
//! the thread that moves epochs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::instance::Guest;
use super::limits::{GUEST_STACK, MEMORIES, MODULES, TABLE_ELEMENTS, TABLES};
use super::{imports, keyvalue, wasi};

/// Calls are interrupted at multiples of this.
const EPOCH: Duration = Duration::from_millis(5);

/// Compiles plugins and holds the pool their instances live in. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<Guest>>,
    _ticker: Arc<Ticker>,
}

impl Engine {
    /// A pool for `instances` instances at once, each with up to `memory` bytes.
    ///
    /// # Errors
    /// When the machine cannot reserve the address space for the pool, or has
    /// no thread left.
    pub fn new(instances: u32, memory: u64) -> wasmtime::Result<Engine> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(MODULES))
            .total_memories(instances.saturating_mul(MEMORIES))
            .total_tables(instances.saturating_mul(TABLES))
            .max_core_instances_per_component(MODULES)
            .max_memories_per_component(MEMORIES)
            .max_tables_per_component(TABLES)
            .max_tables_per_module(TABLES)
            .table_elements(TABLE_ELEMENTS)
            .max_memory_size(usize::try_from(memory).unwrap_or(usize::MAX));
        let mut config = settings();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        imports::add_to_linker(&mut linker)?;
        keyvalue::add_to_linker(&mut linker)?;
        wasi::add_to_linker(&mut linker)?;
        let ticker = Ticker::start(engine.clone())?;
        Ok(Engine { engine, linker: Arc::new(linker), _ticker: Arc::new(ticker) })
    }

    /// Names what compiled code depends on besides its component: the version
    /// of wasmtime, its settings, this machine's kind of processor.
    pub fn code_id(&self) -> u64 {
        code_id(&self.engine)
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    pub(super) fn linker(&self) -> &Linker<Guest> {
        &self.linker
    }

    /// The epoch deadline of a call that may take `timeout`: at least as long,
    /// as the epoch in course has begun already.
    pub(super) fn ticks(timeout: Duration) -> u64 {
        timeout.as_millis().div_ceil(EPOCH.as_millis()) as u64 + 1
    }
}

/// All that compiled code depends on: the host and the process that compiles
/// for it have the very same.
fn settings() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_memory64(false)
        // What wasmtime itself puts between two components of one needs both memories;
        // the pool still gives a module one of its own at most.
        .wasm_multi_memory(true);
    config
}

/// Compiles components for an engine elsewhere. Reserves no pool, so that it fits
/// a process whose address space is bounded.
pub struct Precompiler(wasmtime::Engine);

impl Precompiler {
    /// For an engine whose code has this `code_id`.
    ///
    /// # Errors
    /// When this process would compile for another engine than asked.
    pub fn new(code_id: u64) -> wasmtime::Result<Precompiler> {
        let engine = wasmtime::Engine::new(&settings())?;
        wasmtime::ensure!(
            self::code_id(&engine) == code_id,
            "the host was built from another version than its compiler"
        );
        Ok(Precompiler(engine))
    }

    /// The code of `component`.
    ///
    /// # Errors
    /// What wasmtime says of the component.
    pub fn compile(&self, component: &[u8]) -> wasmtime::Result<Vec<u8>> {
        self.0.precompile_component(component)
    }
}

fn code_id(engine: &wasmtime::Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// Moves the engine's epoch until dropped.
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Ticker> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::Builder::new().name("epochs".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(EPOCH);
                engine.increment_epoch();
            }
        })?;
        Ok(Ticker { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
