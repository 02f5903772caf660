//! `gregor state keep`, `reset` and `restore`: what becomes of state that does not
//! belong to the group's offset. A running host that holds it does so at once;
//! with all hosts stopped, the order is left with the group's offset.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;

use super::group::Group;
use super::{NO_STATE, Refusal, admin_of, refused};
use crate::cli::ConfigArgs;
use crate::cli::api::{Api, Failed, NOT_REACHABLE, printable};
use crate::config::{Config, Pipeline};
use crate::state::Decision;
use crate::state::ordered;

/// None of the partitions is held.
const NONE: u8 = 1;
/// More than a host may take to come to its commands.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a partition's state may take to be opened, before the command leaves.
const OPENED: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct DecideArgs {
    /// The pipeline's name; pipelines on one source share its partitions
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pipeline: Option<String>,
    /// All pipelines
    #[arg(long)]
    all: bool,
    /// Only this partition of the source
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Where the host's admin server listens [default: the configuration's `host.admin`]
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// An element of `/api/v1/partitions`.
#[derive(Clone, Deserialize)]
struct Partition {
    topic: String,
    partition: i32,
    state: String,
    mismatch: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    app: String,
}

/// Runs the command.
///
/// # Errors
/// When neither a host nor the brokers can do it.
pub fn run(args: &DecideArgs, decision: Decision) -> anyhow::Result<ExitCode> {
    let config = args.config.load()?;
    let pipelines = chosen(args, &config)?;
    if let Some(api) = admin_of(&config, args.admin.as_deref())? {
        match of_host(&api, &config) {
            Ok(partitions) => return on_host(args, decision, &api, &pipelines, partitions),
            Err(Failed::Answer { code: NOT_REACHABLE, .. }) if args.admin.is_none() => {}
            Err(failed) => return Err(refused(failed)),
        }
    }
    with_the_offset(args, decision, &config, &pipelines)
}

fn chosen<'a>(args: &DecideArgs, config: &'a Config) -> anyhow::Result<Vec<&'a Pipeline>> {
    let named = |pipeline: &&Pipeline| args.pipeline.as_ref().is_none_or(|name| pipeline.name == *name);
    let chosen: Vec<&Pipeline> = config.pipelines.iter().filter(named).collect();
    if chosen.is_empty() {
        let known: Vec<_> = config.pipelines.iter().map(|pipeline| &*pipeline.name).collect();
        let name = args.pipeline.as_deref().unwrap_or_default();
        return Err(Refusal::usage(format!("there is no pipeline `{name}`: there is {}", known.join(", "))).into());
    }
    Ok(chosen)
}

fn of_host(api: &Api, config: &Config) -> Result<Vec<Partition>, Failed> {
    let foreign = || format!("{} answers, but not as this version of gregor's admin server does", api.base());
    let status: Status = serde_json::from_value(api.document("status")?).with_context(foreign)?;
    if status.app != config.app {
        let problem = format!(
            "the host at {} runs app `{}`, and the configuration is of `{}`",
            api.base(),
            status.app,
            config.app
        );
        return Err(Failed::Answer { code: NO_STATE, problem });
    }
    Ok(serde_json::from_value(api.document("partitions")?).with_context(foreign)?)
}

