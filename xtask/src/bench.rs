//! `cargo xtask bench`: the throughput benchmark, against a broker of its own.
//!
//! Measures the build that the container ships, or with `--profile release` the
//! one of `cargo run --release`, which is made sooner. Needs what
//! `cargo xtask test` needs. The table it prints is also written to
//! `target/bench/latest.json`. With `--languages`, no broker: the same plugin in
//! every language, call by call; its table goes into `docs/authors/languages.md`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cargo::{INSTALL, cargo, ensure_toolchain};
use crate::command;
use crate::kafka::Owned;
use crate::languages;

#[derive(clap::Args)]
pub struct Args {
    /// Records in each run
    #[arg(long)]
    records: Option<u64>,
    /// Runs of each case
    #[arg(long, conflicts_with = "languages")]
    runs: Option<u32>,
    /// Profile of the build: dist is the container's, release that of `cargo run --release`
    #[arg(long, default_value = "dist")]
    profile: String,
    /// The plugin last-location in every language, in place of hosts
    #[arg(long)]
    languages: bool,
}

/// Builds the benchmark, starts a broker, measures, and stops the broker.
///
/// # Errors
/// When the benchmark does not build or fails, or the broker does not come up.
pub fn run(args: &Args) -> Result<ExitCode> {
    ensure_toolchain()?;
    if args.languages {
        return run_languages(&args.profile, args.records);
    }
    let words = ["bench", "--profile", &args.profile, "-p", "gregor", "--bench", "throughput", "--locked"];
    // Built before the broker starts, which would otherwise wait for the compiler.
    command::run(cargo(words).arg("--no-run"), INSTALL)?;
    let broker = Owned::start()?;
    let mut bench = cargo(words);
    bench.env("KAFKA_BOOTSTRAP", broker.bootstrap()).arg("--");
    if let Some(records) = args.records {
        bench.args(["--records", &records.to_string()]);
    }
    if let Some(runs) = args.runs {
        bench.args(["--runs", &runs.to_string()]);
    }
    command::run(&mut bench, INSTALL)?;
    Ok(ExitCode::SUCCESS)
}

fn run_languages(profile: &str, records: Option<u64>) -> Result<ExitCode> {
    if languages::build()?.failed > 0 {
        bail!("the plugins in other languages do not build: see above");
    }
    let mut bench = cargo(["bench", "--profile", profile, "-p", "gregor", "--bench", "languages", "--locked", "--"]);
    if let Some(records) = records {
        bench.args(["--records", &records.to_string()]);
    }
    command::run(&mut bench, INSTALL)?;
    Ok(ExitCode::SUCCESS)
}
