//! `gregor offsets`: where the group is, and moving it, with the state in mind.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use serde_json::json;

use super::ConfigArgs;
use super::state::group::{Group, Standpoint};
use super::state::{Refusal, failed};
use crate::config::{Config, Pipeline};
use crate::plan::Plan;
use crate::state::Decision;
use crate::state::ordered;

#[derive(Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum OffsetsCommand {
    /// Show where the group is in a pipeline's source
    #[command(after_help = "Example: gregor offsets show locations")]
    Show(ShowArgs),
    /// Move the group's offsets of a pipeline's source, with all hosts stopped
    ///
    /// A dry run, unless --execute is given. Where a pipeline on that source keeps
    /// state, --state says what becomes of it: records that come again would be
    /// counted twice in state that is kept, and records that are passed over are
    /// missing in it.
    #[command(after_help = "Example: gregor offsets reset locations --to-earliest --state reset --execute")]
    Reset(ResetArgs),
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 2 usage or configuration; 3 Kafka is not reachable or a topic
is missing; 5 the group has members, or there is no such offset.";

#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ResetArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    target: Target,
    /// What becomes of state that does not belong to the new offset
    #[arg(long, value_enum)]
    state: Option<StateChoice>,
    /// Do it; without, only show what would be done
    #[arg(long)]
    execute: bool,
}

#[derive(Args)]
struct Which {
    /// The pipeline's name; pipelines on one source share its offsets
    pipeline: String,
    /// Only this partition of the source
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Where to. None with `--state restore`: to where the state is.
#[derive(Args)]
#[group(multiple = false)]
struct Target {
    /// To the first offset
    #[arg(long)]
    to_earliest: bool,
    /// To the end
    #[arg(long)]
    to_latest: bool,
    /// To this offset
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// To the first record at or after this time, such as 2026-03-01T06:00:00Z
    #[arg(long, value_name = "TIME")]
    to_datetime: Option<String>,
    /// By so many offsets, back where negative
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    shift_by: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StateChoice {
    /// Continue with the state as it is
    Keep,
    /// Continue with empty state
    Reset,
    /// Move to where the state is, in place of another target
    Restore,
}

impl From<StateChoice> for Decision {
    fn from(choice: StateChoice) -> Decision {
        match choice {
            StateChoice::Keep => Decision::Keep,
            StateChoice::Reset => Decision::Reset,
            StateChoice::Restore => Decision::Restore,
        }
    }
}

/// One partition of the source.
struct Row {
    partition: i32,
    start: i64,
    end: i64,
    at: Standpoint,
}

/// Runs a command of `gregor offsets`; its error becomes a line and an exit code.
pub fn run(command: OffsetsCommand) -> ExitCode {
    let outcome = match command {
        OffsetsCommand::Show(args) => show(&args),
        OffsetsCommand::Reset(args) => reset(&args),
    };
    outcome.unwrap_or_else(|error| failed(&error))
}

impl Which {
    fn pipeline<'a>(&self, config: &'a Config) -> anyhow::Result<&'a Pipeline> {
        let found = config.pipelines.iter().find(|pipeline| pipeline.name == self.pipeline);
        found.ok_or_else(|| {
            let known: Vec<_> = config.pipelines.iter().map(|pipeline| &*pipeline.name).collect();
            Refusal::usage(format!("there is no pipeline `{}`: there is {}", self.pipeline, known.join(", "))).into()
        })
    }

