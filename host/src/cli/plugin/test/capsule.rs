//! `gregor plugin test --capsule`: a call that failed, made again from the capsule that
//! the host kept of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::api::printable;
use crate::cli::dead_letter::moment;
use crate::files::foreign;
use crate::plugin::{Capsule, Digest, Ending, Engine, Version};

use super::{DIFFERS, MAX_SIZE, REFUSED, TestArgs, USAGE, refuse};

/// # Errors
/// When the component cannot be read.
pub fn run(args: &TestArgs, file: &Path) -> anyhow::Result<ExitCode> {
    let capsule = match Capsule::read(file) {
        Ok(capsule) => capsule,
        Err(problem) => return Ok(refuse(USAGE, &problem)),
    };
    let Some(file) = args.component.clone().or_else(|| kept(file, &capsule)) else {
        let (plugin, digest) = (&capsule.plugin, &capsule.digest);
        let problem = format!("version {digest} of `{plugin}` is not kept here: name its component with --component");
        return Ok(refuse(USAGE, &printable(&problem)));
    };
    let bytes = foreign::read(&file, MAX_SIZE).with_context(|| format!("cannot read {}", file.display()))?;
    let engine = Engine::new(1, capsule.memory()).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let version = match Version::compile(&engine, &capsule.plugin, &bytes, MAX_SIZE) {
        Ok(version) => version,
        Err(refused) => return Ok(refuse(REFUSED, &format!("{} is refused: {refused}", file.display()))),
    };
    let same_version = version.digest().to_string() == capsule.digest;
    let ending = capsule.replay(&engine, &version);
    let same = ending == capsule.outcome;
    if args.json {
        let shown = |ending: &Ending| {
            let words = ending.guest_text.as_ref().filter(|_| args.words);
            json!({ "kind": ending.kind, "text": ending.text, "guestText": words })
        };
        let told = json!({
            "record": source(&capsule),
            "timer": timer(&capsule, args.words),
            "pipeline": capsule.pipeline,
            "stage": capsule.stage,
            "digest": version.digest().to_string(),
            "sameVersion": same_version,
            "callsBefore": capsule.calls_before,
            "then": shown(&capsule.outcome),
            "now": shown(&ending),
            "same": same,
        });
        println!("{}", serde_json::to_string_pretty(&told)?);
    } else {
        tell(&capsule, &version.digest(), same_version, &ending, args.words);
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

fn tell(capsule: &Capsule, digest: &Digest, same_version: bool, ending: &Ending, words: bool) {
    let line = |name: &str, text: &str| println!("{name:<9} {}", printable(text));
    match capsule.timer() {
        None => line("record", &source(capsule)),
        Some(timer) => {
            line("timer", &source(capsule));
            if words {
                line("", timer.name());
            }
        }
    }
    line("stage", &format!("{} of {}", capsule.stage, capsule.pipeline));
    let which = if same_version { "the version that failed" } else { "another version than the one that failed" };
    line("version", &format!("{} ({which})", digest.short()));
    for (name, ending) in [("then", &capsule.outcome), ("now", ending)] {
        line(name, &format!("{}: {}", ending.kind, ending.text));
        if let (true, Some(text)) = (words, &ending.guest_text) {
            line("", text);
        }
    }
    if *ending == capsule.outcome {
        println!("The call ended as it did then.");
    } else if capsule.calls_before > 0 && same_version {
        println!(
            "The call ended otherwise. The instance had been called {} times before, and what it kept of that in its \
             own memory is not in the capsule.",
            capsule.calls_before
        );
    } else {
        println!("The call ended otherwise.");
    }
}

/// Where the record stands, or when the timer was to fire: its name may hold a key.
fn source(capsule: &Capsule) -> String {
    let (topic, partition) = capsule.topic_partition();
    match capsule.timer() {
        None => format!("{topic}-{partition}@{}", capsule.offset()),
        Some(timer) => format!("{topic}-{partition} {} timer of {}", timer.domain.name(), moment(timer.at)),
    }
}

fn timer(capsule: &Capsule, words: bool) -> Option<Value> {
    let timer = capsule.timer()?;
    Some(json!({ "domain": timer.domain.name(), "at": timer.at, "name": words.then(|| timer.name()) }))
}

/// Where a host keeps the versions that ran, beside its capsules.
fn kept(file: &Path, capsule: &Capsule) -> Option<PathBuf> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !plain(&capsule.plugin) || !plain(&capsule.digest) {
        return None;
    }
    let data = file.parent()?.parent()?;
    let component = data.join("versions").join(&capsule.plugin).join(format!("{}.wasm", capsule.digest));
    component.is_file().then_some(component)
}
