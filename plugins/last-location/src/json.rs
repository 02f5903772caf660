//! The output's value.

use gregor_sdk::{Failure, reject};
use location::text::{append, decimal, integer};
use serde::Serialize;

use crate::track::{Step, Track};

/// Bytes of the field names, and of their numbers at their longest.
const ROOM: usize = 256;

/// The value's text as serde_json writes it, with shorter ways for what is
/// usual: plain ids, integers, and degrees of a few places.
///
/// # Errors
/// None in fact: the fields are text and finite numbers.
pub fn write(patient_id: &str, track: &Track, step: &Step) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(ROOM + patient_id.len());
    out.extend_from_slice(br#"{"patientId":"#);
    text(&mut out, patient_id)?;
    out.extend_from_slice(br#","lat":"#);
    degrees(&mut out, track.lat)?;
    out.extend_from_slice(br#","lon":"#);
    degrees(&mut out, track.lon)?;
    out.extend_from_slice(br#","ts":"#);
    integer(&mut out, track.ts);
    out.extend_from_slice(br#","count":"#);
    integer(&mut out, track.count);
    out.extend_from_slice(br#","movedM":"#);
    any(&mut out, &step.moved_m)?;
    out.extend_from_slice(br#","totalM":"#);
    any(&mut out, &track.total_m)?;
    #[cfg(feature = "speed")]
    {
        out.extend_from_slice(br#","speedMps":"#);
        any(&mut out, &step.speed_mps)?;
    }
    out.push(b'}');
    Ok(out)
}

fn text(out: &mut Vec<u8>, value: &str) -> Result<(), Failure> {
    if value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        return any(out, value);
    }
    out.push(b'"');
    append(out, value.as_bytes());
    out.push(b'"');
    Ok(())
}

fn degrees(out: &mut Vec<u8>, value: f64) -> Result<(), Failure> {
    if decimal(out, value, b".0") { Ok(()) } else { any(out, &value) }
}

fn any(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    serde_json::to_writer(out, value).map_err(|_| reject("the output could not be written"))
}
