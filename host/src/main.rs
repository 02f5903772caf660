//! `gregor`: see `gregor --help`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    gregor::cli::run(gregor::cli::Cli::parse())
}
