//! Alarms when a patient enters or leaves a circle or a polygon. The README has
//! the config, the fields, the geometry and what happens to bad input.

mod circle;
mod fences;
mod polygon;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use gregor_sdk::config::Settings;
use gregor_sdk::state::State;
use gregor_sdk::{Failure, Header, Input, Lifecycle, Output, Plugin, reject};
use location::Location;
use serde::Serialize;

use fences::Fences;

/// The names of the fences that each patient is in.
const INSIDE: State<BTreeSet<String>> = State::new("inside");

struct Geofence;

impl Plugin for Geofence {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let Some(value) = &record.value else {
            let patient = location::patient_of_tombstone(record.key.as_deref());
            INSIDE.of(patient.map_err(|invalid| reject(invalid.to_string()))?).delete();
            return Ok(vec![record.forward()]);
        };
        let location = location::parse(value).map_err(|invalid| reject(invalid.to_string()))?;
        let fences = Fences::load()?;
        moved(&fences, &location, record.timestamp, &record.headers)
    }
}

impl Lifecycle for Geofence {
    fn init() -> Result<(), String> {
        Fences::check()
    }
}

gregor_sdk::export!(Geofence: Lifecycle);

/// The output's value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alarm<'a> {
    patient_id: &'a str,
    fence: &'a str,
    event: &'static str,
    lat: f64,
    lon: f64,
    ts: u64,
}

fn moved(fences: &Fences, location: &Location<'_>, timestamp: u64, headers: &[Header]) -> Result<Vec<Output>, Failure> {
    let patient = &*location.patient_id;
    let entry = INSIDE.of(patient);
    // A fence that is in the config no more is left without an alarm.
    let mut before = entry.get()?.unwrap_or_default();
    before.retain(|name| fences.contains(name));
    let now = fences.around(location.lat, location.lon);

    let left = before.iter().filter(|name| !now.contains(name.as_str())).map(|name| (name.as_str(), "leave"));
    let entered = now.iter().filter(|name| !before.contains(**name)).map(|name| (*name, "enter"));
    let alarm = |(fence, event)| {
        let ts = location.ts.unwrap_or(timestamp);
        let alarm = Alarm { patient_id: patient, fence, event, lat: location.lat, lon: location.lon, ts };
        Ok(Output::json(patient.as_bytes().to_vec(), &alarm)?.with_headers(headers.to_vec()))
    };
    let alarms = left.chain(entered).map(alarm).collect::<Result<Vec<_>, Failure>>()?;
    if !alarms.is_empty() {
        match now.is_empty() {
            true => drop(entry.delete()),
            false => entry.set(&now.into_iter().map(String::from).collect())?,
        }
    }
    Ok(alarms)
}
