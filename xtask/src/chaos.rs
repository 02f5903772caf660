//! `cargo xtask chaos`: tests of behaviour in their full form.
//!
//! The same tests that `cargo xtask test` runs in a shorter form, with a
//! release build and as many records as asked for, against a broker of their
//! own. Needs what `cargo xtask test` needs.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::cargo::{INSTALL, cargo, ensure_toolchain, run_tests};
use crate::kafka::Owned;
use crate::{command, test};

#[derive(clap::Args)]
pub struct Args {
    /// What to run
    #[arg(value_enum, default_value = "oracle")]
    scenario: Scenario,
    /// Records to process
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Makes the records and the order of what happens to them; another one each time by default
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Enriched records equal those computed outside the host
    Oracle,
}

impl Scenario {
    /// What the names of its tests contain.
    fn filter(self) -> &'static str {
        match self {
            Scenario::Oracle => "oracle",
        }
    }
}

/// Builds, starts a broker, runs the scenario, and stops the broker.
///
/// # Errors
/// When the tests do not build, the broker does not come up, or there is no
/// test of that name.
pub fn run(args: &Args) -> Result<ExitCode> {
    ensure_toolchain()?;
    if test::guests()?.failed > 0 {
        bail!("the guests do not build: see above");
    }
    let words = ["test", "-p", "gregor", "--release", "--locked", "--test", "behaviour"];
    command::run(cargo(words).arg("--no-run"), INSTALL)?;

    let seed = args.seed.unwrap_or_else(any_seed);
    eprintln!("{} records, seed {seed}; repeat it with --seed {seed}", args.records);
    let broker = Owned::start()?;
    let tally = run_tests(
        cargo(words)
            .args(["--", args.scenario.filter()])
            .env("KAFKA_BOOTSTRAP", broker.bootstrap())
            .env("GREGOR_TEST_RECORDS", args.records.to_string())
            .env("GREGOR_TEST_SEED", seed.to_string()),
    )?;
    if tally.none_ran() {
        bail!("host/tests/behaviour has no test with `{}` in its name", args.scenario.filter());
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The clock is random enough to try another order each time.
fn any_seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since_epoch.subsec_nanos())
}
