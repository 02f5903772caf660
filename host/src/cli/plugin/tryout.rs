//! `gregor plugin try`: records through one plugin, with neither a project nor a broker.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::test::pipeline::{self, Stages};
use super::test::records::{Lines, Step};
use super::test::stand::{Stand, Unfit};
use super::test::{REFUSED, USAGE, line, refuse, setting};
use crate::files::foreign::{MAX_LINE, TextLines};

/// Where plugins are looked for by name: a host's default, and the container's.
static FOLDERS: [&str; 2] = ["plugins", "/opt/gregor/plugins"];

/// Put records from standard input through one plugin, and show what comes out
///
/// PLUGIN is a component, a .wasm file, or the name of one in the folder of plugins, in
/// /opt/gregor/plugins, where the container has them, or in gregor itself. Records are
/// written as for `gregor plugin test`: `key:value`, or JSON with `key`, `value` and more;
/// what comes out is a line of JSON for each output and failure. State is in memory and
/// begins empty. Nothing is sent anywhere.
///
/// Exit codes: 0 the records are through, whatever came out; 1 one could not be processed;
/// 2 usage, or a line that is no record; 4 the component is refused.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gregor plugin try key-by --config field=ward < records.jsonl
  echo '7:{\"ward\": \"north\"}' | gregor plugin try key-by --config field=ward
  gregor plugin try ./ward-watch/ward-watch.wasm < records.jsonl")]
pub struct TryArgs {
    /// A component, or a plugin's name
    #[arg(value_name = "PLUGIN")]
    plugin: String,
    /// A value of its configuration
    #[arg(long = "config", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// A further topic that it may write to
    #[arg(long = "topic", value_name = "NAME")]
    topics: Vec<String>,
    /// How much earlier than the latest record so far one may be without being late, as 10s
    #[arg(long, value_name = "DURATION")]
    max_out_of_orderness: Option<String>,
    /// Without a record for so long, event time goes on by the clock, as 1m
    #[arg(long, value_name = "DURATION")]
    idle_timeout: Option<String>,
    /// The folder of plugins
    #[arg(long, value_name = "DIR", default_value = FOLDERS[0])]
    plugins: PathBuf,
}

/// # Errors
/// When a file cannot be read or written, or a record cannot be processed.
pub fn run(args: &TryArgs) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("gregor-try-").tempdir()?;
    let Some(component) = component(args, folder.path())? else {
        return Ok(refuse(USAGE, &unknown(args)));
    };
    let stages = Stages {
        settings: &args.settings,
        topics: &args.topics,
        max_out_of_orderness: args.max_out_of_orderness.as_deref(),
        idle_timeout: args.idle_timeout.as_deref(),
    };
    let components = [component];
    let mut stand = match Stand::new(stages.written(&components)?, pipeline::NAME, &components, 1) {
        Ok(stand) => stand,
        Err(error) => match error.downcast_ref::<Unfit>() {
            Some(unfit) => return Ok(refuse(REFUSED, &unfit.to_string())),
            None => return Err(error),
        },
    };
    let (mut lines, mut records, mut outputs, mut failed) = (Lines::new(), 0, 0, 0);
    for line in TextLines::new(io::stdin().lock(), MAX_LINE) {
        let line = line.map_err(|problem| anyhow!("a line of standard input {problem}"))?;
        let step = match lines.read(&line) {
            Ok(Some(step)) => step,
            Ok(None) => continue,
            Err(problem) => return Ok(refuse(USAGE, &format!("standard input: {problem}"))),
        };
        records += usize::from(matches!(step, Step::Record(_)));
        let shown = stand.feed(&step)?;
        let failures = shown.iter().filter(|line| line.get("failed").is_some()).count();
        (outputs, failed) = (outputs + shown.len() - failures, failed + failures);
        print!("{}", line::print(&shown));
    }
    complain!("{records} records, {outputs} outputs, {failed} failed");
    Ok(ExitCode::SUCCESS)
}

/// The file of the plugin that is asked for; one of gregor's own is written to `folder`.
fn component(args: &TryArgs, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let as_file = PathBuf::from(&args.plugin);
    if as_file.is_file() {
        return Ok(Some(as_file));
    }
    let name = format!("{}.wasm", args.plugin);
    if let Some(file) = folders(args).map(|folder| folder.join(&name)).find(|file| file.is_file()) {
        return Ok(Some(file));
    }
    let Some((_, bytes)) = crate::demo_plugins().into_iter().find(|(known, _)| *known == args.plugin) else {
        return Ok(None);
    };
    let file = folder.join(name);
    fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Some(file))
}

fn folders(args: &TryArgs) -> impl Iterator<Item = &Path> {
    [args.plugins.as_path()].into_iter().chain(FOLDERS[1..].iter().map(Path::new))
}

fn unknown(args: &TryArgs) -> String {
    let files = folders(args).filter_map(|folder| fs::read_dir(folder).ok()).flatten().filter_map(Result::ok);
    let mut known: BTreeSet<String> = files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    known.extend(crate::demo_plugins().map(|(name, _)| name.to_owned()));
    format!(
        "{:?} is neither a file nor a plugin that is known here. Name a .wasm file, another folder with --plugins, or \
         one of these: {}",
        args.plugin,
        known.into_iter().collect::<Vec<_>>().join(", ")
    )
}
