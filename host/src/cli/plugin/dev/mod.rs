//! `gregor plugin dev`: sources that change, a host that runs what they become.

mod samples;
mod sources;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;

use self::samples::Samples;
use self::sources::Sources;
use super::build::project_built;
use super::test::refuse;
use crate::author::{Built, Project};
use crate::cli;
use crate::cli::api::{Api, Failed, printable};
use crate::config::{self, Config};
use crate::files::foreign;

/// More than a host may take to compile a version and to hand it over.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Largest component that is sent; a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Build and deploy a plugin whenever its sources change, and show what comes out
///
/// Deploys by the admin API, as `gregor plugin deploy` does, to a running host that has an
/// admin token. Before the first version and after each, it shows some records of the
/// pipeline's source with what came out of them. Ctrl-C ends it; the host goes on with
/// the last version.
///
/// A build that fails, a version that is refused and a host that does not answer are told,
/// and it goes on watching. It watches every file in the project's folder, also behind links,
/// but for hidden ones and what tools write: the component, Go's bindings, caches (folders
/// with a CACHEDIR.TAG, as cargo's target), virtual environments, node_modules (in which
/// linked packages are watched). Sources outside of the folder are not watched.
///
/// What it shows are whole records: run it where you may see them.
///
/// Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 the brokers did not answer at first; 2 usage
/// or configuration. With --once: 0 it runs; 1 the build or the host failed; 2 a token is
/// wanted too; 3 no host answers; 4 it is refused.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  gregor plugin dev --config gregor.toml
  gregor plugin dev ward-watch --config gregor.toml --plugin last-location --approve")]
pub struct DevArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The running host's configuration
    #[arg(long, short, env = "GREGOR_CONFIG", default_value = cli::CONFIG, value_parser = cli::config_file(), value_name = "FILE")]
    config: PathBuf,
    /// The plugin that it becomes a version of [default: its own name]
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// Let it import interfaces that the version before does not
    #[arg(long)]
    approve: bool,
    /// Records that are shown of each version
    #[arg(long, value_name = "N", default_value_t = 3)]
    records: usize,
    /// End after the first version
    #[arg(long)]
    once: bool,
}

#[derive(Deserialize)]
struct Swapped {
    outcome: String,
    digest: String,
}

/// # Errors
/// When the configuration, the brokers or the host cannot be had.
pub fn run(args: &DevArgs) -> anyhow::Result<ExitCode> {
    let project = match Project::open(&args.dir) {
        Ok(project) => project,
        Err(error) => return Ok(refuse(error.exit_code(), &error.to_string())),
    };
    let config = crate::cli::load(&args.config)?;
    let plugin = args.plugin.clone().unwrap_or_else(|| project.name.clone());
    let runs = |pipeline: &&config::Pipeline| pipeline.stages.iter().any(|stage| stage.plugin == plugin);
    let Some(pipeline) = config.pipelines.iter().find(runs) else {
        return Ok(refuse(USAGE, &nowhere(args, &config, &plugin)));
    };
    let api = match admin(&config) {
        Ok(api) => api,
        Err(problem) => return Ok(refuse(USAGE, &problem)),
    };
    let samples = Samples::new(&config, pipeline, args.records);
    if !args.once {
        end_by_signal()?;
    }
    samples.show("Records as they come out now:")?;
    let mut sources = Sources::of(&project);
    let first = version(args, &plugin, &api, &samples)?;
    sources.built();
    if args.once {
        return Ok(first);
    }
    loop {
        println!("Waiting for a change in {} …", project.dir.display());
        sources.wait_for_change();
        if let Err(error) = version(args, &plugin, &api, &samples) {
            // Brokers that are away come back: no reason to end.
            refuse(FAILED, &format!("{error:#}"));
        }
        sources.built();
    }
}

/// Ctrl-C ends it well wherever it is: nothing of it is ever left half done, as a component
/// is written in one move and a deployment is the host's.
fn end_by_signal() -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, 0, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}

/// Builds and deploys once; whatever comes of it is told, and the next change tries again.
fn version(args: &DevArgs, plugin: &str, api: &Api, samples: &Samples<'_>) -> anyhow::Result<ExitCode> {
    // Anew each time: what it says of itself may be what changed.
    let built = match Project::open(&args.dir).and_then(|project| project_built(&project)) {
        Ok(built) => built,
        Err(error) => return Ok(refuse(error.exit_code(), &error.to_string())),
    };
    match deploy(args, &built, plugin, api) {
        Ok(swapped) => {
            let digest = swapped.digest.get(..12).unwrap_or(&swapped.digest);
            let words = if swapped.outcome == "activated" { "runs on every worker" } else { "runs already" };
            println!("{plugin}: version {digest} {words}, {} bytes", built.bytes);
            samples.show("Records as it makes them:")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Failed::Answer { code, problem }) => Ok(refuse(code, &printable(&problem))),
        Err(Failed::Other(error)) => Err(error),
    }
}

fn deploy(args: &DevArgs, built: &Built, plugin: &str, api: &Api) -> Result<Swapped, Failed> {
    let bytes =
        foreign::read(&built.file, MAX_SIZE).with_context(|| format!("cannot read {}", built.file.display()))?;
    let query = [("approve", args.approve.to_string())];
    let body = api.post(&format!("/api/v1/plugins/{plugin}"), &query, &bytes, PATIENCE)?;
    Ok(serde_json::from_str(&body).context("the host answers, but not as this version of gregor does")?)
}

/// The host's admin server, as its own configuration has it.
fn admin(config: &Config) -> Result<Api, String> {
    let Some(address) = config.host.admin else {
        return Err("the host has no admin server: set `host.admin`".to_owned());
    };
    let Some(token) = &config.host.admin_token else {
        return Err("the host takes plugins only from those with a token, and has none: set `host.admin-token`, best \
                    by GREGOR__HOST__ADMIN_TOKEN, for the host and here"
            .to_owned());
    };
    let remedy = "set GREGOR__HOST__ADMIN_TOKEN as the host has it".to_owned();
    Api::new(&format!("http://{address}"), Some(token.expose().to_owned()), remedy).map_err(|failed| match failed {
        Failed::Answer { problem, .. } => problem,
        Failed::Other(error) => format!("{error:#}"),
    })
}

fn nowhere(args: &DevArgs, config: &Config, plugin: &str) -> String {
    let stages = config.pipelines.iter().flat_map(|pipeline| &pipeline.stages);
    let mut known: Vec<&str> = stages.map(|stage| stage.plugin.as_str()).collect();
    known.dedup();
    format!(
        "no stage of {} runs a plugin called {plugin:?}: add one, or say with --plugin which of these it is a version \
         of: {}",
        args.config.display(),
        known.join(", ")
    )
}
