//! `gregor status`: what a running host's admin server says of it.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use comfy_table::{Table, presets};
use serde::Deserialize;
use serde_json::json;

use super::api::{Api, Failed, NOT_WELL, printable, token};
use super::output;

const SHORT_DIGEST: usize = 12;

/// Shows a running host's partitions and plugins.
///
/// Exit codes: 0 it answered, 1 it answered with an error, 2 it wants a token,
/// 3 it cannot be reached. With --quiet: 0 it is ready, 1 it is not.
#[derive(Debug, Args)]
#[command(after_help = "Example: gregor status --admin http://127.0.0.1:9640")]
pub struct StatusArgs {
    /// Where the host's admin server listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9640")]
    admin: String,
    /// The environment variable that holds the admin server's token
    #[arg(long, value_name = "NAME", default_value = "GREGOR_ADMIN_TOKEN")]
    token_env: String,
    /// Print the documents of the admin API as one JSON object
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Print nothing but errors; for health checks
    #[arg(long)]
    quiet: bool,
}

/// Runs `gregor status`.
///
/// # Errors
/// When standard output cannot be written, or the server answers with
/// something that is not its API.
pub fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let code = match token(&args.token_env).and_then(|token| show(&args, token, &mut output::stdout())) {
        Ok(()) => 0,
        Err(Failed::Answer { code, problem }) => {
            complain!("error: {problem}");
            code
        }
        Err(Failed::Other(error)) => return Err(error),
    };
    Ok(ExitCode::from(code))
}

fn show(args: &StatusArgs, token: Option<String>, out: &mut impl Write) -> Result<(), Failed> {
    let remedy = format!("set {} to the host's `host.admin-token`", args.token_env);
    let api = Api::new(&args.admin, token, remedy)?;
    if args.quiet {
        // A health check knows two answers only: ready, and anything else.
        return api.get("/readyz", &[]).map(|_| ()).map_err(|failed| match failed {
            Failed::Answer { problem, .. } => Failed::Answer { code: NOT_WELL, problem },
            other => other,
        });
    }
    let [status, partitions, plugins] =
        [api.document("status")?, api.document("partitions")?, api.document("plugins")?];
    if args.json {
        let merged = json!({ "status": status, "partitions": partitions, "plugins": plugins });
        serde_json::to_writer_pretty(&mut *out, &merged)?;
        return Ok(writeln!(out)?);
    }
    let foreign = || format!("{} answers, but not as this version of gregor's admin server does", api.base());
    let status: Status = serde_json::from_value(status).with_context(foreign)?;
    let partitions: Vec<Partition> = serde_json::from_value(partitions).with_context(foreign)?;
    let plugins: Vec<Plugin> = serde_json::from_value(plugins).with_context(foreign)?;
    writeln!(out, "{}", status.line())?;
    writeln!(out, "{}", partition_table(&partitions))?;
    writeln!(out, "{}", plugin_table(&plugins))?;
    for held in &partitions {
        if let Some(why) = &held.mismatch {
            writeln!(out, "Partition {} of {} is held: {}", held.partition, held.topic, printable(why))?;
        }
    }
    for plugin in &plugins {
        if let Some(reason) = &plugin.refused {
            writeln!(out, "The last version of {} was refused: {}", plugin.plugin, printable(reason))?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Status {
    app: String,
    host: String,
    version: String,
    uptime_seconds: u64,
    workers: usize,
    lag: Option<i64>,
    #[serde(default)]
    standby: Vec<Copy>,
}

/// A standby copy.
#[derive(Deserialize)]
struct Copy {
    remaining: u64,
}

impl Status {
    fn line(&self) -> String {
        let Status { app, host, version, workers, .. } = self;
        let uptime = humantime::format_duration(Duration::from_secs(self.uptime_seconds));
        let line =
            format!("{app} on {host}: gregor {version}, up {uptime}, workers {workers}, lag {}", known(self.lag));
        if self.standby.is_empty() {
            return line;
        }
        let behind: u64 = self.standby.iter().map(|copy| copy.remaining).sum();
        format!("{line}, standby copies {} ({behind} records behind)", self.standby.len())
    }
}

#[derive(Deserialize)]
struct Partition {
    topic: String,
    partition: i32,
    worker: usize,
    state: String,
    failure: Option<String>,
    #[serde(default)]
    awaits: Option<String>,
    #[serde(default)]
    mismatch: Option<String>,
    position: i64,
    committed: Option<i64>,
    lag: Option<i64>,
    stages: Vec<Stage>,
}

#[derive(Deserialize)]
struct Stage {
    entries: u64,
    #[serde(default)]
    quarantined_records: u64,
    #[serde(default)]
    quarantined_keys: u64,
}

#[derive(Deserialize)]
struct Plugin {
    plugin: String,
    digest: String,
    since: u64,
    refused: Option<String>,
}

fn partition_table(partitions: &[Partition]) -> Table {
    let mut table =
        table(["topic", "partition", "worker", "state", "position", "committed", "lag", "entries", "parked"]);
    for partition in partitions {
        let state = match (&partition.failure, &partition.awaits) {
            (Some(why), _) if partition.mismatch.is_none() => format!("{} ({why})", partition.state),
            (None, Some(version)) => format!("{} ({})", partition.state, short(version)),
            _ => partition.state.clone(),
        };
        table.add_row([
            partition.topic.clone(),
            partition.partition.to_string(),
            partition.worker.to_string(),
            state,
            partition.position.to_string(),
            known(partition.committed),
            known(partition.lag),
            partition.stages.iter().map(|stage| stage.entries).sum::<u64>().to_string(),
            parked(&partition.stages),
        ]);
    }
    table
}

/// How much is parked, and of how many record keys.
fn parked(stages: &[Stage]) -> String {
    let sum = |count: fn(&Stage) -> u64| stages.iter().map(count).sum::<u64>();
    match sum(|stage| stage.quarantined_records) {
        0 => "0".to_owned(),
        records => format!("{records} ({} keys)", sum(|stage| stage.quarantined_keys)),
    }
}

fn plugin_table(plugins: &[Plugin]) -> Table {
    let mut table = table(["plugin", "digest", "since"]);
    for plugin in plugins {
        let digest: String = plugin.digest.chars().take(SHORT_DIGEST).collect();
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(plugin.since)).unwrap_or(UNIX_EPOCH);
        let since = humantime::format_rfc3339_seconds(since).to_string();
        table.add_row([plugin.plugin.clone(), digest, since]);
    }
    table
}

/// `plugin@digest` with the digest's first digits.
fn short(version: &str) -> String {
    let (plugin, digest) = version.split_once('@').unwrap_or(("", version));
    format!("{plugin}@{}", digest.chars().take(SHORT_DIGEST).collect::<String>())
}

fn table<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(columns);
    table
}

fn known(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests;
