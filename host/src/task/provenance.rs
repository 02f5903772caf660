//! Headers that say where a record came from: on every dead letter, and on
//! outputs where the pipeline's `provenance` asks for them. They name topics,
//! positions and versions, never a key or a payload.

use super::unit::Unit;
use crate::record::Header;
use crate::redrive::is_ours;

/// Of a timer: `event-time` or `processing-time` …
pub const TIMER_DOMAIN: &str = "gregor-timer-domain";
/// … its name, on dead letters only, as it may hold a key …
const TIMER_NAME: &str = "gregor-timer-name";
/// … its time, milliseconds since the Unix epoch …
pub const TIMER_AT: &str = "gregor-timer-at";
/// … and on dead letters its stage, where what it gave failed in a later one.
pub const TIMER_STAGE: &str = "gregor-timer-stage";

pub(super) fn set(headers: &mut Vec<Header>, name: &str, value: impl ToString) {
    headers.push((name.to_owned(), Some(value.to_string().into_bytes())));
}

/// Where the source record stands, or which timer it was: in place of all that came
/// under names of ours, from another pipeline or from whoever produced the record.
fn set_source(headers: &mut Vec<Header>, source: &Unit<'_>) {
    let Unit { record, timer, .. } = source;
    headers.retain(|(name, _)| !is_ours(name));
    set(headers, "gregor-topic", record.topic);
    set(headers, "gregor-partition", record.partition);
    match timer {
        None => set(headers, "gregor-offset", record.offset),
        Some((_, timer)) => {
            set(headers, TIMER_DOMAIN, timer.domain.name());
            set(headers, TIMER_AT, timer.at);
        }
    }
    set(headers, "gregor-timestamp", record.timestamp);
}

/// For an output: the source record or the timer, the host and worker that processed it, and
/// the version of each stage's plugin.
pub fn set_lineage(headers: &mut Vec<Header>, source: &Unit<'_>, worker: &str, versions: &str) {
    set_source(headers, source);
    set(headers, "gregor-worker", worker);
    set(headers, "gregor-versions", versions);
}

/// Why a record or a timer became a dead letter, or is parked.
pub struct Cause<'a> {
    pub pipeline: &'a str,
    pub stage: &'a str,
    /// The stage of a timer.
    pub timer_stage: Option<&'a str>,
    pub digest: String,
    pub kind: &'static str,
    /// The same in words, with the numbers of a limit; none of the guest's.
    pub reason: String,
    pub attempts: u32,
    /// How often it was redriven.
    pub redriven: u32,
    /// When the call began, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// The headers of a dead letter: the record's own, then ours.
pub fn dead_letter(source: &Unit<'_>, cause: &Cause<'_>) -> Vec<Header> {
    let mut headers: Vec<Header> = source.record.headers.iter().filter(|(name, _)| !is_ours(name)).cloned().collect();
    set_source(&mut headers, source);
    if let Some((_, timer)) = source.timer {
        set(&mut headers, TIMER_NAME, timer.name());
    }
    if let Some(stage) = cause.timer_stage.filter(|stage| *stage != cause.stage) {
        set(&mut headers, TIMER_STAGE, stage);
    }
    set(&mut headers, "gregor-pipeline", cause.pipeline);
    set(&mut headers, "gregor-stage", cause.stage);
    set(&mut headers, "gregor-digest", &cause.digest);
    set(&mut headers, "gregor-error", cause.kind);
    set(&mut headers, "gregor-reason", &cause.reason);
    set(&mut headers, "gregor-attempts", cause.attempts);
    set(&mut headers, "gregor-failed-at", cause.at_ms);
    if cause.redriven > 0 {
        set(&mut headers, "gregor-redriven", cause.redriven);
    }
    headers
}
