//! `gregor plugin check`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use serde_json::json;

use crate::config::{ConfigErrors, Stage};
use crate::deploy::Refusal;
use crate::deploy::signature::Trusted;
use crate::files::foreign;
use crate::plugin::{Engine, Outline, Version};

/// Check whether a host would take components, without running them
///
/// Tells each one's world and version, what it exports and imports, what each import
/// gives it here, and how long its first compilation takes. Every file is looked at,
/// whatever comes of those before it. With --config, checks as a host with that
/// configuration would: its limits, and whose signatures it takes. Exit codes: 0 all are
/// fine; 1 one cannot be read; 2 the configuration has mistakes; 4 all can be read, and
/// one would be refused.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin check plugins/*.wasm")]
pub struct CheckArgs {
    /// Components, .wasm files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A host's configuration, whose limits hold [default: those of a stage that names none]
    #[arg(long, value_name = "FILE", conflicts_with = "memory")]
    config: Option<PathBuf>,
    /// The stage's `memory` [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory: Option<u64>,
    /// Print a JSON object for each, one a line
    #[arg(long)]
    json: bool,
}

/// Plenty for a look at any component; a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;
/// As a stage has it that names no `memory`.
const MEMORY: u64 = 64 << 20;

/// What a host would measure a component by.
struct Bounds {
    max_size: u64,
    trusted: Trusted,
    /// The `memory` of each stage, and what else it is called.
    memory: Vec<(u64, String)>,
}

impl Bounds {
    fn of(args: &CheckArgs, plugin: &str) -> Result<Bounds, ConfigErrors> {
        let Some(path) = &args.config else {
            let (memory, key) = match args.memory {
                Some(given) => (given, "--memory"),
                None => (MEMORY, "the default of a stage's `memory`; --memory or --config names another"),
            };
            return Ok(Bounds {
                max_size: MAX_SIZE,
                trusted: Trusted::new(&[]),
                memory: vec![(memory, key.to_owned())],
            });
        };
        let config = crate::cli::load(path)?;
        let stages = || config.pipelines.iter().flat_map(|pipeline| &pipeline.stages);
        let named = |stage: &Stage| (stage.limits.memory, format!("`memory` of stage {}", stage.name));
        let mut memory: Vec<_> = stages().filter(|stage| stage.plugin == plugin).map(named).collect();
        if memory.is_empty() {
            // A file by another name than the plugin's: what any stage would let it have.
            memory.extend(stages().max_by_key(|stage| stage.limits.memory).map(named));
        }
        Ok(Bounds { max_size: config.plugins.max_size, trusted: Trusted::new(&config.plugins.trusted_keys), memory })
    }
}

fn memory(text: &str) -> Result<u64, String> {
    crate::config::stage_memory(text)
}

/// What an interface gives a plugin here, by the beginning of its name. WASI is offered
/// so that language runtimes start, and leads nowhere.
const CAPABILITIES: [(&str, &str); 15] = [
    ("gregor:plugin/types", "the types of records"),
    ("gregor:plugin/cache", "entries of its own stage and topic partition"),
    ("gregor:plugin/timers", "calls of its timer-processor at a later time"),
    ("gregor:plugin/metrics", "counters and gauges under gregor_plugin_"),
    ("wasi:logging/", "log lines, shown where the stage's `log` is on"),
    ("wasi:config/", "the `config` of its stage"),
    ("wasi:keyvalue/", "the cache, by another door"),
    ("wasi:cli/environment", "no variable, no argument"),
    ("wasi:cli/exit", "ends the call, as a trap does"),
    ("wasi:cli/", "what it prints becomes log lines; nothing to read"),
    ("wasi:clocks/", "the time at which the record was polled"),
    ("wasi:random/", "the same bytes each time a record is processed"),
    ("wasi:filesystem/", "no file"),
    ("wasi:sockets/", "no network"),
    ("wasi:io/", "streams of the above"),
];

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (mut unreadable, mut refused) = (false, false);
    for file in &args.files {
        let bounds = Bounds::of(args, &plugin_of(file))?;
        match foreign::read(file, MAX_SIZE) {
            Ok(bytes) => refused |= !is_fine(file, &bytes, args.json, &bounds)?,
            Err(error) => {
                unreadable = true;
                if args.json {
                    let problem = format!("cannot be read: {error}");
                    println!("{}", json!({ "file": file.display().to_string(), "fine": false, "problem": problem }));
                }
                complain!("error: cannot read {}: {error}", file.display());
            }
        }
    }
    Ok(match (unreadable, refused) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(super::REFUSED),
        (false, false) => ExitCode::SUCCESS,
    })
}

