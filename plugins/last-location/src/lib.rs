//! Keeps each patient's last position, count of records and distance in the
//! cache, and emits them, keyed by patient, for every location. The README has
//! the fields, the cache's layout and what happens to bad input.

mod json;
#[cfg(test)]
mod tests;
mod track;

use gregor_sdk::{Failure, Input, Output, Plugin, cache, reject};
use location::Location;
use track::Track;

struct LastLocation;

impl Plugin for LastLocation {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let output = match read(&record)? {
            Change::Moved(location) => {
                let patient = &*location.patient_id;
                let before = cache::get(patient).as_deref().map(Track::decode).transpose()?;
                let (track, step) = track::advance(before, &location, record.timestamp);
                cache::set(patient, &track.encode(), None)?;
                let value = json::write(patient, &track, &step)?;
                let keyed = record.key.as_deref() == Some(patient.as_bytes());
                let key = (!keyed).then(|| patient.as_bytes().to_vec());
                Output::new(key.or(record.key), value)
            }
            Change::Forgotten(patient) => {
                cache::delete(patient);
                Output::new(record.key, None)
            }
        };
        Ok(vec![output.with_headers(record.headers)])
    }
}

gregor_sdk::export!(LastLocation);

/// What a record says about a patient.
#[derive(Debug, PartialEq)]
enum Change<'a> {
    Moved(Location<'a>),
    /// A tombstone, for the patient that its key names.
    Forgotten(&'a str),
}

fn read(record: &Input) -> Result<Change<'_>, Failure> {
    match &record.value {
        Some(value) => location::parse(value).map(Change::Moved),
        None => location::patient_of_tombstone(record.key.as_deref()).map(Change::Forgotten),
    }
    .map_err(|invalid| reject(invalid.to_string()))
}
