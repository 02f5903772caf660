//! `cargo xtask kafka`: a real broker and Kafka's own tools, from Maven Central.
//!
//! The first command downloads the jars named in `xtask/kafka/pom.xml` into
//! `target/kafka/libs-<version>` (Maven keeps its own copy under `~/.m2`);
//! nothing is installed elsewhere. Later commands start at once.

mod broker;
mod jars;
mod owned;
mod properties;
mod start;
mod stop;
mod tools;

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

pub use broker::{free_port, listening};
pub use jars::fetch as fetch_jars;
pub use owned::Owned;

const JAVA: &str = "Kafka needs a Java runtime, version 17 or newer \
    (Debian: `apt-get install openjdk-17-jre-headless`; macOS: `brew install openjdk@17`)";

/// A broker for tests, examples and benchmarks.
#[derive(Subcommand)]
pub enum Command {
    /// Start a broker (one node, KRaft) that goes on after this command ends
    Start(Start),
    /// Stop the broker that `start` started
    Stop(Stop),
    /// Kafka's kafka-topics, e.g. `topics --create --topic locations --partitions 6`
    #[command(disable_help_flag = true)]
    Topics(Passed),
    /// Kafka's kafka-console-producer; reads `key:value` lines
    #[command(disable_help_flag = true)]
    Produce(Passed),
    /// Kafka's kafka-console-consumer; prints `key:value` lines
    #[command(disable_help_flag = true)]
    Consume(Passed),
    /// Kafka's kafka-consumer-groups, e.g. `groups --describe --group patient-locations`
    #[command(disable_help_flag = true)]
    Groups(Passed),
    /// Kafka's kafka-acls, e.g. `acls --add --allow-principal User:gregor --operation Write --topic locations`
    #[command(disable_help_flag = true)]
    Acls(Passed),
}

#[derive(Args)]
pub struct Start {
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 9092)]
    port: u16,
    /// Folder of the broker's data, its log and its pid
    #[arg(long, default_value_os_t = default_data())]
    data: PathBuf,
    /// Delete what an earlier broker left in the data folder
    #[arg(long)]
    fresh: bool,
    /// Largest heap of the broker's Java virtual machine
    #[arg(long, default_value = "1g")]
    heap: String,
    /// Stay, and end the broker when standard input ends
    #[arg(long)]
    attached: bool,
    /// A further broker property; may be given several times
    #[arg(long = "set", value_name = "PROPERTY=VALUE")]
    set: Vec<String>,
}

#[derive(Args)]
pub struct Stop {
    /// The data folder given to `start`
    #[arg(long, default_value_os_t = default_data())]
    data: PathBuf,
    /// Kill it at once, as a crash would
    #[arg(long)]
    kill: bool,
}

/// Arguments for one of Kafka's own tools.
///
/// `--bootstrap-server` is filled in: KAFKA_BOOTSTRAP, or localhost:9092.
#[derive(Args)]
pub struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    args: Vec<String>,
}

/// Runs one `cargo xtask kafka` command.
///
/// # Errors
/// When Java or Maven is missing, a download fails, the port is taken, or the
/// broker does not come up or go down.
pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Start(start) => start::run(&start)?,
        Command::Stop(stop) => stop::run(&stop.data, stop.kill)?,
        Command::Topics(passed) => tools::exec(tools::Tool::Topics, passed.args)?,
        Command::Produce(passed) => tools::exec(tools::Tool::Produce, passed.args)?,
        Command::Consume(passed) => tools::exec(tools::Tool::Consume, passed.args)?,
        Command::Groups(passed) => tools::exec(tools::Tool::Groups, passed.args)?,
        Command::Acls(passed) => tools::exec(tools::Tool::Acls, passed.args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything of Kafka's that this machine keeps for the project.
fn folder() -> PathBuf {
    crate::root().join("target/kafka")
}

/// Lets one process start a broker at a time, until the file is dropped: of
/// two on one folder, the second finds the first's broker.
fn lock_start() -> Result<File> {
    let lock = File::create(folder().join("start.lock"))?;
    lock.lock().context("cannot lock target/kafka/start.lock")?;
    Ok(lock)
}

fn default_data() -> PathBuf {
    folder().join("data")
}
