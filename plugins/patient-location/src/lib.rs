//! Says in plain words where a patient is. The README has the fields and what
//! happens to bad input.

#[cfg(test)]
mod tests;

use gregor_sdk::{Failure, Input, Output, Plugin, reject};
use location::{Invalid, Location};

struct PatientLocation;

impl Plugin for PatientLocation {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let value = sentence(&record).map_err(|invalid| reject(invalid.to_string()))?;
        Ok(vec![Output::new(record.key, value).with_headers(record.headers)])
    }
}

gregor_sdk::export!(PatientLocation);

/// The output's value; `None` for a tombstone, which is passed on.
fn sentence(record: &Input) -> Result<Option<Vec<u8>>, Invalid> {
    let Some(value) = &record.value else {
        return location::patient_of_tombstone(record.key.as_deref()).map(|_| None);
    };
    let Location { patient_id, lat, lon, .. } = location::parse(value)?;
    Ok(Some(format!("Patient {patient_id} at location ({lat}, {lon})").into_bytes()))
}
