//! `gregor state`: entries of a stage's state, from a running host or from
//! where a stopped one left them.

mod export;
mod group;
mod import;
mod look;
mod stopped;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::ConfigArgs;
use super::api::{CONFIGURATION, Failed};
use crate::config::{Config, ConfigErrors, Start};
use crate::error::HostError;
use crate::task::{Plan, StagePlan};

/// The state cannot be read or written.
const NO_STATE: u8 = 5;

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
}

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
struct Refusal {
    code: u8,
    problem: String,
}

impl Refusal {
    fn usage(problem: String) -> Refusal {
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
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        let refusal = error.downcast_ref::<Refusal>().map(|refusal| refusal.code);
        let host = error.downcast_ref::<HostError>().map(HostError::exit_code).filter(|code| *code > 1);
        let config = error.downcast_ref::<ConfigErrors>().map(|_| CONFIGURATION);
        ExitCode::from(refusal.or(host).or(config).unwrap_or(NO_STATE))
    })
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
