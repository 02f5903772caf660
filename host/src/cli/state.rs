//! `gregor state`: entries of a stage's state, from a running host or from
//! where a stopped one left them.

mod decide;
mod export;
pub(super) mod group;
mod import;
mod look;
mod stopped;
mod watermark;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::ConfigArgs;
use super::api::{Api, CONFIGURATION, Failed};
use crate::config::{Config, ConfigErrors, Start};
use crate::host::HostError;
use crate::plan::{Plan, StagePlan};
use crate::state::Decision;

/// The state cannot be read or written.
pub(super) const NO_STATE: u8 = 5;

#[derive(Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum StateCommand {
    /// Show what stands under a key
    #[command(after_help = "Example: gregor state get locations last-location 123\n\n\
        Exit codes: 0 found; 1 no such entry; else as `gregor state --help` says.")]
    Get(look::GetArgs),
    /// List entries by their keys
    #[command(after_help = "Example: gregor state scan locations last-location --prefix 12 --limit 20\n\n\
        Exit codes: 0 some found; 1 none; else as `gregor state --help` says.")]
    Scan(look::ScanArgs),
    /// Write all entries of a stage to a file, one JSON object a line
    #[command(after_help = "Example: gregor state export locations last-location --output last-location.jsonl")]
    Export(export::ExportArgs),
    /// Read entries from such a file, each into the partition that its record key belongs to now
    #[command(
        after_help = "Example: gregor state import locations last-location --input last-location.jsonl --dry-run"
    )]
    Import(import::ImportArgs),
    /// Set a pipeline's event time back on a running host, after a record moved it too far
    ///
    /// Timers that have fired do not fire again. Records after that time are no longer
    /// late. It is for the partitions that this host has. Needs the host's token.
    ///
    /// Exit codes: 0 done; 1 the host answered with an error; 2 it wants a token;
    /// 3 it cannot be reached.
    #[command(after_help = "Example: gregor state watermark locations --partition 3 --to now")]
    Watermark(watermark::WatermarkArgs),
    /// Continue with the state as it is, where it does not belong to the group's offset
    #[command(after_help = DECISION)]
    Keep(decide::DecideArgs),
    /// Continue with empty state, where it does not belong to the group's offset
    #[command(after_help = DECISION)]
    Reset(decide::DecideArgs),
    /// Move the group's offset to where the state is
    #[command(after_help = DECISION)]
    Restore(decide::DecideArgs),
}

const DECISION: &str = "\
A partition whose state does not belong to the group's committed offset is held as
state-mismatch: the offset was moved, the group expired, or a topic was deleted, made
anew or cut. `gregor status` says what stands where.

A running host that holds the partition does it at once; that needs its token. With all
hosts stopped, the order is left with the group's offset, and the next host that opens
the partition carries it out. Each host says what it did in its log and its audit log.

Example: gregor state keep locations --partition 3

Exit codes: 0 done; 1 no such partition is held; else as `gregor state --help` says.";

const EXIT_CODES: &str = "\
State is health data: so is what these commands print and write.

Exit codes: 0 done; 1 nothing found; 2 usage or configuration; 3 Kafka or the
host is not reachable, or a topic is missing; 5 the state cannot be read or written.";

/// Which stage.
#[derive(Args)]
struct StageArgs {
    /// The pipeline's name
    pipeline: String,
    /// The stage's name: that of its plugin, unless the configuration gives another
    stage: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Where entries are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// A running host: its own partitions, as of the last records
    Host,
    /// The local store of a stopped host
    Disk,
    /// The changelog topic, as of the group's committed offsets
    Changelog,
    /// Redis, with no host running
    Redis,
}

impl From {
    fn name(self) -> &'static str {
        match self {
            From::Host => "host",
            From::Disk => "disk",
            From::Changelog => "changelog",
            From::Redis => "redis",
        }
    }
}

/// A problem with the exit code for it.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(super) struct Refusal {
    pub code: u8,
    pub problem: String,
}

impl Refusal {
    pub fn usage(problem: String) -> Refusal {
        Refusal { code: CONFIGURATION, problem }
    }
}