/// Asks a host that holds partitions to open their state.
fn on_host(
    args: &DecideArgs,
    decision: Decision,
    api: &Api,
    pipelines: &[&Pipeline],
    partitions: Vec<Partition>,
) -> anyhow::Result<ExitCode> {
    let wanted = |held: &&Partition| {
        held.state == "state-mismatch"
            && args.partition.is_none_or(|one| one == held.partition)
            && pipelines.iter().any(|pipeline| pipeline.source == held.topic)
    };
    let held: Vec<&Partition> = partitions.iter().filter(wanted).collect();
    if held.is_empty() {
        complain!(
            "no such partition is held as state-mismatch on the host at {}; other hosts may hold others",
            api.base()
        );
        return Ok(ExitCode::from(NONE));
    }
    let mut out = io::stdout().lock();
    for one in &held {
        let why = printable(one.mismatch.as_deref().unwrap_or_default());
        writeln!(out, "partition {} of {}: {}. {why}", one.partition, one.topic, consequence(decision))?;
    }
    if !agreed(args)? {
        return Ok(ExitCode::SUCCESS);
    }
    for one in &held {
        let Some(pipeline) = pipelines.iter().find(|pipeline| pipeline.source == one.topic) else { continue };
        let route = format!("/api/v1/pipelines/{}/state/{}", pipeline.name, decision.name());
        let query = [("partition", one.partition.to_string())];
        api.post(&route, &query, &[], ANSWER).map_err(refused)?;
    }
    let mut left: Vec<Partition> = held.into_iter().cloned().collect();
    let deadline = Instant::now() + OPENED;
    loop {
        std::thread::sleep(LOOK);
        let foreign = || format!("{} answers, but not as this version of gregor's admin server does", api.base());
        let now: Vec<Partition> =
            serde_json::from_value(api.document("partitions").map_err(refused)?).with_context(foreign)?;
        let state = |one: &Partition| now.iter().find(|now| now.topic == one.topic && now.partition == one.partition);
        let opening = |one: &Partition| state(one).is_some_and(|now| now.state == "restoring");
        if let Some(again) = left.iter().filter_map(state).find(|now| now.state == "state-mismatch") {
            let why = printable(again.mismatch.as_deref().unwrap_or_default());
            let problem = format!("partition {} of {} is still held. {why}", again.partition, again.topic);
            return Err(Refusal { code: NO_STATE, problem }.into());
        }
        left.retain(opening);
        if left.is_empty() {
            writeln!(out, "Done.")?;
            return Ok(ExitCode::SUCCESS);
        }
        if Instant::now() >= deadline {
            writeln!(out, "Their state is being opened: `gregor status` shows when it is done.")?;
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Leaves the order with the offsets of a group whose hosts are stopped.
fn with_the_offset(
    args: &DecideArgs,
    decision: Decision,
    config: &Config,
    pipelines: &[&Pipeline],
) -> anyhow::Result<ExitCode> {
    let group = Group::new(config)?;
    if group.members()? > 0 {
        return Err(group.has_members().into());
    }
    let mut orders = Vec::new();
    let mut out = io::stdout().lock();
    let mut sources: Vec<&Pipeline> = pipelines.to_vec();
    sources.sort_by_key(|pipeline| &pipeline.source);
    sources.dedup_by_key(|pipeline| &pipeline.source);
    for pipeline in sources {
        let count = group.source_partitions(&pipeline.source)?;
        let mut offsets = Vec::new();
        for (partition, at) in (0..).zip(group.positions(&pipeline.source, count, pipeline.start)?) {
            if args.partition.is_some_and(|one| one != partition) {
                continue;
            }
            let group = match &at.metadata {
                Some(_) => format!("the group has committed {}", at.next),
                None => format!("the group has committed nothing and would begin at {}", at.next),
            };
            writeln!(
                out,
                "partition {partition} of {}: {group}. State that does not belong to that offset: {}",
                pipeline.source,
                consequence(decision)
            )?;
            offsets.push((partition, at.next, ordered(at.metadata.as_deref().unwrap_or_default(), Some(decision))));
        }
        if offsets.is_empty() {
            let problem = format!("there is no such partition: `{}` has {count}, numbered from 0", pipeline.source);
            return Err(Refusal::usage(problem).into());
        }
        orders.push((&pipeline.source, offsets));
    }
    if !agreed(args)? {
        return Ok(ExitCode::SUCCESS);
    }
    for (source, offsets) in &orders {
        group.commit(source, offsets)?;
    }
    writeln!(
        out,
        "Ordered: the next host that opens these partitions does it, and says so in its log and its audit log."
    )?;
    Ok(ExitCode::SUCCESS)
}

fn consequence(decision: Decision) -> &'static str {
    match decision {
        Decision::Keep => "records continue from the group's offset, with the state as it is",
        Decision::Reset => "records continue from the group's offset, with empty state; what there is of it goes",
        Decision::Restore => "the group's offset moves to where the state is",
    }
}

/// Whether it is to be done: by the arguments, or by an answer on a terminal.
fn agreed(args: &DecideArgs) -> anyhow::Result<bool> {
    if args.dry_run {
        println!("A dry run: nothing was done.");
        return Ok(false);
    }
    if args.yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Refusal::usage("nothing was done: add --yes to do it, or --dry-run to only look".to_owned()).into());
    }
    // Where nobody sees the question, nobody answers it.
    let _ = write!(io::stderr(), "Do it? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        println!("Nothing was done.");
    }
    Ok(yes)
}
