//! Rust: cargo makes the component itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::author::{AuthorError, Project, sdk, tool};

const TARGET: &str = "wasm32-wasip2";
const CARGO: &str = "install Rust from https://rustup.rs";

pub fn build(project: &Project) -> Result<Vec<u8>, AuthorError> {
    sdk::restore(project)?;
    ensure_target(&project.dir)?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&project.dir).args(["build", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    let messages = tool::output(&mut cargo, CARGO)?;
    let file = artefact(&messages, &project.dir).ok_or_else(|| {
        AuthorError::Component("cargo made no .wasm file: Cargo.toml needs [lib] with crate-type = [\"cdylib\"]".into())
    })?;
    fs::read(&file).map_err(AuthorError::file(&file))
}

fn ensure_target(dir: &Path) -> Result<(), AuthorError> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(dir).args(["--print", "target-libdir", "--target", TARGET]);
    let folder = tool::output(&mut rustc, CARGO)?;
    if Path::new(String::from_utf8_lossy(&folder).trim()).is_dir() {
        return Ok(());
    }
    Err(AuthorError::Missing {
        missing: format!("Rust's target {TARGET}"),
        remedy: format!("run `rustup target add {TARGET}`"),
    })
}

/// The file that cargo made of the package in `dir`, out of its messages, one JSON
/// object a line (the Cargo book, "External tools").
fn artefact(messages: &[u8], dir: &Path) -> Option<PathBuf> {
    let manifest = dir.join("Cargo.toml");
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["manifest_path"].as_str().map(Path::new) == Some(&manifest))
        .filter_map(|message| {
            let files = message["filenames"].as_array()?;
            files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        })
        .next_back()
}
