//! `gregor pause` and `resume`: whether a pipeline's records flow on a running host.

use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use super::plugin::{HostArgs, answer};

/// More than a worker may take to come to its commands.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause a pipeline's partitions on a running host, until they are resumed
///
/// Their records wait in the topic; the host stays in its group. Pipelines on one
/// source share its partitions and pause together. A restart resumes them, and a
/// partition that moves to another host goes on there. Needs the host's token.
///
/// Exit codes: 0 done; 1 the host answered with an error; 2 it wants a token;
/// 3 it cannot be reached.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor pause locations --partition 3")]
pub struct PauseArgs {
    #[command(flatten)]
    which: Which,
}

/// Let a pipeline's paused partitions flow again on a running host
///
/// They go on where they stood. Needs the host's token. Exit codes as for pause.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor resume locations")]
pub struct ResumeArgs {
    #[command(flatten)]
    which: Which,
}

#[derive(clap::Args)]
struct Which {
    /// The pipeline's name
    pipeline: String,
    /// One partition of its source [default: all]
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u32>,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Deserialize)]
struct Flow {
    topic: String,
    partition: Option<i32>,
    paused: bool,
}

/// # Errors
/// When the server answers with something that is not its API.
pub fn pause(args: &PauseArgs) -> anyhow::Result<ExitCode> {
    ask(&args.which, "pause")
}

/// # Errors
/// As [`pause`].
pub fn resume(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    ask(&args.which, "resume")
}

fn ask(which: &Which, verb: &str) -> anyhow::Result<ExitCode> {
    let query: Vec<_> = which.partition.iter().map(|partition| ("partition", partition.to_string())).collect();
    let route = format!("/api/v1/pipelines/{}/{verb}", which.pipeline);
    answer(
        &which.host,
        |api| api.post(&route, &query, &[], PATIENCE),
        |Flow { topic, partition, paused }: Flow| {
            let what = match partition {
                Some(partition) => format!("partition {partition} of {topic}"),
                None => format!("all partitions of {topic}"),
            };
            println!("{what}: {}", if paused { "paused on this host" } else { "flowing" });
        },
    )
}