fn plugin_of(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Tells of one of them.
fn is_fine(file: &Path, bytes: &[u8], json: bool, bounds: &Bounds) -> anyhow::Result<bool> {
    match look(&plugin_of(file), bytes, bounds)? {
        Ok((outline, version, compiled)) => {
            if json {
                println!("{}", document(file, &outline, &version, bytes, compiled));
            } else {
                println!("{}: fine, digest {}", file.display(), version.digest());
                tell(&outline, bytes, compiled);
            }
            Ok(true)
        }
        Err(refused) => {
            if json {
                println!(
                    "{}",
                    json!({ "file": file.display().to_string(), "fine": false, "refused": refused.to_string() })
                );
            }
            complain!("error: {} would be refused: {refused}", file.display());
            Ok(false)
        }
    }
}

type Looked = Result<(Outline, Version, Duration), Refusal>;

fn look(plugin: &str, bytes: &[u8], bounds: &Bounds) -> anyhow::Result<Looked> {
    let memory = bounds.memory.iter().map(|(memory, _)| *memory).max().unwrap_or(MEMORY);
    let engine = Engine::new(1, memory).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let started = Instant::now();
    let outline = checked(bytes, bounds);
    Ok(outline.and_then(|outline| {
        let version = Version::compile(&engine, plugin, bytes, bounds.max_size)?;
        Ok((outline, version, started.elapsed()))
    }))
}

/// In the order in which a host does it.
fn checked(bytes: &[u8], bounds: &Bounds) -> Result<Outline, Refusal> {
    Outline::check_bytes(bytes, bounds.max_size)?;
    bounds.trusted.check(bytes)?;
    let outline = Outline::read(bytes, bounds.max_size)?;
    for (limit, key) in &bounds.memory {
        outline.check_memory(*limit, || key.clone())?;
    }
    Ok(outline)
}

fn document(file: &Path, outline: &Outline, version: &Version, bytes: &[u8], compiled: Duration) -> serde_json::Value {
    let capabilities: Vec<_> = capabilities(&outline.interfaces())
        .into_iter()
        .map(|(name, gives)| json!({ "import": name, "gives": gives }))
        .collect();
    json!({
        "file": file.display().to_string(),
        "fine": true,
        "digest": version.digest().to_string(),
        "bytes": bytes.len(),
        "world": outline.world(),
        "contract": outline.contract(),
        "exports": outline.exports().collect::<Vec<_>>(),
        "imports": capabilities,
        "keepsState": version.keeps_state(),
        "compileSeconds": compiled.as_secs_f64(),
    })
}

fn tell(outline: &Outline, bytes: &[u8], compiled: Duration) {
    println!("  {} bytes, compiled in {compiled:.0?}", bytes.len());
    println!("  world {} of gregor:plugin@{}", outline.world(), outline.contract());
    let exports: Vec<&str> = outline.exports().collect();
    for (name, missing) in [
        ("timer-processor", "it cannot use timers"),
        ("lifecycle", "its configuration is not checked at deploy"),
        ("migration", "it takes over the state as it is"),
    ] {
        let state = if exports.contains(&name) { "exported" } else { missing };
        println!("    {name:<16} {state}");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, gives) in capabilities(&outline.interfaces()) {
        table.add_row([format!("  {name}"), gives.to_owned()]);
    }
    println!("  imports, and what each gives it here:\n{table}");
}

fn capabilities(interfaces: &BTreeSet<String>) -> Vec<(&str, &'static str)> {
    let gives = |name: &str| CAPABILITIES.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("", |(_, it)| it);
    interfaces.iter().map(|name| (name.as_str(), gives(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_import_gives_is_known() {
        for (name, bytes) in crate::demo_plugins() {
            let memory = vec![(MEMORY, "here".to_owned())];
            let bounds = Bounds { max_size: MAX_SIZE, trusted: Trusted::new(&[]), memory };
            let (outline, ..) = look(name, bytes, &bounds).unwrap().unwrap();
            let interfaces = outline.interfaces();
            let told = capabilities(&interfaces);
            assert!(told.len() > 5 && told.iter().all(|(_, gives)| !gives.is_empty()), "{told:?}");
        }
    }
}
