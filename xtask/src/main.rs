//! `cargo xtask`: what a developer of Gregor runs, beside cargo itself.
//!
//! One module for each subcommand. A module's rustdoc says what its command
//! installs, and where; everything goes under `target/`.

mod bench;
mod cargo;
mod chaos;
mod command;
mod container_test;
mod flink;
mod kafka;
mod languages;
mod openmetrics;
mod process;
mod redis;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests and measures Gregor.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start or stop a real Kafka broker, and run Kafka's own tools against it
    #[command(subcommand)]
    Kafka(kafka::Command),
    /// Run the Flink job of examples/flink
    #[command(subcommand)]
    Flink(flink::Command),
    /// Start or stop a real Redis
    #[command(subcommand)]
    Redis(redis::Command),
    /// Check formatting and lints, build the guests, run every test
    Test(test::Args),
    /// Measure records a second, CPU a record and memory against a broker of its own
    Bench(bench::Args),
    /// Run a test of behaviour in its full form: many records, a release build
    Chaos(chaos::Args),
    /// Build the plugins in other languages than Rust, installing their tools below `target`
    Languages(languages::Args),
    /// Read OpenMetrics text from standard input as Prometheus' own parser does
    Openmetrics,
    /// Build the image, run docker-compose.yml and check it as a user would
    ContainerTest(container_test::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Kafka(command) => kafka::run(command),
        Command::Flink(command) => flink::run(&command),
        Command::Redis(command) => redis::run(command),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Languages(args) => languages::run(&args),
        Command::Openmetrics => openmetrics::run(),
        Command::ContainerTest(args) => container_test::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root folder.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
