//! `cargo xtask chaos`: tests of behaviour in their full form.
//!
//! The same tests that `cargo xtask test` runs in a shorter form, with a
//! release build and as many records and faults as asked for, one after the
//! other, against a broker and a Redis of their own. Each prints its figures.
//! Needs what `cargo xtask test` needs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cargo::{INSTALL, cargo, ensure_toolchain, run_tests};
use crate::kafka::Owned;
use crate::redis::ForTests;
use crate::{command, test};

#[derive(clap::Args)]
pub struct Args {
    /// What to run
    #[arg(value_enum, default_value = "oracle")]
    scenario: Scenario,
    /// Records to process [default: 1000000, with plugins in every language 200000, beside Flink 2000000]
    #[arg(long)]
    records: Option<u64>,
    /// How many times the fault strikes; each scenario has a number of its own
    #[arg(long)]
    rounds: Option<u64>,
    /// Makes the records and the order of what happens to them; another one each time by default
    #[arg(long)]
    seed: Option<u64>,
    /// For the swaps: a component that does what last-location does, in its place
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Enriched records equal those computed outside the host
    Oracle,
    /// The host is killed at random moments
    Kill,
    /// The host aborts at each step of a commit; a build with debug assertions
    CrashPoints,
    /// A host is frozen past its session, and wakes when others have its partitions
    Zombies,
    /// The broker is killed and restarted; it cannot be reached for 30 s
    Broker,
    /// Redis hangs or is killed, or the disk of the state is full, for 30 s
    Stores,
    /// Files of state on disk are damaged in bits and cut off; each round is one damage
    Damage,
    /// Two hosts become four and two again
    Hosts,
    /// A host is killed whose partitions another one has copies of
    Standby,
    /// A plugin is replaced on three hosts in turn
    Swaps,
    /// State of 1,000 bytes a record is opened, rebuilt and taken over
    LargeState,
    /// Hostile records, topic settings that change, and offsets committed by Kafka's tools; each round is one such commit
    Producers,
    /// Windows equal those of the Flink job of examples/flink, also of a host that is killed
    Flink,
    /// Generated plugins are refused or contained, each round is one of them; files, connections and
    /// signals at every edge, 300 of them at most
    Hostile,
    /// Plugins in every language process records without a trap; 200,000 of them if not told otherwise
    Languages,
    /// What plugins, records and configuration files may hold, for an hour, all at once; each round is a second
    Fuzz,
}

impl Scenario {
    /// What the names of its tests contain: their module's.
    fn filter(self) -> &'static str {
        match self {
            Scenario::Oracle => "oracle::",
            Scenario::Kill => "kills::",
            Scenario::CrashPoints => "crash_points::",
            Scenario::Zombies => "zombies::",
            Scenario::Broker => "broker_faults::",
            Scenario::Stores => "stores_away::",
            Scenario::Damage => "state::disk::tests::damage::",
            Scenario::Hosts => "growth_of_hosts::",
            Scenario::Standby => "standby::",
            Scenario::LargeState => "large_state::",
            Scenario::Swaps => "swaps::",
            Scenario::Producers => "producers::hostile_producers",
            Scenario::Flink => "flink::",
            Scenario::Hostile => "hostile",
            Scenario::Languages => "languages::many_records",
            Scenario::Fuzz => "fuzz::",
        }
    }

    /// Records of the full form.
    fn records(self) -> u64 {
        match self {
            Scenario::Languages => 200_000,
            Scenario::Flink => 2_000_000,
            _ => 1_000_000,
        }
    }

    /// How many times the fault strikes in the full form.
    fn rounds(self) -> u64 {
        match self {
            Scenario::Oracle | Scenario::LargeState | Scenario::Languages => 1,
            Scenario::Kill => 50,
            Scenario::CrashPoints => 5,
            Scenario::Zombies | Scenario::Flink => 10,
            Scenario::Broker => 5,
            Scenario::Stores => 3,
            Scenario::Damage => 1_000,
            Scenario::Hosts => 30,
            Scenario::Standby => 10,
            Scenario::Swaps => 100,
            Scenario::Producers => 60,
            Scenario::Hostile => 2_000,
            Scenario::Fuzz => 3_600,
        }
    }

    /// How many of its tests run at a time: those that wait for nothing can share the hour.
    fn at_once(self) -> &'static str {
        match self {
            Scenario::Fuzz => "4",
            _ => "1",
        }
    }

    fn words(self) -> Vec<&'static str> {
        let mut words = vec!["test", "-p", "gregor", "--locked"];
        match self {
            Scenario::Damage => words.push("--lib"),
            _ => words.extend(["--test", "behaviour"]),
        }
        if !matches!(self, Scenario::CrashPoints) {
            words.push("--release");
        }
        words
    }
}

/// Builds, starts a broker and a Redis, runs the scenario, and stops both.
///
/// # Errors
/// When the tests do not build, the broker does not come up, or there is no
/// test of that name.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.plugin.is_some() && !matches!(args.scenario, Scenario::Swaps) {
        bail!("--plugin is for `cargo xtask chaos swaps`");
    }
    ensure_toolchain()?;
    if test::guests()?.failed > 0 {
        bail!("the guests do not build: see above");
    }
    let words = args.scenario.words();
    command::run(cargo(words.iter().copied()).arg("--no-run"), INSTALL)?;

    let seed = args.seed.unwrap_or_else(any_seed);
    let records = args.records.unwrap_or(args.scenario.records());
    let rounds = args.rounds.unwrap_or(args.scenario.rounds());
    eprintln!("{records} records, {rounds} rounds, seed {seed}; repeat it with --seed {seed}");
    let broker = Owned::start()?;
    let redis = ForTests::start()?;
    let mut tests = cargo(words);
    tests
        .args(["--", args.scenario.filter(), "--include-ignored", "--nocapture"])
        .args(["--test-threads", args.scenario.at_once()])
        .env("KAFKA_BOOTSTRAP", broker.bootstrap())
        .env("GREGOR_TEST_RECORDS", records.to_string())
        .env("GREGOR_TEST_ROUNDS", rounds.to_string())
        .env("GREGOR_TEST_SEED", seed.to_string());
    if let Some(plugin) = &args.plugin {
        let file = plugin.canonicalize().with_context(|| format!("cannot read {}", plugin.display()))?;
        tests.env("GREGOR_TEST_PLUGIN", file);
    }
    redis.tell(&mut tests);
    let tally = run_tests(&mut tests)?;
    if tally.none_ran() {
        bail!("no test has `{}` in its name", args.scenario.filter());
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The clock is random enough to try another order each time.
fn any_seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since_epoch.subsec_nanos())
}
