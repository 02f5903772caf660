//! `gregor state import`: entries of an export, each into the partition that
//! its record key belongs to now.

mod file;
mod target;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use comfy_table::{Table, presets};

use self::file::{Input, Limits};
use self::target::Target;
use super::group::Group;
use super::{StageArgs, bar};
use crate::clock::wall_ms;

#[derive(Args)]
pub struct ImportArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// What `gregor state export` wrote
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// Check everything and write nothing
    #[arg(long)]
    dry_run: bool,
    /// disk and redis: remove the entries that are there
    #[arg(long)]
    replace: bool,
}

/// Runs `gregor state import`.
///
/// # Errors
/// When the file is not fit, hosts run, or the target is not empty or cannot be written.
pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let input = Input::open(&args.input)?;
    let chosen = args.stage.choose()?;
    let group = Group::new(&chosen.config)?;
    let partitions = group.source_partitions(&chosen.source)?;
    let bar = bar();
    bar.set_message("checked");
    let limits = Limits {
        pipeline: &args.stage.pipeline,
        stage: &args.stage.stage,
        partitions,
        max_value: chosen.stage.state.max_value,
        max_bytes: chosen.stage.state.max_bytes,
        now: wall_ms(),
    };
    let checked = file::check(input.lines()?, &limits, &bar)?;
    group.pin(&chosen.source, partitions, &[])?;
    let target = Target::find(&chosen, &group, partitions, args.replace)?;
    if !args.dry_run {
        bar.set_message("written");
        bar.set_position(0);
        let mut filling = target.start(&chosen, &group, partitions)?;
        let incomplete = || filling_failed(&target);
        for (written, line) in input.lines()?.enumerate() {
            let line = line?;
            let entry = line.entry().map_err(anyhow::Error::msg)?;
            if let Some(partition) = limits.partition(&line, &entry).filter(|_| !entry.expired(limits.now)) {
                filling.put(partition, &line.key, entry).with_context(incomplete)?;
            }
            bar.set_position(written as u64 + 1);
        }
        filling.finish().with_context(incomplete)?;
    }
    bar.finish_and_clear();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["partition", "entries", "bytes"]);
    for (partition, share) in checked.shares.iter().enumerate() {
        table.add_row([partition.to_string(), share.entries.to_string(), share.bytes.to_string()]);
    }
    writeln!(crate::cli::output::stdout(), "{table}")?;
    let entries: u64 = checked.shares.iter().map(|share| share.entries).sum();
    let did = if args.dry_run { "would go (nothing was written)" } else { "are" };
    complain!("{entries} entries {did} in {partitions} partitions of {target}");
    if checked.expired > 0 {
        complain!("{} entries have expired and are left out", checked.expired);
    }
    Ok(ExitCode::SUCCESS)
}

fn filling_failed(target: &Target) -> String {
    format!("the import is incomplete; start no host before it was done again: {}", target.redo())
}
