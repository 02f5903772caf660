//! `gregor plugin check`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use serde_json::json;

use crate::plugin::{Engine, Outline, Refused, Version};

/// Check whether a host would take components, without running them
///
/// Tells each one's world and version, what it exports and imports, what each import
/// gives it here, and how long its first compilation takes. Every file is looked at,
/// whatever comes of those before it. Exit codes: 0 all are fine; 1 one cannot be read;
/// 4 all can be read, and one would be refused.
#[derive(clap::Args)]
#[command(after_help = "Example: gregor plugin check plugins/*.wasm")]
pub struct CheckArgs {
    /// Components, .wasm files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print a JSON object for each, one a line
    #[arg(long)]
    json: bool,
}

/// Plenty for a look at any component; a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;
/// Of memory an instance may have; nothing is instantiated here.
const MEMORY: u64 = 64 << 20;

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

pub fn run(CheckArgs { files, json }: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (mut unreadable, mut refused) = (false, false);
    for file in files {
        match std::fs::read(file) {
            Ok(bytes) => refused |= !is_fine(file, &bytes, *json)?,
            Err(error) => {
                unreadable = true;
                let problem = format!("cannot be read: {error}");
                if *json {
                    println!("{}", json!({ "file": file.display().to_string(), "fine": false, "problem": problem }));
                }
                eprintln!("error: {} {problem}", file.display());
            }
        }
    }
    Ok(match (unreadable, refused) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(super::REFUSED),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Tells of one of them.
fn is_fine(file: &Path, bytes: &[u8], json: bool) -> anyhow::Result<bool> {
    match look(&file.file_stem().unwrap_or_default().to_string_lossy(), bytes)? {
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
            eprintln!("error: {} would be refused: {refused}", file.display());
            Ok(false)
        }
    }
}

type Looked = Result<(Outline, Version, Duration), Refused>;

fn look(plugin: &str, bytes: &[u8]) -> anyhow::Result<Looked> {
    let engine = Engine::new(1, MEMORY).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let started = Instant::now();
    let outline = Outline::read(bytes, MAX_SIZE);
    let version = Version::compile(&engine, plugin, bytes, MAX_SIZE);
    Ok(outline.and_then(|outline| Ok((outline, version?, started.elapsed()))))
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
            let (outline, ..) = look(name, bytes).unwrap().unwrap();
            let interfaces = outline.interfaces();
            let told = capabilities(&interfaces);
            assert!(told.len() > 5 && told.iter().all(|(_, gives)| !gives.is_empty()), "{told:?}");
        }
    }
}
