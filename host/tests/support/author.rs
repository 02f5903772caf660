//! What the author of a plugin types and changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `gregor plugin <words>`, to its end.
pub fn author(words: &[&str]) -> Output {
    command(words).output().expect("the binary runs")
}

/// `gregor plugin <words>`, with builds that are quick and shared by all tests.
pub fn command(words: &[&str]) -> Command {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/authors");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gregor"));
    command
        .arg("plugin")
        .args(words)
        .env("CARGO_TARGET_DIR", shared)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("GREGOR_LOG")
        .env_remove("GREGOR_CONFIG");
    command
}

/// What a command said, which ended with `code`.
#[track_caller]
pub fn told(output: &Output, code: i32) -> String {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn path(file: &Path) -> &str {
    file.to_str().expect("a plain path")
}

/// A new project in Rust. The lock file is this workspace's, so that its crates are here.
pub fn rust_project(folder: &Path, name: &str) -> PathBuf {
    let dir = folder.join(name);
    told(&author(&["new", name, "--lang", "rust", "--dir", path(&dir)]), 0);
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    fs::copy(lock, dir.join("Cargo.lock")).expect("copied");
    dir
}

/// Puts `to` in the place of `from`, in one move as most editors save.
#[track_caller]
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("read");
    assert!(text.contains(from), "{from:?} is not in {}", file.display());
    let saved = file.with_extension("saved~");
    fs::write(&saved, text.replace(from, to)).expect("written");
    fs::rename(saved, file).expect("renamed");
}
