//! Why an artefact is no version of a plugin; each says what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::limits::{MEMORIES, MODULES, TABLE_ELEMENTS, TABLES};
use crate::foreign::{ForeignText, quoted};

/// Numbers are bytes where nothing else is said.
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
    Invalid(ForeignText),
    #[error("it exports no `gregor:plugin/processor@1`, but {}: build it for the world `plugin` of wit/v1", exported(.0))]
    NoProcessor(Vec<String>),
    #[error("it is for `{0}`, and this host serves major version 1: build it with wit/v1, or upgrade the host")]
    WrongMajor(ForeignText),
    #[error(
        "it imports {}, which this host does not offer; offered are gregor:plugin/{{cache,timers,metrics}}@1, wasi:logging, wasi:config, wasi:keyvalue and WASI 0.2 without HTTP",
        quoted(.0.iter().map(String::as_str))
    )]
    Import(Vec<String>),
    #[error(
        "it imports {}, and this host offers version 0.2 of these: build it for WASI 0.2, for Rust with `--target wasm32-wasip2`",
        quoted(.0.iter().map(String::as_str))
    )]
    WasiVersion(Vec<String>),
    #[error(
        "it starts with {asked} bytes of memory, more than {key} ({limit}): raise that, or build it with less initial memory"
    )]
    Memory { asked: u64, limit: u64, key: String },
    #[error(
        "it has a table of {asked} elements, and the limit is {limit}: link less into it (lto, opt-level = \"s\"), or split it into two plugins",
        limit = TABLE_ELEMENTS
    )]
    Table { asked: u64 },
    #[error("it has {count} {what}, and the limit is {limit} for {of}: merge them, or split it into two plugins")]
    TooMany { count: u64, what: &'static str, limit: u32, of: &'static str },
    #[error("it does not fit the world `plugin` of wit/v1: {0}")]
    Mismatch(ForeignText),
    #[error(
        "compiling it took longer than `plugins.compile-timeout` ({0:?}): make it smaller (strip, opt-level = \"s\") or raise the limit"
    )]
    CompileTimeout(Duration),
    #[error(
        "compiling it took more memory than `plugins.compile-memory` ({0} bytes): make it smaller (strip, opt-level = \"s\") or raise the limit"
    )]
    CompileMemory(u64),
    #[error(
        "the compiler did not come to its end on it ({0}): build it anew, or with another version of its toolchain"
    )]
    Compiler(String),
    #[error(
        "the host could not compile it: its code cannot be written to {folder} ({problem}). Free space there, or name another `host.data-dir`, then deploy it again",
        folder = .folder.display()
    )]
    NotCompiled { folder: PathBuf, problem: String },
    #[error("it could not be started with the configuration of stage {stage}: {reason}")]
    Start { stage: String, reason: String },
}

impl Refused {
    /// A file of the host's own, in `folder`, that could not be read or written.
    pub fn not_compiled(folder: &Path) -> impl Fn(io::Error) -> Refused {
        move |error| Refused::NotCompiled { folder: folder.to_owned(), problem: error.to_string() }
    }

    /// What wasmtime says of a component. It keeps to itself the types of errors
    /// about what its pool has no room for: their texts are all there is.
    pub fn of(error: &wasmtime::Error) -> Refused {
        let text = error.root_cause().to_string();
        let numbers = |text: &str| text.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse().ok());
        let counted = [
            ("core module instances, which exceeds", "core modules", MODULES, "one component"),
            ("linear memories, which exceeds", "memories", MEMORIES, "one component"),
            ("tables, which exceeds", "tables", TABLES, "one component"),
            ("memories count of", "memories", MEMORIES, "one core module"),
            ("tables count of", "tables", TABLES, "one core module"),
        ];
        for (words, what, limit, of) in counted {
            if let (true, Some(count)) = (text.contains(words), numbers(&text)) {
                return Refused::TooMany { count, what, limit, of };
            }
        }
        Refused::Invalid(ForeignText::of_error(error))
    }
}

fn exported(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { quoted(names.iter().map(String::as_str)) }
}
