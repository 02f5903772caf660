//! `gregor state export`

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use tempfile::NamedTempFile;

use super::stopped::Stopped;
use super::{From, Refusal, StageArgs, bar};
use crate::cli::output::{Stdout, stdout};
use crate::clock::wall_ms;
use crate::kafka::partitioner;
use crate::state::{Line, MAX_ENTRIES, Page, StateStore, is_stamp};

/// Nothing is here of partitions with records processed.
const NONE: u8 = 1;
/// Bytes of entries that are read at once.
const PAGE_BYTES: usize = 1 << 20;

#[derive(Args)]
pub struct ExportArgs {
    #[command(flatten)]
    stage: StageArgs,
    /// The file to write, readable by its owner only [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "output")]
    force: bool,
    /// Where to read from [default: where the configuration keeps it]
    #[arg(long, value_enum)]
    from: Option<From>,
}

/// What was written.
#[derive(Default)]
struct Summary {
    entries: u64,
    /// Entries in another partition than their record key's.
    elsewhere: u64,
    /// Partitions with records processed, of which nothing is here.
    missing: Vec<String>,
}

/// Runs `gregor state export`.
///
/// # Errors
/// When the state cannot be read, or the file is there already or cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.stage.choose()?;
    if args.from == Some(From::Host) {
        let problem = "a running host has only its own partitions, and goes on: stop all hosts, then export".to_owned();
        return Err(Refusal::usage(problem).into());
    }
    let mut target = Target::open(args.output.as_deref(), args.force)?;
    let mut stopped = Stopped::find(&chosen, args.from)?;
    let bar = bar();
    let mut summary = Summary::default();
    let partitions = stopped.partitions();
    for partition in 0..partitions {
        match stopped.open(partition, &bar)? {
            Some(mut store) => write(&mut target, args, partition, partitions, &mut *store, &mut summary, &bar)?,
            None if stopped.used(partition) => summary.missing.push(partition.to_string()),
            None => {}
        }
    }
    bar.finish_and_clear();
    target.finish(args.force)?;
    summary.tell(partitions, stopped.place());
    for note in stopped.notes() {
        complain!("note: {note}");
    }
    // An empty export of partitions with records processed is not all there was.
    Ok(ExitCode::from(if summary.entries == 0 && !summary.missing.is_empty() { NONE } else { 0 }))
}

/// Writes a partition's living entries by their keys.
fn write(
    target: &mut Target,
    args: &ExportArgs,
    partition: i32,
    partitions: i32,
    store: &mut dyn StateStore,
    summary: &mut Summary,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let now = wall_ms();
    let mut after: Option<String> = None;
    loop {
        let page = Page { prefix: "", after: after.as_deref(), now, limit: MAX_ENTRIES, bytes: PAGE_BYTES };
        let entries = store.scan(&page)?;
        let Some((last, _)) = entries.last() else { return Ok(()) };
        let last = last.clone();
        for (key, entry) in entries {
            if is_stamp(&key) {
                continue;
            }
            let belongs = entry.origin.record_key(&key).map(|key| partitioner::partition(key, partitions));
            summary.elsewhere += u64::from(belongs.is_some_and(|belongs| belongs != partition));
            summary.entries += 1;
            let line = Line::new(partition, key, entry, true).of(&args.stage.pipeline, &args.stage.stage);
            let out = target.out();
            serde_json::to_writer(&mut *out, &line).context("the export cannot be written")?;
            out.write_all(b"\n").context("the export cannot be written")?;
        }
        bar.set_position(summary.entries);
        after = Some(last);
    }
}

impl Summary {
    /// To standard error: standard output may be the export.
    fn tell(&self, partitions: i32, from: From) {
        let Summary { entries, elsewhere, missing } = self;
        complain!("{entries} entries of {partitions} partitions, from {}", from.name());
        if !missing.is_empty() {
            complain!(
                "warning: nothing of partitions {} is on this machine: where other hosts keep them, \
                 export there too and put the files together",
                missing.join(", ")
            );
        }
        if *elsewhere > 0 {
            complain!(
                "warning: {elsewhere} entries are in another partition than Java's default partitioner gives \
                 their record key among {partitions}: if their producers choose partitions in another way, \
                 `gregor state import` would put them into wrong ones"
            );
        }
    }
}

/// Where the lines go.
enum Target {
    Stdout(BufWriter<Stdout>),
    /// Under another name until it is whole. Readable by its owner only.
    File(Box<BufWriter<NamedTempFile>>, PathBuf),
}

impl Target {
    fn open(path: Option<&Path>, force: bool) -> anyhow::Result<Target> {
        let Some(path) = path else { return Ok(Target::Stdout(BufWriter::new(stdout()))) };
        if !force && path.exists() {
            let problem = format!("{} is there already: name another file, or replace it with --force", path.display());
            return Err(Refusal::usage(problem).into());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".gregor-export-").tempfile_in(folder);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Target::File(Box::new(BufWriter::new(file)), path.to_owned()))
    }

    fn out(&mut self) -> &mut dyn Write {
        match self {
            Target::Stdout(out) => out,
            Target::File(out, _) => &mut **out,
        }
    }

    fn finish(self, force: bool) -> anyhow::Result<()> {
        match self {
            Target::Stdout(mut out) => out.flush().context("the export cannot be written"),
            Target::File(out, path) => {
                let failed = || format!("{} cannot be written", path.display());
                let file = out.into_inner().map_err(io::IntoInnerError::into_error).with_context(failed)?;
                file.as_file().sync_all().with_context(failed)?;
                let kept = if force { file.persist(&path) } else { file.persist_noclobber(&path) };
                kept.map(drop).map_err(|error| error.error).with_context(failed)
            }
        }
    }
}
