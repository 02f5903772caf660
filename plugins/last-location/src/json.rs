//! The output's value.

use gregor_sdk::{Failure, reject};
use serde::Serialize;

use crate::track::{Step, Track};

/// Bytes of the field names, and of their numbers at their longest.
const ROOM: usize = 256;

/// In the order in which the fields are written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Enriched<'a> {
    patient_id: &'a str,
    lat: f64,
    lon: f64,
    ts: u64,
    count: u64,
    #[serde(rename = "movedM")]
    moved_m: f64,
    #[serde(rename = "totalM")]
    total_m: f64,
    #[cfg(feature = "speed")]
    speed_mps: f64,
}

/// # Errors
/// None in fact: the fields are text and finite numbers.
pub fn write(patient_id: &str, track: &Track, step: &Step) -> Result<Vec<u8>, Failure> {
    let enriched = Enriched {
        patient_id,
        lat: track.lat,
        lon: track.lon,
        ts: track.ts,
        count: track.count,
        moved_m: step.moved_m,
        total_m: track.total_m,
        #[cfg(feature = "speed")]
        speed_mps: step.speed_mps,
    };
    let mut out = Vec::with_capacity(ROOM + patient_id.len());
    serde_json::to_writer(&mut out, &enriched).map_err(|_| reject("the output could not be written"))?;
    Ok(out)
}
