//! `gregor dead-letter`: what failed for good, and its way back through its pipeline.

mod list;
mod redrive;
mod show;
mod topic;

use std::process::ExitCode;

use clap::{Args, Subcommand};

pub use list::moment;

use super::ConfigArgs;
use super::api::CONFIGURATION;
use crate::config::{Config, ConfigErrors};
use crate::host::HostError;
use crate::redrive::Letter;

/// There is no such dead letter.
const NONE: u8 = 1;

#[derive(Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum DeadLetterCommand {
    /// List the dead letters of a pipeline, without what the records hold
    #[command(after_help = "Example: gregor dead-letter list locations --error timeout --limit 20")]
    List(list::ListArgs),
    /// Show one dead letter
    #[command(after_help = "Example: gregor dead-letter show locations 0/17 --payload")]
    Show(show::ShowArgs),
    /// Put dead letters through the pipeline again, by the version that runs now: a dry run unless --yes
    #[command(after_help = "\
Examples:
  gregor dead-letter redrive locations                   what would be done
  gregor dead-letter redrive locations --error timeout --yes
  gregor dead-letter redrive locations 0/17 --yes

Running hosts process them in the order in which their records stand in the
source, each once. One that fails again becomes a new dead letter.")]
    Redrive(redrive::RedriveArgs),
}

const EXIT_CODES: &str = "\
A dead letter holds what its record holds: health data. Keys and values are
shown by `show --payload` only.

Exit codes: 0 done; 1 there is none; 2 usage or configuration; 3 Kafka is not
reachable, or a topic is missing; 5 Kafka refused something.";

/// Kafka did not do what it was asked.
const REFUSED: u8 = 5;

/// A problem with the exit code for it.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
struct Refusal {
    code: u8,
    problem: String,
}

/// Which pipeline.
#[derive(Args)]
struct PipelineArgs {
    /// The pipeline's name
    pipeline: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Which of its dead letters.
#[derive(Args)]
struct Filter {
    /// Only those with this kind of failure, as `timeout`
    #[arg(long, value_name = "KIND")]
    error: Option<String>,
    /// Only those that failed in this stage
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
}

impl Filter {
    fn admits(&self, letter: &Letter) -> bool {
        self.error.as_ref().is_none_or(|error| letter.error == *error)
            && self.stage.as_ref().is_none_or(|stage| letter.stage == *stage)
    }
}

/// A pipeline as the configuration has it.
struct Chosen {
    config: Config,
    pipeline: String,
    source: String,
    dead_letters: String,
}

impl PipelineArgs {
    fn choose(&self) -> anyhow::Result<Chosen> {
        let config = self.config.load()?;
        let usage = |problem: String| Refusal { code: CONFIGURATION, problem };
        let Some(pipeline) = config.pipelines.iter().find(|pipeline| pipeline.name == self.pipeline) else {
            let known: Vec<_> = config.pipelines.iter().map(|pipeline| &*pipeline.name).collect();
            return Err(
                usage(format!("there is no pipeline `{}`: there is {}", self.pipeline, known.join(", "))).into()
            );
        };
        let Some(dead_letters) = pipeline.dead_letter.clone() else {
            let problem = format!(
                "pipeline `{}` names no topic for dead letters: add `dead-letter = \"topic\"` to it",
                self.pipeline
            );
            return Err(usage(problem).into());
        };
        let (pipeline, source) = (pipeline.name.clone(), pipeline.source.clone());
        Ok(Chosen { config, pipeline, source, dead_letters })
    }
}

/// Where a dead letter stands: partition and offset in the dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    partition: i32,
    offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let place = text.split_once('/').and_then(|(partition, offset)| {
            let place = Place { partition: partition.parse().ok()?, offset: offset.parse().ok()? };
            (place.partition >= 0 && place.offset >= 0).then_some(place)
        });
        place.ok_or_else(|| "write it as `gregor dead-letter list` shows it: PARTITION/OFFSET, as 0/17".to_owned())
    }
}

/// Runs a command of `gregor dead-letter`; its error becomes a line and an exit code.
pub fn run(command: DeadLetterCommand) -> ExitCode {
    let outcome = match command {
        DeadLetterCommand::List(args) => list::run(&args),
        DeadLetterCommand::Show(args) => show::run(&args),
        DeadLetterCommand::Redrive(args) => redrive::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        complain!("error: {error:#}");
        let refusal = error.downcast_ref::<Refusal>().map(|refusal| refusal.code);
        let host = error.downcast_ref::<HostError>().map(HostError::exit_code).filter(|code| *code > 1);
        let config = error.downcast_ref::<ConfigErrors>().map(|_| CONFIGURATION);
        ExitCode::from(refusal.or(host).or(config).unwrap_or(REFUSED))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_shown() {
        let place = Place { partition: 3, offset: 17 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for bad in ["", "3", "3/", "/17", "-1/17", "3/-1", "3/17/1", "a/b"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