/// A stage as the configuration has it.
struct Chosen {
    config: Config,
    stage: Arc<StagePlan>,
    source: String,
    start: Start,
    /// Its pipeline's place among those of the source.
    index: usize,
}

impl StageArgs {
    fn choose(&self) -> anyhow::Result<Chosen> {
        let config = self.config.load()?;
        let Some(pipeline) = config.pipelines.iter().find(|pipeline| pipeline.name == self.pipeline) else {
            let known: Vec<_> = config.pipelines.iter().map(|pipeline| &*pipeline.name).collect();
            let problem = format!("there is no pipeline `{}`: there is {}", self.pipeline, known.join(", "));
            return Err(Refusal::usage(problem).into());
        };
        let plan = Plan::new(&config, pipeline);
        let Some(stage) = plan.stages.iter().find(|stage| stage.scope.stage == self.stage).cloned() else {
            let known: Vec<_> = plan.stages.iter().map(|stage| &*stage.scope.stage).collect();
            let problem =
                format!("pipeline `{}` has no stage `{}`: it has {}", self.pipeline, self.stage, known.join(", "));
            return Err(Refusal::usage(problem).into());
        };
        let of_source = config.pipelines.iter().filter(|other| other.source == pipeline.source);
        let index = of_source.take_while(|other| other.name != pipeline.name).count();
        let (source, start) = (pipeline.source.clone(), pipeline.start);
        Ok(Chosen { config, stage, source, start, index })
    }
}

/// Runs a command of `gregor state`; its error becomes a line and an exit code.
pub fn run(command: StateCommand) -> ExitCode {
    let outcome = match command {
        StateCommand::Get(args) => look::get(&args),
        StateCommand::Scan(args) => look::scan(&args),
        StateCommand::Export(args) => export::run(&args),
        StateCommand::Import(args) => import::run(&args),
        StateCommand::Watermark(args) => watermark::run(&args),
        StateCommand::Keep(args) => decide::run(&args, Decision::Keep),
        StateCommand::Reset(args) => decide::run(&args, Decision::Reset),
        StateCommand::Restore(args) => decide::run(&args, Decision::Restore),
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

/// Tells an error in a line; the exit code for it.
pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    complain!("error: {error:#}");
    let refusal = error.downcast_ref::<Refusal>().map(|refusal| refusal.code);
    let host = error.downcast_ref::<HostError>().map(HostError::exit_code).filter(|code| *code > 1);
    let config = error.downcast_ref::<ConfigErrors>().map(|_| CONFIGURATION);
    ExitCode::from(refusal.or(host).or(config).unwrap_or(NO_STATE))
}

/// The admin API of the host that the configuration names, or `given`; `None` where
/// no address is known.
fn admin_of(config: &Config, given: Option<&str>) -> anyhow::Result<Option<Api>> {
    let configured = config.host.admin.filter(|address| address.port() != 0);
    let address = given.map(str::to_owned).or_else(|| {
        configured.map(|mut address| {
            // A host that listens everywhere is reached at this machine too.
            if address.ip().is_unspecified() {
                let v4 = address.is_ipv4();
                address.set_ip(if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
            }
            address.to_string()
        })
    });
    let token = || config.host.admin_token.as_ref().map(|token| token.expose().to_owned());
    let remedy = "its `host.admin-token`, in the configuration or in GREGOR__HOST__ADMIN_TOKEN";
    address.map(|address| Api::new(&address, token(), remedy.to_owned()).map_err(refused)).transpose()
}

/// What the admin server answered, as this command's error.
fn refused(failed: Failed) -> anyhow::Error {
    match failed {
        // 1 says that there is no such entry.
        Failed::Answer { code: 1, problem } => Refusal { code: NO_STATE, problem }.into(),
        Failed::Answer { code, problem } => Refusal { code, problem }.into(),
        Failed::Other(error) => error,
    }
}

/// On a terminal, what is being done.
fn bar() -> ProgressBar {
    if !super::bars::are_drawn() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} entries, {msg}");
    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
