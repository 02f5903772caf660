//! The output's value.

use gregor_sdk::{Failure, reject};
use serde::Serialize;

use crate::track::{Step, Track};

/// Bytes of the field names, and of their numbers at their longest.
const ROOM: usize = 256;

/// # Errors
/// None in fact: the fields are text and finite numbers.
pub fn write(patient_id: &str, track: &Track, step: &Step) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(ROOM + patient_id.len());
    field(&mut out, r#"{"patientId":"#, patient_id)?;
    field(&mut out, r#","lat":"#, &track.lat)?;
    field(&mut out, r#","lon":"#, &track.lon)?;
    field(&mut out, r#","ts":"#, &track.ts)?;
    field(&mut out, r#","count":"#, &track.count)?;
    field(&mut out, r#","movedM":"#, &step.moved_m)?;
    field(&mut out, r#","totalM":"#, &track.total_m)?;
    #[cfg(feature = "speed")]
    field(&mut out, r#","speedMps":"#, &step.speed_mps)?;
    out.push(b'}');
    Ok(out)
}

/// Appends `name` as it stands: a derived `Serialize` looks at every byte of
/// every name for what needs escaping, at 8 % of a record's instructions.
fn field(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    out.extend_from_slice(name.as_bytes());
    serde_json::to_writer(out, value).map_err(|_| reject("the output could not be written"))
}
