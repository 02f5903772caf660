//! The languages' tools: installed once, below `target/guests/tools`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};

use super::sources::folder;
use crate::command;

pub const NODE: &str = "JavaScript and TypeScript need Node 20 or newer, with npm \
    (Debian: `apt-get install nodejs npm`; macOS: `brew install node`)";
pub const PYTHON: &str = "Python and C need Python 3.11 or newer, with venv \
    (Debian: `apt-get install python3-venv`; macOS: `brew install python`)";
pub const GO: &str = "Go needs Go 1.25 or newer: https://go.dev/dl";
pub const CC: &str = "the tests of the plugins in C need a C compiler";

/// Two languages may ask for one tool at a time.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Lets one process build at a time, until the file is dropped.
///
/// # Errors
/// When the folder cannot be made.
pub fn lock() -> Result<File> {
    fs::create_dir_all(folder())?;
    let lock = File::create(folder().join("lock"))?;
    lock.lock().context("cannot lock target/guests/lock")?;
    Ok(lock)
}

/// The folder with the npm packages' programs.
///
/// # Errors
/// When npm is missing or cannot install them.
pub fn npm() -> Result<PathBuf> {
    let manifests = ["package.json", "package-lock.json"];
    let installed = installed("npm", &manifests, |tools| {
        eprintln!("Installing the tools for JavaScript and TypeScript with npm (80 MB, once) into {}", tools.display());
        // `ci` takes the lock file at its word.
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(tools);
        command::run(&mut npm, NODE)
    })?;
    Ok(installed.join("node_modules/.bin"))
}

/// The folder with the Python packages' programs.
///
/// # Errors
/// When Python is missing or pip cannot install them.
pub fn pip() -> Result<PathBuf> {
    let installed = installed("pip", &["requirements.txt"], |tools| {
        eprintln!("Installing the tools for Python and C with pip (500 MB, once) into {}", tools.display());
        let mut venv = Command::new("python3");
        command::run(venv.args(["-m", "venv"]).arg(tools.join("venv")), PYTHON)?;
        let mut pip = Command::new(tools.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        command::run(pip.arg(tools.join("requirements.txt")), PYTHON)
    })?;
    Ok(installed.join("venv/bin"))
}

/// `target/guests/tools/<name>`, made by `install` where `manifests` have changed
/// since it was made last.
fn installed(name: &str, manifests: &[&str], install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let _one = INSTALLING.lock().map_err(|_| anyhow!("another installation panicked"))?;
    let tools = folder().join("tools").join(name);
    let source = crate::root().join("xtask/languages");
    let done = tools.join("done");
    let same = |file: &str| {
        fs::read(source.join(file)).is_ok_and(|new| fs::read(tools.join(file)).is_ok_and(|old| old == new))
    };
    if done.exists() && manifests.iter().all(|file| same(file)) {
        return Ok(tools);
    }
    if tools.exists() {
        fs::remove_dir_all(&tools)?;
    }
    fs::create_dir_all(&tools)?;
    for file in manifests {
        fs::copy(source.join(file), tools.join(file))?;
    }
    install(&tools)?;
    fs::write(done, "")?;
    Ok(tools)
}
