//! `gregor dead-letter list`

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::topic::{Found, Reader, Redrive};
use super::{Filter, NONE, PipelineArgs};
use crate::cli::api::printable;
use crate::cli::output;
use crate::redrive::{Failed, Truncated};

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    filter: Filter,
    /// Only those that nobody has redriven
    #[arg(long)]
    open: bool,
    /// Show at most so many
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A dead letter without its key and value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its partition and offset in the dead-letter topic.
    pub at: String,
    pub topic: String,
    pub partition: i32,
    /// None where a timer failed.
    pub offset: Option<i64>,
    /// The domain of the timer that failed, where it is one.
    pub timer: Option<&'static str>,
    pub timestamp: i64,
    pub pipeline: String,
    pub stage: String,
    pub digest: String,
    pub error: String,
    pub reason: Option<String>,
    pub attempts: u32,
    pub failed_at: Option<u64>,
    pub redriven: u32,
    pub redrive: &'static str,
    /// Of the record's key, value and headers.
    pub bytes: u64,
    /// Whether the letter lacks its record, which stands in the source.
    pub truncated: bool,
}

impl Row {
    pub fn new(found: &Found, redrive: Redrive) -> Row {
        let letter = &found.letter;
        Row {
            at: found.place.to_string(),
            topic: letter.topic.clone(),
            partition: letter.partition,
            offset: letter.offset(),
            timer: match &letter.failed {
                Failed::Record(_) => None,
                Failed::Timer(timer) => Some(timer.domain.name()),
            },
            timestamp: letter.timestamp,
            pipeline: letter.pipeline.clone(),
            stage: letter.stage.clone(),
            digest: letter.digest.clone(),
            error: letter.error.clone(),
            reason: letter.reason.clone(),
            attempts: letter.attempts,
            failed_at: letter.failed_at,
            redriven: letter.redriven,
            redrive: redrive.name(),
            bytes: letter.truncated.as_ref().map_or_else(|| letter.bytes(), Truncated::bytes),
            truncated: letter.truncated.is_some(),
        }
    }
}

impl Row {
    /// Where the record stands, or when the timer was to fire.
    pub fn source(&self) -> String {
        let Row { topic, partition, .. } = self;
        match (self.offset, self.timer) {
            (Some(offset), _) => format!("{topic}-{partition}@{offset}"),
            (None, timer) => {
                let at = u64::try_from(self.timestamp).unwrap_or(0);
                format!("{topic}-{partition} {} timer of {}", timer.unwrap_or("unknown"), moment(at))
            }
        }
    }
}

/// Runs `gregor dead-letter list`.
///
/// # Errors
/// When the topic is missing or cannot be read.
pub fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.pipeline.choose()?;
    let reader = Reader::new(&chosen)?;
    let known = reader.known()?;
    let (mut rows, mut more) = (Vec::new(), false);
    reader.letters(|found| {
        let redrive = known.of(&found.letter);
        if args.filter.admits(&found.letter) && (!args.open || redrive == Redrive::No) {
            more = rows.len() >= args.limit;
            if !more {
                rows.push(Row::new(&found, redrive));
            }
        }
        !more
    })?;
    let mut out = output::stdout();
    if args.json {
        for row in &rows {
            serde_json::to_writer(&mut out, row)?;
            writeln!(out)?;
        }
    } else if rows.is_empty() {
        complain!("topic `{}` holds no such dead letter of pipeline `{}`", chosen.dead_letters, chosen.pipeline);
    } else {
        writeln!(out, "{}", table(&rows))?;
    }
    if more {
        complain!("there are more: raise --limit, or choose with --error and --stage");
    }
    Ok(if rows.is_empty() { ExitCode::from(NONE) } else { ExitCode::SUCCESS })
}

/// Names come from headers, which anyone who may write to the topic can set.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["AT", "RECORD", "FAILED", "STAGE", "ERROR", "ATTEMPTS", "REDRIVE"]);
    for row in rows {
        table.add_row([
            row.at.clone(),
            printable(&row.source()),
            row.failed_at.map_or("-".to_owned(), moment),
            printable(&row.stage),
            printable(&row.error),
            row.attempts.to_string(),
            row.redrive.to_owned(),
        ]);
    }
    table
}

/// Milliseconds since the Unix epoch, as a date and a time.
pub fn moment(ms: u64) -> String {
    // Past this the date has more than four digits.
    const LAST: u64 = 253_402_300_799_999;
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms.min(LAST))).to_string()
}
