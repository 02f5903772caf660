//! One version of a plugin: its bytes checked and compiled.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};
use wasmtime::{Precompiled, Store};

use super::abi::v1;
use super::engine::Engine;
use super::instance::Guest;

/// SHA-256 of an artefact's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The first 12 hexadecimal digits, enough to tell versions apart in a log line.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why an artefact is no version of a plugin; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("it is empty: was it still being written? Write it under another name and rename it")]
    Empty,
    #[error(
        "it has {bytes} bytes, more than `plugins.max-size` ({limit}): make it smaller (strip, opt-level = \"s\") or raise the limit"
    )]
    TooLarge { bytes: u64, limit: u64 },
    #[error("it is no WebAssembly: build a component, for Rust with `cargo build --release --target wasm32-wasip2`")]
    NotWasm,
    #[error(
        "it is a core module, not a component: build with `--target wasm32-wasip2`, or make one with `wasm-tools component new`"
    )]
    CoreModule,
    #[error("it is precompiled code: deploy the .wasm file itself, the host compiles it")]
    Precompiled,
    #[error("it is damaged or uses what this host does not run: {0}")]
    Invalid(String),
    #[error("it exports no `gregor:plugin/processor@1`, but {0}: build it for the world `plugin` of wit/v1")]
    NoProcessor(String),
    #[error("it is for `{0}`, and this host serves major version 1: build it with wit/v1, or upgrade the host")]
    WrongMajor(String),
    #[error(
        "it imports {imports}, which this host does not offer; offered are gregor:plugin/{{cache,timers,metrics}}@1, wasi:logging, wasi:config and WASI 0.2 without HTTP"
    )]
    Import { imports: String },
    #[error("it does not fit the world `plugin` of wit/v1: {0}")]
    Mismatch(String),
    #[error("it could not be started with the configuration of stage {stage}: {reason}")]
    Start { stage: String, reason: String },
}

/// A checked, compiled artefact, shared by all workers.
pub struct Version {
    plugin: String,
    digest: Digest,
    pre: InstancePre<Guest>,
    exports: v1::PluginIndices,
    init: Option<ComponentExportIndex>,
    keeps_state: bool,
}

impl Version {
    /// Checks and compiles `bytes` as a version of `plugin`. Takes seconds for
    /// a large component: never on a worker's thread.
    ///
    /// # Errors
    /// [`Refused`], with what to do.
    pub fn compile(engine: &Engine, plugin: &str, bytes: &[u8], max_size: u64) -> Result<Version, Refused> {
        check_bytes(bytes, max_size)?;
        let component = Component::new(engine.wasmtime(), bytes).map_err(|error| Refused::Invalid(one_line(&error)))?;
        check_exports(engine, &component)?;
        check_imports(engine, &component)?;
        let pre = engine.linker().instantiate_pre(&component).map_err(|error| Refused::Mismatch(one_line(&error)))?;
        let exports = v1::PluginIndices::new(&pre).map_err(|error| Refused::Mismatch(one_line(&error)))?;
        let init = component
            .get_export_index(None, v1::LIFECYCLE)
            .and_then(|lifecycle| component.get_export_index(Some(&lifecycle), "init"));
        let keeps_state = imports_cache(engine, &component);
        Ok(Version { plugin: plugin.to_owned(), digest: Digest::of(bytes), pre, exports, init, keeps_state })
    }

    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether it can keep anything from one record to the next: it imports the cache.
    pub fn keeps_state(&self) -> bool {
        self.keeps_state
    }

    pub(super) fn init(&self) -> Option<ComponentExportIndex> {
        self.init
    }

    pub(super) fn instantiate(
        &self,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<(wasmtime::component::Instance, v1::Plugin)> {
        let instance = self.pre.instantiate(&mut *store)?;
        let exports = self.exports.load(&mut *store, &instance)?;
        Ok((instance, exports))
    }
}

/// What can be told from the first bytes. The preamble of a core module and of
/// a component differ in their fifth to eighth (component model, Binary.md).
fn check_bytes(bytes: &[u8], max_size: u64) -> Result<(), Refused> {
    if bytes.is_empty() {
        return Err(Refused::Empty);
    }
    if bytes.len() as u64 > max_size {
        return Err(Refused::TooLarge { bytes: bytes.len() as u64, limit: max_size });
    }
    match wasmtime::Engine::detect_precompiled(bytes) {
        Some(Precompiled::Module | Precompiled::Component) => return Err(Refused::Precompiled),
        None => {}
    }
    match bytes.strip_prefix(b"\0asm") {
        None => Err(Refused::NotWasm),
        Some([1, 0, 0, 0, ..]) => Err(Refused::CoreModule),
        Some(_) => Ok(()),
    }
}

fn check_exports(engine: &Engine, component: &Component) -> Result<(), Refused> {
    let kind = component.component_type();
    let names: Vec<&str> = kind.exports(engine.wasmtime()).map(|(name, _)| name).collect();
    let processor = names.iter().find_map(|name| Some((name, name.strip_prefix(v1::PROCESSOR)?.strip_prefix('@')?)));
    match processor {
        Some((_, version)) if version.starts_with("1.") => Ok(()),
        Some((name, _)) => Err(Refused::WrongMajor((*name).to_owned())),
        None if names.is_empty() => Err(Refused::NoProcessor("nothing".into())),
        None => Err(Refused::NoProcessor(names.join(", "))),
    }
}

fn imports_cache(engine: &Engine, component: &Component) -> bool {
    component.component_type().imports(engine.wasmtime()).any(|(name, _)| name.starts_with("gregor:plugin/cache@"))
}

fn check_imports(engine: &Engine, component: &Component) -> Result<(), Refused> {
    const OFFERED: [&str; 11] = [
        "gregor:plugin/types@1.",
        "gregor:plugin/cache@1.",
        "gregor:plugin/timers@1.",
        "gregor:plugin/metrics@1.",
        "wasi:logging/logging@0.1.0-draft",
        "wasi:config/store@0.2.0-draft",
        "wasi:cli/",
        "wasi:clocks/",
        "wasi:io/",
        "wasi:random/",
        "wasi:filesystem/",
    ];
    let kind = component.component_type();
    let missing: Vec<String> = kind
        .imports(engine.wasmtime())
        .filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("wasi:sockets/") && !OFFERED.iter().any(|offered| name.starts_with(offered)))
        .map(|name| format!("`{name}`"))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Refused::Import { imports: missing.join(", ") }),
    }
}

fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
