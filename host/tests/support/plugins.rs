//! The components that hosts under test run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::component;

/// The plugins that need no code.
pub const SHELF: [&str; 7] = ["absence", "aggregate", "changes", "dedupe", "mask", "shape", "throttle"];

/// Builds the guests of `host/tests/guests` and the plugins that the host does not
/// hold itself, once a run; the folder they are in.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace");
    let target = root.join("target/plugins");
    let status = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .current_dir(&root)
        .args(["build", "--quiet", "--locked", "--profile", "plugin", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .args(["-p", "guests", "-p", "average-location", "-p", "geofence", "-p", "stale-patient"])
        .args(SHELF.iter().flat_map(|name| ["-p", name]))
        .args(["--lib", "--examples"])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the plugins could not be built: see cargo's lines above");
    target.join("wasm32-wasip2/plugin")
});

/// The bytes of a plugin that comes with the host or of a guest, whose name
/// may be written with `-`; guests written as WebAssembly text are built here.
pub fn plugin(name: &str) -> Vec<u8> {
    if let Some((_, bytes)) = gregor::demo_plugins().into_iter().find(|(known, _)| *known == name) {
        return bytes.to_vec();
    }
    if let Some(bytes) = component::written(name) {
        return bytes;
    }
    let file = format!("{}.wasm", name.replace('-', "_"));
    let own = fs::read(BUILT.join(&file));
    own.or_else(|_| fs::read(BUILT.join("examples").join(&file)))
        .unwrap_or_else(|error| panic!("no plugin {name} in {}: {error}", BUILT.display()))
}
