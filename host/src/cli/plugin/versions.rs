//! `gregor plugin list`, `deploy`, `history` and `rollback`: what is asked of a
//! running host.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use comfy_table::{Table, presets};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::api::{Api, Failed, printable, token};
use crate::files::foreign;

/// More than a host may take to compile a version and to hand it over.
const PATIENCE: Duration = Duration::from_secs(2 * 3_600);
const SHORT_DIGEST: usize = 12;
/// Largest component that is sent; a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;

/// Which host, and how it is told.
#[derive(clap::Args)]
pub struct HostArgs {
    /// Where the host's admin server listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9640")]
    admin: String,
    /// The environment variable that holds the admin server's token
    #[arg(long, value_name = "NAME", default_value = "GREGOR_ADMIN_TOKEN")]
    token_env: String,
    /// Print the admin API's answer
    #[arg(long)]
    json: bool,
}

/// List a running host's plugins and the version of each that is in force
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin list")]
pub struct ListArgs {
    #[command(flatten)]
    host: HostArgs,
}

/// Deploy a version to a running host, while records flow
///
/// Answers once every worker runs it, or once it is refused; the version before
/// goes on then. Needs the host's token. Other hosts of the group are deployed to
/// one by one.
///
/// Exit codes: 0 it runs; 1 the host answered with an error; 2 it wants a token;
/// 3 it cannot be reached; 4 it refused the version.
#[derive(clap::Args)]
#[command(
    after_help = "Example: gregor plugin deploy target/wasm32-wasip2/release/last_location.wasm --plugin last-location"
)]
pub struct DeployArgs {
    /// The component, a .wasm file
    file: PathBuf,
    /// The plugin's name in the configuration [default: the file's name without .wasm]
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// Let it import interfaces that the version before does not
    #[arg(long)]
    approve: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// List the versions that a running host keeps of a plugin, newest first
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin history last-location")]
pub struct HistoryArgs {
    /// The plugin's name
    plugin: String,
    #[command(flatten)]
    host: HostArgs,
}

/// Bring an earlier version back on a running host, while records flow
///
/// Without --to: the version that was in force before, leaving out those that
/// were rolled back themselves, so that each rollback goes one further back. The
/// file in the plugins' folder stays out of force until it changes, also after a
/// restart. Exit codes as for deploy.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin rollback last-location --to 89eaf5ba61d4")]
pub struct RollbackArgs {
    /// The plugin's name
    plugin: String,
    /// The beginning of a version's digest, as `history` shows it
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Deserialize)]
struct Plugin {
    plugin: String,
    digest: String,
    since: u64,
    refused: Option<String>,
}

#[derive(Deserialize)]
struct History {
    versions: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    digest: String,
    bytes: u64,
    since: u64,
    by: String,
    rolled_back: bool,
}

#[derive(Deserialize)]
struct Swapped {
    plugin: String,
    outcome: String,
    digest: String,
    pause_seconds: Option<f64>,
}

pub fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    answer(
        &args.host,
        |api| api.get("/api/v1/plugins", &[]),
        |plugins: Vec<Plugin>| {
            let mut table = table(["plugin", "version", "since", "refused"]);
            for plugin in &plugins {
                let refused = plugin.refused.as_deref().map(printable).unwrap_or_default();
                table.add_row([plugin.plugin.clone(), short(&plugin.digest), time(plugin.since), refused]);
            }
            println!("{table}");
        },
    )
}

pub fn history(args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let route = format!("/api/v1/plugins/{}", args.plugin);
    answer(
        &args.host,
        |api| api.get(&route, &[]),
        |history: History| {
            let mut table = table(["version", "since", "by", "bytes", ""]);
            for (nth, kept) in history.versions.iter().enumerate() {
                let note = match (nth, kept.rolled_back) {
                    (0, _) => "in force",
                    (_, true) => "rolled back",
                    (_, false) => "",
                };
                let row =
                    [short(&kept.digest), time(kept.since), kept.by.clone(), kept.bytes.to_string(), note.to_owned()];
                table.add_row(row);
            }
            println!("{table}");
        },
    )
}

pub fn deploy(args: &DeployArgs) -> anyhow::Result<ExitCode> {
    let bytes = foreign::read(&args.file, MAX_SIZE).with_context(|| format!("cannot read {}", args.file.display()))?;
    let plugin = match &args.plugin {
        Some(plugin) => plugin.clone(),
        None => args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let query = [("approve", args.approve.to_string())];
    let route = format!("/api/v1/plugins/{plugin}");
    answer(&args.host, |api| api.post(&route, &query, &bytes, PATIENCE), tell)
}

pub fn roll_back(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let query: Vec<_> = args.to.iter().map(|to| ("to", to.clone())).collect();
    let route = format!("/api/v1/plugins/{}/rollback", args.plugin);
    answer(&args.host, |api| api.post(&route, &query, &[], PATIENCE), tell)
}

fn tell(swapped: Swapped) {
    let Swapped { plugin, outcome, digest, pause_seconds } = swapped;
    let digest = short(&digest);
    match pause_seconds {
        Some(pause) if outcome == "activated" => {
            let pause = Duration::from_secs_f64(pause);
            println!("{plugin}: version {digest} runs on every worker; records waited {pause:.1?} at most");
        }
        _ => println!("{plugin}: version {digest} runs already"),
    }
}

/// Asks the host, and shows what it answers: as it is, or read.
///
/// # Errors
/// When standard output cannot be written, or the server answers with
/// something that is not its API.
pub fn answer<T: for<'a> Deserialize<'a>>(
    args: &HostArgs,
    ask: impl FnOnce(&Api) -> Result<String, Failed>,
    show: impl FnOnce(T),
) -> anyhow::Result<ExitCode> {
    let remedy = format!("set {} to the host's `host.admin-token`", args.token_env);
    let asked = token(&args.token_env).and_then(|token| Api::new(&args.admin, token, remedy)).and_then(|api| ask(&api));
    let body = match asked {
        Ok(body) => body,
        Err(Failed::Answer { code, problem }) => {
            complain!("error: {problem}");
            return Ok(ExitCode::from(code));
        }
        Err(Failed::Other(error)) => return Err(error),
    };
    if args.json {
        let document: Value = serde_json::from_str(&body)?;
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        let foreign = || format!("{} answers, but not as this version of gregor's admin server does", args.admin);
        show(serde_json::from_str(&body).with_context(foreign)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn table<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(columns);
    table
}

fn short(digest: &str) -> String {
    digest.get(..SHORT_DIGEST).unwrap_or(digest).to_owned()
}

fn time(since: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(since)).to_string()
}
