//! Says in plain words where a patient is. The README has the fields and what
//! happens to bad input.

#[cfg(test)]
mod tests;

use gregor_sdk::{Failure, Input, Output, Plugin, reject};
use location::text::{append, decimal};
use location::{Invalid, Location};

/// Bytes of the sentence without the patient's id, and of its numbers at their longest.
const ROOM: usize = 96;

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
    let mut out = Vec::with_capacity(ROOM + patient_id.len());
    out.extend_from_slice(b"Patient ");
    append(&mut out, patient_id.as_bytes());
    out.extend_from_slice(b" at location (");
    degrees(&mut out, lat);
    out.extend_from_slice(b", ");
    degrees(&mut out, lon);
    out.push(b')');
    Ok(Some(out))
}

fn degrees(out: &mut Vec<u8>, degrees: f64) {
    if !decimal(out, degrees, b"") {
        out.extend_from_slice(degrees.to_string().as_bytes());
    }
}