    fn rows(&self, group: &Group<'_>, pipeline: &Pipeline) -> anyhow::Result<Vec<Row>> {
        let count = group.source_partitions(&pipeline.source)?;
        if self.partition.is_some_and(|one| one >= count) {
            let problem = format!("there is no such partition: `{}` has {count}, numbered from 0", pipeline.source);
            return Err(Refusal::usage(problem).into());
        }
        let mut rows = Vec::new();
        for (partition, at) in (0..).zip(group.positions(&pipeline.source, count, pipeline.start)?) {
            if self.partition.is_none_or(|one| one == partition) {
                let (start, end) = group.watermarks(&pipeline.source, partition)?;
                rows.push(Row { partition, start, end, at });
            }
        }
        Ok(rows)
    }
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let config = args.which.config.load()?;
    let pipeline = args.which.pipeline(&config)?;
    let group = Group::new(&config)?;
    let rows = args.which.rows(&group, pipeline)?;
    let mut out = io::stdout().lock();
    if args.json {
        let row = |row: &Row| {
            let Row { partition, start, end, at } = row;
            let committed = at.is_pinned().then_some(at.next);
            let order = at.noted().order.map(Decision::name);
            json!({ "partition": partition, "start": start, "end": end, "committed": committed, "order": order })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        let document = json!({ "group": config.app, "topic": pipeline.source, "partitions": rows });
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    let columns = ["topic", "partition", "start", "end", "committed", "behind the end", "state"];
    table.load_preset(presets::NOTHING).set_header(columns);
    for Row { partition, start, end, at } in &rows {
        let committed = if at.is_pinned() { at.next.to_string() } else { "-".to_owned() };
        let behind = (end - at.next).max(0).to_string();
        let order = at.noted().order.map_or("", Decision::name);
        let cells = [&partition.to_string(), &start.to_string(), &end.to_string(), &committed, &behind];
        table.add_row([pipeline.source.as_str()].into_iter().chain(cells.map(String::as_str)).chain([order]));
    }
    writeln!(out, "{table}")?;
    Ok(ExitCode::SUCCESS)
}

fn reset(args: &ResetArgs) -> anyhow::Result<ExitCode> {
    let config = args.which.config.load()?;
    let pipeline = args.which.pipeline(&config)?;
    let choice = choose(args, &config, pipeline)?;
    let group = Group::new(&config)?;
    if group.members()? > 0 {
        return Err(group.has_members().into());
    }
    let mut offsets = Vec::new();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["topic", "partition", "committed", "new", "state"]);
    for row in args.which.rows(&group, pipeline)? {
        let new = args.target.of(&group, &pipeline.source, &row)?;
        let committed = if row.at.is_pinned() { row.at.next.to_string() } else { "-".to_owned() };
        let moved = choice == Some(Decision::Restore) || !row.at.is_pinned() || new != row.at.next;
        let becomes = match choice.filter(|_| moved) {
            Some(choice) => choice.name(),
            None => "unchanged",
        };
        let shown = if choice == Some(Decision::Restore) { "where the state is".to_owned() } else { new.to_string() };
        table.add_row([&*pipeline.source, &row.partition.to_string(), &committed, &shown, becomes]);
        if moved {
            let metadata = row.at.metadata.as_deref().unwrap_or_default();
            offsets.push((row.partition, new, ordered(metadata, choice)));
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{table}")?;
    if !args.execute {
        writeln!(out, "A dry run: nothing was done. Add --execute to do it.")?;
        return Ok(ExitCode::SUCCESS);
    }
    if !offsets.is_empty() {
        group.commit(&pipeline.source, &offsets)?;
    }
    writeln!(out, "Done: {} partitions were moved.", offsets.len())?;
    Ok(ExitCode::SUCCESS)
}

/// What becomes of state; none where no pipeline on the source keeps any.
fn choose(args: &ResetArgs, config: &Config, pipeline: &Pipeline) -> anyhow::Result<Option<Decision>> {
    let of_source = config.pipelines.iter().filter(|other| other.source == pipeline.source);
    let plans: Vec<Plan> = of_source.map(|pipeline| Plan::new(config, pipeline)).collect();
    let durable = plans.iter().flat_map(|plan| &plan.stages).filter(|stage| stage.is_durable());
    let stages: Vec<String> =
        durable.map(|stage| format!("`{}` of pipeline `{}`", stage.scope.stage, stage.scope.pipeline)).collect();
    let restores = args.state == Some(StateChoice::Restore);
    match (args.target.is_given(), args.state) {
        (true, _) if restores => Err(Refusal::usage(
            "--state restore moves the group to where the state is: leave out the other target".to_owned(),
        )
        .into()),
        (false, _) if !restores => Err(Refusal::usage(
            "name where to: --to-earliest, --to-latest, --to-offset, --to-datetime or --shift-by; or --state restore"
                .to_owned(),
        )
        .into()),
        (true, None) if !stages.is_empty() => Err(Refusal::usage(format!(
            "{} keeps state, which would not belong to the new offset: add --state keep to continue with the state as it \
             is, or --state reset to continue with empty state",
            stages.join(", ")
        ))
        .into()),
        _ if stages.is_empty() && restores => {
            Err(Refusal::usage(format!("no pipeline on `{}` keeps state to restore", pipeline.source)).into())
        }
        (_, choice) => Ok(choice.map(Decision::from).filter(|_| !stages.is_empty())),
    }
}

impl Target {
    fn is_given(&self) -> bool {
        let Target { to_earliest, to_latest, to_offset, to_datetime, shift_by } = self;
        *to_earliest || *to_latest || to_offset.is_some() || to_datetime.is_some() || shift_by.is_some()
    }

    /// The new offset of a partition, within the source.
    fn of(&self, group: &Group<'_>, topic: &str, row: &Row) -> anyhow::Result<i64> {
        let Row { partition, start, end, at } = row;
        let new = match (&self.to_datetime, self.to_offset, self.shift_by) {
            (Some(time), _, _) => {
                let parsed = humantime::parse_rfc3339_weak(time);
                let since = parsed.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
                let since =
                    since.with_context(|| format!("--to-datetime {time} is not a time such as 2026-03-01T06:00:00Z"));
                group.at_time(topic, *partition, i64::try_from(since?.as_millis())?)?
            }
            (_, Some(offset), _) => offset,
            (_, _, Some(count)) => at.next.saturating_add(count),
            _ if self.to_earliest => *start,
            _ if self.to_latest => *end,
            _ => at.next,
        };
        if self.is_given() && !(*start..=*end).contains(&new) {
            let problem = format!("partition {partition} of `{topic}` has no offset {new}: it holds {start} to {end}");
            return Err(Refusal { code: super::state::NO_STATE, problem }.into());
        }
        Ok(new)
    }
}
