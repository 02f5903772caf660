//! Tells when a patient's positions stop coming, and when they come back. The
//! README has the config, the fields and what happens to bad input.

#[cfg(test)]
mod tests;

use std::time::Duration;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::state::State;
use gregor_sdk::timers::{self, Domain};
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, Timed, clock, reject};
use serde::{Deserialize, Serialize};

const DEFAULT_SILENCE: Duration = Duration::from_secs(600);

/// What is known of each patient.
const PATIENTS: State<Patient> = State::new("patient");

struct StalePatient;

impl Plugin for StalePatient {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let Some(value) = &record.value else {
            let patient = location::patient_of_tombstone(record.key.as_deref());
            forget(patient.map_err(|invalid| reject(invalid.to_string()))?);
            return Ok(vec![record.forward()]);
        };
        let location = location::parse(value).map_err(|invalid| reject(invalid.to_string()))?;
        let alarms = Alarms::load()?;
        seen(&alarms, &location.patient_id, record.timestamp)
    }
}

impl Timed for StalePatient {
    fn on_timer(_: Domain, patient: String, at: u64) -> Result<Vec<Output>, Failure> {
        let alarms = Alarms::load()?;
        due(&alarms, &patient, at)
    }
}

impl Lifecycle for StalePatient {
    fn init() -> Result<(), String> {
        Alarms::check()
    }
}

gregor_sdk::export!(StalePatient: Timed, Lifecycle);

/// The stage's `config`.
struct Alarms {
    /// Milliseconds of processing time.
    after: u64,
    /// Whether a patient's first position after an alarm is told.
    back: bool,
}

impl Settings for Alarms {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["after", "back"])?;
        let after = config.duration("after")?.unwrap_or(DEFAULT_SILENCE);
        if after.is_zero() {
            return Err("`after` in the config must be longer than nothing, such as \"10m\"".into());
        }
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Ok(Alarms { after, back: config.parsed("back", "true or false")?.unwrap_or(false) })
    }
}

/// A patient's entry; times in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patient {
    /// The latest timestamp of a record.
    last_seen: u64,
    /// When the host had it.
    polled: u64,
    /// Whether the alarm has been told. Otherwise the patient has a timer.
    stale: bool,
}

/// The output's value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alarm<'a> {
    patient_id: &'a str,
    status: &'static str,
    /// The latest timestamp of a record before the silence.
    last_seen: u64,
    /// Milliseconds without a position, by the clock of the host.
    silent_ms: u64,
}

fn seen(alarms: &Alarms, patient: &str, timestamp: u64) -> Result<Vec<Output>, Failure> {
    if patient.len() > timers::MAX_NAME {
        return Err(reject(format!("`patientId` must be at most {} bytes long here", timers::MAX_NAME)));
    }
    let now = clock::now();
    let entry = PATIENTS.of(patient);
    let before = entry.get()?;
    // The timer of a patient who is not stale finds out by itself that a record came:
    // moving it each time would cost one more host call a record. One that should
    // have been called by now failed for good.
    let stands = |before: &Patient| !before.stale && now < before.polled.saturating_add(alarms.after);
    if !before.as_ref().is_some_and(stands) {
        timers::schedule(Domain::ProcessingTime, patient, now.saturating_add(alarms.after))?;
    }
    let last_seen = before.as_ref().map_or(timestamp, |before| before.last_seen.max(timestamp));
    entry.set(&Patient { last_seen, polled: now, stale: false })?;
    match before {
        Some(before) if before.stale && alarms.back => tell(patient, "back", &before, now),
        _ => Ok(vec![]),
    }
}

fn due(alarms: &Alarms, patient: &str, at: u64) -> Result<Vec<Output>, Failure> {
    let entry = PATIENTS.of(patient);
    let Some(known) = entry.get()? else { return Ok(vec![]) };
    let silent_from = known.polled.saturating_add(alarms.after);
    if at < silent_from {
        timers::schedule(Domain::ProcessingTime, patient, silent_from)?;
        return Ok(vec![]);
    }
    let alarm = tell(patient, "stale", &known, at)?;
    entry.set(&Patient { stale: true, ..known })?;
    Ok(alarm)
}

fn forget(patient: &str) {
    PATIENTS.of(patient).delete();
    timers::cancel(Domain::ProcessingTime, patient);
}

fn tell(patient: &str, status: &'static str, before: &Patient, now: u64) -> Result<Vec<Output>, Failure> {
    let silent_ms = now.saturating_sub(before.polled);
    let alarm = Alarm { patient_id: patient, status, last_seen: before.last_seen, silent_ms };
    Ok(vec![Output::json(patient.as_bytes().to_vec(), &alarm)?])
}
