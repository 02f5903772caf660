//! Compiles the plugins that `gregor demo` embeds, so that one cargo command
//! is enough on a fresh machine.

#[path = "build/embed.rs"]
mod embed;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    // Packages only: components dropped into plugins/ are no sources, and plugins in
    // other languages are not compiled here.
    for entry in fs::read_dir(root.join("plugins"))? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    embed::folder(&root.join("wit/v1"), &out.join("wit.rs"))?;
    embed::folder(&root.join("plugins/sdk"), &out.join("sdk.rs"))?;
    embed::folder(&root.join("host/templates"), &out.join("templates.rs"))?;
    embed::folder(&root.join("host/support"), &out.join("support.rs"))?;
    ensure_target()?;
    // The demo swaps to this one: the same plugin, a field more. Built first, so
    // that cargo's own folder is left with the plain one.
    fs::create_dir_all(out.join("speed"))?;
    build(&root, &out.join("speed"), &["last-location"], &["--features", "last-location/speed"])?;
    build(&root, &out, &["patient-location", "last-location", "key-by"], &[])
}

/// Automatic installation of toolchain parts may be off.
fn ensure_target() -> Outcome<()> {
    let printed = Command::new(env::var("RUSTC")?).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    if Path::new(String::from_utf8_lossy(&printed.stdout).trim()).is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!("the target {TARGET} is missing and could not be added: run `rustup target add {TARGET}`").into())
}

fn build(root: &Path, out: &Path, plugins: &[&str], extra: &[&str]) -> Outcome<()> {
    // Beside the profile's own folder, shared by all profiles. A folder of its
    // own, as cargo holds a lock on the one it builds into.
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let target_dir =
        out_dir.ancestors().nth(4).ok_or("OUT_DIR is target/<profile>/build/<package>/out")?.join("plugins");
    let mut cargo = Command::new(env::var("CARGO")?);
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
    if !cargo.status()?.success() {
        return Err("the plugins could not be built: see cargo's lines above".into());
    }
    for plugin in plugins {
        let file = format!("{}.wasm", plugin.replace('-', "_"));
        fs::copy(target_dir.join(TARGET).join("plugin").join(file), out.join(format!("{plugin}.wasm")))?;
    }
    Ok(())
}
