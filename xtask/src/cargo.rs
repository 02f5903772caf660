//! Running cargo, and counting what its tests did.

use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::ops::AddAssign;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::command;

pub const INSTALL: &str = "install Rust with rustup";

/// What plugins are compiled to.
const TARGET: &str = "wasm32-wasip2";

/// How many tests, or checks counted as one test each, passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    pub const PASSED: Tally = Tally { passed: 1, failed: 0 };
    pub const FAILED: Tally = Tally { passed: 0, failed: 1 };

    pub fn none_ran(self) -> bool {
        self == Tally::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// `cargo <words>` in the workspace's root.
pub fn cargo<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(words).current_dir(crate::root());
    cargo
}

/// Runs a `cargo test`, its output streaming through, and counts its tests.
/// One that does not compile, or a test program that dies, is one failed.
///
/// # Errors
/// When cargo cannot be started or its output cannot be read.
pub fn run_tests(command: &mut Command) -> Result<Tally> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| command::not_started(command, INSTALL, error))?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut tally = counted(output, &mut stdout())?;
    if !child.wait()?.success() && tally.failed == 0 {
        tally += Tally::FAILED;
    }
    Ok(tally)
}

/// Passes `output` on to `shown` and adds up the results in it.
fn counted(output: impl Read, shown: &mut impl Write) -> Result<Tally> {
    let mut tally = Tally::default();
    // Bytes, not text: a test may print anything.
    for line in BufReader::new(output).split(b'\n') {
        let mut line = line?;
        if let Some(result) = result(&String::from_utf8_lossy(&line)) {
            tally += result;
        }
        line.push(b'\n');
        shown.write_all(&line)?;
    }
    Ok(tally)
}

/// Reads the line a test program ends with.
fn result(line: &str) -> Option<Tally> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |of: &str| counts.split(';').find_map(|part| part.trim().strip_suffix(of)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")? })
}

/// Adds to the toolchain what is missing of rustfmt, clippy and the target of
/// plugins, and says so. Nothing happens when all are there.
///
/// # Errors
/// When something is missing and rustup cannot add it.
pub fn ensure_toolchain() -> Result<()> {
    for component in ["rustfmt", "clippy"] {
        let driver = if component == "clippy" { "clippy" } else { "fmt" };
        let there = cargo([driver, "--version"]).output().is_ok_and(|out| out.status.success());
        if !there {
            rustup("component", component)?;
        }
    }
    let folder = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(crate::root())
        .output();
    let there = folder.is_ok_and(|out| Path::new(String::from_utf8_lossy(&out.stdout).trim()).exists());
    if !there {
        rustup("target", TARGET)?;
    }
    Ok(())
}

fn rustup(what: &str, name: &str) -> Result<()> {
    eprintln!("Installing the {what} {name} into the Rust toolchain, with rustup");
    let mut rustup = Command::new("rustup");
    // In the workspace, so that it is the toolchain of rust-toolchain.toml.
    rustup.args([what, "add", name]).current_dir(crate::root());
    command::run(&mut rustup, INSTALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_test_program_is_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 4 filtered out; \
                    finished in 0.00s";
        assert_eq!(result(line), Some(Tally { passed: 12, failed: 0 }));
        let line = "test result: FAILED. 9 passed; 2 failed; 0 ignored; 0 measured; \
                    0 filtered out; finished in 1.20s";
        assert_eq!(result(line), Some(Tally { passed: 9, failed: 2 }));
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in ["", "test result: ", "test a ... ok", "running 2 tests", "5 passed; 0 failed"] {
            assert_eq!(result(line), None, "{line}");
        }
    }

    #[test]
    fn tests_are_counted_over_all_programs() -> Result<()> {
        let output = b"test result: ok. 2 passed; 0 failed; 0 ignored\n\xff\n\
            test result: FAILED. 3 passed; 1 failed; 1 ignored\n";
        let mut shown = Vec::new();
        assert_eq!(counted(&output[..], &mut shown)?, Tally { passed: 5, failed: 1 });
        assert_eq!(shown, output);
        Ok(())
    }

    #[test]
    fn a_test_program_that_dies_is_one_failed() -> Result<()> {
        let mut dies = Command::new("sh");
        dies.args(["-c", "exit 101"]);
        assert_eq!(run_tests(&mut dies)?, Tally::FAILED);
        Ok(())
    }
}
