//! Plugins in the language of the team: built by `cargo xtask languages`, once a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use gregor::config::{Isolation, Limits};
use gregor::files::OwnedFolder;
use gregor::plan::{CacheLimits, Scope};
use gregor::plugin::compiler::Bounds;
use gregor::plugin::{CodeFolder, Compiler, Digest, Emitted, Engine, Failure, Instance, Outline, Version};
use gregor::record::Record;
use gregor::state::{Cache, MemoryStore};

use super::plugins::plugin;

const MIB: u64 = 1 << 20;
/// As a stage's default.
const MEMORY: u64 = 64 * MIB;

/// Every language that both plugins are written in, Rust first: the others are compared with it.
pub const LANGUAGES: [&str; 6] = ["rust", "javascript", "typescript", "python", "go", "c"];

static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace");
    let status = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .current_dir(&root)
        .args(["xtask", "languages"])
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the plugins in other languages could not be built: see the lines above");
    root.join("target/guests")
});

/// What one test compiles, another finds.
static COMPILING: Mutex<()> = Mutex::new(());

/// The component of `plugin` in `language`.
pub fn component(language: &str, name: &str) -> Vec<u8> {
    if language == "rust" {
        return plugin(name);
    }
    let file = BUILT.join(language).join(format!("{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The languages' own tools: packages of npm and of pip.
pub fn tools() -> PathBuf {
    BUILT.join("tools")
}

/// What plugins run on without a host.
pub struct Stand {
    engine: Engine,
    code: CodeFolder,
}

impl Stand {
    /// With the memory that a stage has by default.
    pub fn new() -> Stand {
        let engine = Engine::new(2, MEMORY).expect("an engine");
        let bounds = Bounds { time: Duration::from_secs(600), memory: 8 << 30 };
        // Kept from run to run: the larger ones take seconds to compile.
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests/code");
        std::fs::create_dir_all(&dir).expect("a folder for code");
        let dir = OwnedFolder::open(&dir.canonicalize().expect("a folder for code")).expect("a folder for code");
        let code =
            CodeFolder::open(&dir, engine.clone(), Compiler { apart: false, bounds }).expect("a folder for code");
        Stand { engine, code }
    }

    pub fn version(&self, language: &str, name: &str) -> Arc<Version> {
        let bytes = component(language, name);
        let digest = Digest::of(&bytes);
        let refused = |refused| -> ! { panic!("{name} in {language} is refused: {refused}") };
        let outline = Outline::read(&bytes, 64 * MIB).unwrap_or_else(|error| refused(error));
        let _one = COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
        let (compiled, _) = self.code.component(digest, &bytes).unwrap_or_else(|error| refused(error));
        let version = Version::new(&self.engine, name, digest, &outline, &compiled);
        Arc::new(version.unwrap_or_else(|error| refused(error)))
    }

    pub fn run(&self, version: &Arc<Version>) -> Running<'_> {
        let limits = Limits {
            // The default is 1 s; these tests run beside many others.
            timeout: Duration::from_secs(20),
            memory: MEMORY,
            outputs: 1_000,
            output_bytes: 8 * MIB,
            log_lines: 100,
            call_memory: 64 * MIB,
        };
        let cache = CacheLimits { bytes: 64 * MIB, value: MIB, call: 64 * MIB };
        let scope = Arc::new(Scope {
            pipeline: "locations".into(),
            stage: version.plugin().to_owned(),
            plugin: version.plugin().to_owned(),
            limits,
            cache,
            isolation: Isolation::Task,
            log: None,
            config: Default::default(),
        });
        let cache = Box::new(Cache::new(Box::new(MemoryStore::default()), cache, false));
        let instance = Instance::new(&self.engine, version, &scope).expect("an instance");
        Running { stand: self, scope, cache, instance }
    }
}

/// One instance with its cache.
pub struct Running<'a> {
    stand: &'a Stand,
    scope: Arc<Scope>,
    cache: Box<Cache>,
    instance: Instance,
}

impl Running<'_> {
    /// One record, as a task puts it through: writes are kept or undone.
    pub fn process(&mut self, record: &Record<'_>) -> Result<Vec<Emitted>, Failure> {
        let now_ms = record.timestamp.unsigned_abs();
        self.cache.begin(now_ms, record.key);
        let outcome = self.instance.process(record, None, now_ms, &mut self.cache);
        match &outcome {
            Ok(_) => self.cache.keep(),
            Err(_) => self.cache.undo(),
        }
        outcome
    }

    /// Another version takes over, and finds the cache as it is.
    pub fn swap(&mut self, version: &Arc<Version>) {
        self.instance = Instance::new(&self.stand.engine, version, &self.scope).expect("an instance");
    }
}
