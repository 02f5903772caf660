//! Headers that say where a record came from: on every dead letter, and on
//! outputs where the pipeline's `provenance` asks for them. They name topics,
//! positions and versions, never a key or a payload.

use crate::record::{Header, Record};

/// Sets `name`, in place of an earlier one: a record may have come through
/// another pipeline of ours.
fn set(headers: &mut Vec<Header>, name: &str, value: impl ToString) {
    headers.retain(|(earlier, _)| earlier != name);
    headers.push((name.to_owned(), Some(value.to_string().into_bytes())));
}

/// Where the source record stands.
fn set_source(headers: &mut Vec<Header>, source: &Record<'_>) {
    set(headers, "gregor-topic", source.topic);
    set(headers, "gregor-partition", source.partition);
    set(headers, "gregor-offset", source.offset);
    set(headers, "gregor-timestamp", source.timestamp);
}

/// For an output: the source record, the host and worker that processed it, and
/// the version of each stage's plugin.
pub fn set_lineage(headers: &mut Vec<Header>, source: &Record<'_>, worker: &str, versions: &str) {
    set_source(headers, source);
    set(headers, "gregor-worker", worker);
    set(headers, "gregor-versions", versions);
}

/// Why a record became a dead letter.
pub struct Cause<'a> {
    pub pipeline: &'a str,
    pub stage: &'a str,
    pub digest: String,
    pub kind: &'static str,
    /// The same in words, with the numbers of a limit; none of the guest's.
    pub reason: String,
    pub attempts: u32,
    /// How often it was redriven.
    pub redriven: u32,
    /// When the record was polled, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// The headers of a dead letter: the record's own, then ours.
pub fn dead_letter(source: &Record<'_>, cause: &Cause<'_>) -> Vec<Header> {
    let mut headers = source.headers.to_vec();
    set_source(&mut headers, source);
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
