//! `cargo xtask openmetrics`: whether a text is OpenMetrics, as Prometheus' own strict
//! parser has it. That parser is in Python: it goes to `target/openmetrics`, once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::command;

const PYTHON: &str = "the parser needs Python 3.11 or newer, with venv \
    (Debian: `apt-get install python3-venv`; macOS: `brew install python`)";
const REQUIREMENTS: &str = "requirements.txt";

/// Reads standard input and says what is in it, or what is wrong with it.
///
/// # Errors
/// When Python is missing, or pip cannot install the parser.
pub fn run() -> Result<ExitCode> {
    let source = crate::root().join("xtask/openmetrics");
    let mut python = Command::new(installed(&source)?.join("venv/bin/python"));
    let status = command::status(python.arg(source.join("read.py")), PYTHON)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder that holds the parser, installed where what it needs has changed.
fn installed(source: &Path) -> Result<PathBuf> {
    let tools = crate::root().join("target/openmetrics");
    fs::create_dir_all(&tools)?;
    let lock = File::create(tools.join("lock"))?;
    lock.lock().context("cannot lock target/openmetrics/lock")?;
    let (wanted, done) = (fs::read(source.join(REQUIREMENTS))?, tools.join(REQUIREMENTS));
    if fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(tools);
    }
    eprintln!("Installing Prometheus' parser with pip (1 MB, once) into {}", tools.display());
    let mut venv = Command::new("python3");
    command::run(venv.args(["-m", "venv", "--clear"]).arg(tools.join("venv")), PYTHON)?;
    let mut pip = Command::new(tools.join("venv/bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    command::run(pip.arg(source.join(REQUIREMENTS)), PYTHON)?;
    fs::write(done, wanted)?;
    Ok(tools)
}
