//! `gregor plugin test`: records in a file through plugins, or one failed call again.

mod capsule;
mod cases;
mod json;
pub mod line;
pub mod pipeline;
pub mod records;
pub mod stand;
mod time;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// As for `gregor plugin check`: a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;
const DIFFERS: u8 = 1;
pub const USAGE: u8 = 2;
pub const REFUSED: u8 = 4;

/// Put records through plugins as a host would, with no broker, and compare what comes out
///
/// Each PLUGIN is a project's folder, which is built first, or a component: several are
/// the stages of a pipeline, in this order. State is in memory, failures are shown with
/// the plugin's own words, and time is that of the records.
///
/// A file of records has a line for each: `key:value`, or JSON with any of `key`, `value`,
/// `keyBase64`, `valueBase64`, `timestamp`, `headers`, `partition` and `case`, a remark. A
/// `key` or `value` that is text is that text, `null` is null, anything else reaches the
/// plugin byte for byte as it is written. A time is whole milliseconds since the Unix epoch,
/// up to 9223372036854775807, -1 being none, or RFC 3339 with any offset, as
/// 2026-01-01T12:00:00.250+01:00. Records move event time on and the clock too,
/// `{"advanceTo": TIME}` the clock alone; timers fire as they become due.
///
/// In a project, every cases/NAME.records.jsonl is put through and compared with
/// cases/NAME.expected.jsonl. Numbers compare as they are written: 1.0 is not 1, unless
/// --tolerance says so.
///
/// Exit codes: 0 as expected; 1 otherwise, or the build failed; 2 usage, or no such file;
/// 4 a component is refused.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gregor plugin test
  gregor plugin test --update
  gregor plugin test key-by.wasm ward-watch --records in.jsonl --expect out.jsonl
  gregor plugin test average-location.wasm --records in.jsonl --max-out-of-orderness 10s
  gregor plugin test --config gregor.toml --pipeline locations --records in.jsonl
  kcat … | gregor plugin test ward-watch --records -
  gregor plugin test --capsule data/capsules/locations.last-location.locations-3-17.json
  gregor plugin test --capsule FILE --component target/wasm32-wasip2/release/better.wasm

With --capsule, a call that failed happens again, from the capsule that a host kept of
it; exit code 0 is that it ends as it did then. A capsule holds what its record holds:
health data. The plugin's own words are shown with --words only.")]
pub struct TestArgs {
    /// The stages: folders of projects, or components [default: the project in this folder]
    #[arg(value_name = "PLUGIN")]
    plugins: Vec<PathBuf>,
    /// The records, - for standard input [default: the project's cases]
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// What is to come out, a line of JSON for each output and failure
    #[arg(long, value_name = "FILE", requires = "records")]
    expect: Option<PathBuf>,
    /// Write what comes out to the expected file, in place of comparing
    #[arg(long)]
    update: bool,
    /// Compare numbers as numbers, which are the same up to so far apart: integers exactly,
    /// others as doubles [default: as they are written]
    #[arg(long, value_name = "X")]
    tolerance: Option<f64>,
    /// A value of the stages' configuration
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// A further topic that the stages may write to
    #[arg(long = "topic", value_name = "NAME")]
    topics: Vec<String>,
    /// How much earlier than the latest record so far one may be without being late, as 10s
    #[arg(long, value_name = "DURATION")]
    max_out_of_orderness: Option<String>,
    /// Without a record for so long, event time goes on by the clock, as 1m
    #[arg(long, value_name = "DURATION")]
    idle_timeout: Option<String>,
    /// Partitions of the records' topic; a key decides, unless the record names one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    partitions: i32,
    /// Take stages and limits from a pipeline of this configuration; its components are
    /// those of its plugins' folder, or each PLUGIN in turn
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["settings", "topics", "max_out_of_orderness", "idle_timeout"])]
    config: Option<PathBuf>,
    /// Which of its pipelines [default: the first]
    #[arg(long, value_name = "NAME", requires = "config")]
    pipeline: Option<String>,
    /// Make a failed call again: a file below `capsules` in the host's data folder
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plugins", "records", "update", "config"])]
    capsule: Option<PathBuf>,
    /// The component for it [default: the version that failed, where the host has kept it]
    #[arg(long, value_name = "FILE", requires = "capsule")]
    component: Option<PathBuf>,
    /// Show the plugin's own words too, which may hold what the record holds
    #[arg(long, requires = "capsule")]
    words: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs `gregor plugin test`.
///
/// # Errors
/// When a file cannot be read or written.
pub fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    match &args.capsule {
        Some(file) => capsule::run(args, file),
        None => cases::run(args),
    }
}

pub fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// One line to standard error, and the exit code for it.
pub fn refuse(code: u8, problem: &str) -> ExitCode {
    complain!("error: {problem}");
    ExitCode::from(code)
}
