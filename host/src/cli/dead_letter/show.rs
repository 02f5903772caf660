//! `gregor dead-letter show`

use std::io::Write;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::list::{Row, moment};
use super::topic::Reader;
use super::{NONE, PipelineArgs, Place, Refusal};
use crate::cli::api::printable;
use crate::cli::output;
use crate::redrive::Failed;

#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Where it stands in the dead-letter topic, as `list` shows it: PARTITION/OFFSET
    at: Place,
    /// Show key, value and headers too: what the record holds
    #[arg(long)]
    payload: bool,
    /// Print one JSON object; what is not UTF-8 is in base64
    #[arg(long)]
    json: bool,
}

/// Runs `gregor dead-letter show`.
///
/// # Errors
/// When there is no such dead letter, or the topic cannot be read.
pub fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.pipeline.choose()?;
    let reader = Reader::new(&chosen)?;
    let Some(found) = reader.letter(args.at)? else {
        let (topic, pipeline) = (&chosen.dead_letters, &chosen.pipeline);
        let problem = format!("topic `{topic}` holds no dead letter of pipeline `{pipeline}` at {}", args.at);
        return Err(Refusal { code: NONE, problem }.into());
    };
    let row = Row::new(&found, reader.known()?.of(&found.letter));
    let letter = &found.letter;
    let mut out = output::stdout();
    if args.json {
        let mut document = serde_json::to_value(&row)?;
        if args.payload {
            let headers: Vec<Value> = letter
                .headers
                .iter()
                .map(|(name, value)| json!({ "name": name, "value": shown(value.as_deref()) }))
                .collect();
            document["key"] = shown(letter.key.as_deref());
            document["value"] = shown(letter.value.as_deref());
            document["headers"] = Value::Array(headers);
            if let Failed::Timer(timer) = &letter.failed {
                document["timerName"] = json!(timer.name());
            }
        }
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = row.failed_at.map_or("-".to_owned(), moment);
    let lines = [
        (if row.timer.is_some() { "timer" } else { "record" }, row.source()),
        ("timestamp", u64::try_from(row.timestamp).map_or("-".to_owned(), moment)),
        ("pipeline", row.pipeline.clone()),
        ("stage", row.stage.clone()),
        ("version", row.digest.clone()),
        ("error", row.error.clone()),
        ("reason", row.reason.clone().unwrap_or_else(|| "-".to_owned())),
        ("failed", failed),
        ("attempts", row.attempts.to_string()),
        ("redriven", format!("{} times; this one: {}", row.redriven, row.redrive)),
        ("bytes", row.bytes.to_string()),
    ];
    for (name, value) in lines {
        writeln!(out, "{name:<10} {}", printable(&value))?;
    }
    if args.payload {
        if let Failed::Timer(timer) = &letter.failed {
            writeln!(out, "{:<10} {}", "name", printable(timer.name()))?;
        }
        writeln!(out, "{:<10} {}", "key", text(letter.key.as_deref()))?;
        writeln!(out, "{:<10} {}", "value", text(letter.value.as_deref()))?;
        for (name, value) in &letter.headers {
            writeln!(out, "{:<10} {} = {}", "header", printable(name), text(value.as_deref()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Text as it is, else `{"base64": "..."}`; null for none.
fn shown(bytes: Option<&[u8]>) -> Value {
    match bytes.map(std::str::from_utf8) {
        None => Value::Null,
        Some(Ok(text)) => json!(text),
        Some(Err(_)) => json!({ "base64": STANDARD.encode(bytes.unwrap_or_default()) }),
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    match bytes.map(std::str::from_utf8) {
        None => "(null)".to_owned(),
        Some(Ok(text)) => printable(text),
        Some(Err(_)) => format!("(base64) {}", STANDARD.encode(bytes.unwrap_or_default())),
    }
}
