//! Compiles the plugins that `gregor demo` embeds, so that one cargo command
//! is enough on a fresh machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";

fn main() {
    let root = PathBuf::from(var("CARGO_MANIFEST_DIR")).join("..");
    let out = PathBuf::from(var("OUT_DIR"));
    for watched in ["wit/v1", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    // Folders only: components dropped into plugins/ are no sources.
    for entry in fs::read_dir(root.join("plugins")).expect("the folder of plugins").flatten() {
        if entry.path().is_dir() {
            println!("cargo::rerun-if-changed={}", entry.path().display());
        }
    }
    ensure_target();
    // The demo swaps to this one: the same plugin, a field more. Built first, so
    // that cargo's own folder is left with the plain one.
    fs::create_dir_all(out.join("speed")).expect("a folder in OUT_DIR");
    build(&root, &out.join("speed"), &["last-location"], &["--features", "last-location/speed"]);
    build(&root, &out, &["patient-location", "last-location", "key-by"], &[]);
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Automatic installation of toolchain parts may be off.
fn ensure_target() {
    let printed = Command::new(var("RUSTC")).args(["--print", "target-libdir", "--target", TARGET]).output();
    let installed = printed.is_ok_and(|printed| Path::new(String::from_utf8_lossy(&printed.stdout).trim()).is_dir());
    if !installed {
        let added = Command::new("rustup").args(["target", "add", TARGET]).status();
        assert!(
            added.is_ok_and(|status| status.success()),
            "the target {TARGET} is missing and `rustup target add {TARGET}` did not install it: install it by hand"
        );
    }
}

fn build(root: &Path, out: &Path, plugins: &[&str], extra: &[&str]) {
    // Beside the profile's own folder, shared by all profiles. A folder of its
    // own, as cargo holds a lock on the one it builds into.
    let target_dir =
        Path::new(&var("OUT_DIR")).ancestors().nth(4).expect("target/<profile>/build/<package>/out").join("plugins");
    let mut cargo = Command::new(var("CARGO"));
    cargo
        .current_dir(root)
        .args(["build", "--locked", "--profile", "plugin", "--target", TARGET, "--target-dir"])
        .arg(&target_dir)
        .args(plugins.iter().flat_map(|plugin| ["--package", plugin]))
        .args(extra);
    // What the outer cargo tells its own rustc does not concern the guest's.
    for name in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"]
    {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the plugins could not be built: see cargo's lines above");
    for plugin in plugins {
        let file = format!("{}.wasm", plugin.replace('-', "_"));
        let built = target_dir.join(TARGET).join("plugin").join(file);
        fs::copy(&built, out.join(format!("{plugin}.wasm"))).expect("the component that cargo just built");
    }
}
