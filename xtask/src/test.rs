//! `cargo xtask test`: everything a change has to pass.
//!
//! Needs a Rust toolchain, a C compiler and perl (librdkafka and its TLS are
//! built from source), Java and Maven for the broker and the Redis of the tests,
//! and Node, Python and Go for the plugins in other languages. Missing parts of
//! the toolchain are added with rustup; Kafka's jars go to `target/kafka`, Redis
//! to `target/redis` where the machine has none, the tools of the languages to
//! `target/guests`.
//! Both are started for the run, on free ports, unless KAFKA_BOOTSTRAP and
//! REDIS_URL name others.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use crate::cargo::{INSTALL, Tally, cargo, ensure_toolchain, run_tests};
use crate::kafka::Owned;
use crate::redis::ForTests;
use crate::{command, languages};

const BOOTSTRAP: &str = "KAFKA_BOOTSTRAP";
/// How many tests of one binary run at a time.
const THREADS: &str = "RUST_TEST_THREADS";

#[derive(clap::Args)]
pub struct Args {
    /// Only these steps, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEPS")]
    only: Vec<Step>,
    /// Only tests with this in their name; leaves fmt, lints and languages out
    filter: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Formatting
    Fmt,
    /// The misbehaving plugins that the host's tests load
    Guests,
    /// The plugins in other languages than Rust, and the tests beside them
    Languages,
    /// Tests that need no broker; some need Redis
    Unit,
    /// Clippy, with warnings as errors; after what it shares build scripts with
    Lints,
    /// The host's tests against a real broker and a real Redis
    Integration,
}

const STEPS: [Step; 6] = [Step::Fmt, Step::Guests, Step::Languages, Step::Unit, Step::Lints, Step::Integration];

/// Runs the steps asked for, each of them whatever came of those before it,
/// and prints what passed and failed.
///
/// # Errors
/// When the toolchain lacks something that cannot be added.
pub fn run(args: &Args) -> Result<ExitCode> {
    ensure_toolchain()?;
    let filter = args.filter.as_deref();
    let (mut total, mut tests) = (Tally::default(), Tally::default());
    let mut table = format!("{:<12} {:>7} {:>7} {:>8}\n", "step", "passed", "failed", "seconds");
    for step in STEPS.into_iter().filter(|step| step.is_wanted(&args.only, filter)) {
        let since = Instant::now();
        eprintln!("\n== {}", step.name());
        let tally = step.run(filter).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Tally::FAILED
        });
        table.push_str(&format!(
            "{:<12} {:>7} {:>7} {:>8.1}\n",
            step.name(),
            tally.passed,
            tally.failed,
            since.elapsed().as_secs_f64()
        ));
        total += tally;
        if step.is_tests() {
            tests += tally;
        }
    }
    if let Some(filter) = filter
        && tests.none_ran()
    {
        eprintln!("error: no test has `{filter}` in its name");
        total += Tally::FAILED;
    }
    println!("\n{table}");
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::Lints => "lints",
            Step::Guests => "guests",
            Step::Languages => "languages",
            Step::Unit => "unit",
            Step::Integration => "integration",
        }
    }

    fn is_wanted(self, only: &[Step], filter: Option<&str>) -> bool {
        if only.is_empty() {
            // The tests that need them build the plugins in other languages themselves.
            filter.is_none() || !matches!(self, Step::Fmt | Step::Lints | Step::Languages)
        } else {
            only.contains(&self)
        }
    }

    fn is_tests(self) -> bool {
        matches!(self, Step::Unit | Step::Integration)
    }

    fn run(self, filter: Option<&str>) -> Result<Tally> {
        match self {
            Step::Fmt => check("fmt --all --check"),
            Step::Lints => check("clippy --workspace --all-targets --locked -- -D warnings"),
            Step::Guests => guests(),
            Step::Languages => languages::check(),
            Step::Unit => {
                let redis = ForTests::start()?;
                let mut tally = Tally::default();
                for words in [
                    "test --locked --no-fail-fast --workspace --exclude gregor --exclude guests",
                    "test --locked --no-fail-fast -p last-location --features speed",
                    "test --locked --no-fail-fast -p gregor --lib --bins",
                    "test --locked --no-fail-fast -p gregor --doc",
                ] {
                    let mut command = cargo(words.split(' '));
                    redis.tell(&mut command);
                    tally += run_tests(command.args(filter))?;
                }
                Ok(tally)
            }
            Step::Integration => {
                let words = ["test", "--locked", "--no-fail-fast", "-p", "gregor", "--test", "*"];
                let mut command = cargo(words);
                command.args(filter);
                if env::var_os(THREADS).is_none() {
                    // These tests mostly wait for a broker or a host: more of
                    // them than there are cores.
                    let cores = std::thread::available_parallelism().map_or(1, usize::from);
                    command.env(THREADS, (2 * cores).to_string());
                }
                let broker = match env::var(BOOTSTRAP) {
                    Ok(named) => {
                        eprintln!("Using the broker at {named}, as {BOOTSTRAP} says");
                        None
                    }
                    Err(_) => Some(Owned::start()?),
                };
                if let Some(broker) = &broker {
                    command.env(BOOTSTRAP, broker.bootstrap());
                }
                let redis = ForTests::start()?;
                redis.tell(&mut command);
                run_tests(&mut command)
            }
        }
    }
}

/// Builds the plugins that the host's tests load: one check.
///
/// # Errors
/// When cargo cannot be started.
pub fn guests() -> Result<Tally> {
    check(
        "build --locked --target-dir target/plugins --profile plugin --target wasm32-wasip2 \
         -p guests -p average-location -p geofence -p stale-patient -p absence -p aggregate -p changes -p dedupe \
         -p mask -p shape -p throttle --lib --examples",
    )
}

fn check(words: &str) -> Result<Tally> {
    let status = command::status(&mut cargo(words.split_whitespace()), INSTALL)?;
    Ok(if status.success() { Tally::PASSED } else { Tally::FAILED })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(only: &[Step], filter: Option<&str>) -> Vec<&'static str> {
        let steps = STEPS.into_iter().filter(|step| step.is_wanted(only, filter));
        steps.map(Step::name).collect()
    }

    #[test]
    fn every_step_runs_by_default() {
        assert_eq!(wanted(&[], None), ["fmt", "guests", "languages", "unit", "lints", "integration"]);
    }

    #[test]
    fn a_filter_leaves_out_what_is_no_test() {
        assert_eq!(wanted(&[], Some("cache")), ["guests", "unit", "integration"]);
    }

    #[test]
    fn only_the_steps_named_run() {
        assert_eq!(wanted(&[Step::Unit, Step::Fmt], Some("cache")), ["fmt", "unit"]);
    }
}
