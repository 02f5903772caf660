//! A patient's location as records carry it:
//! `{"patientId": "123", "lat": 38.7167, "lon": -9.1333, "ts": 1700000000000}`.
//!
//! ```
//! let value = br#"{"patientId": "123", "lat": 38.7167, "lon": -9.1333}"#;
//! let location = location::parse(value)?;
//! assert_eq!(location.patient_id, "123");
//! assert_eq!(location.ts, None);
//! # Ok::<(), location::Invalid>(())
//! ```

#[cfg(any(test, feature = "cases"))]
pub mod cases;
mod fields;
mod invalid;
mod plain;
#[cfg(test)]
mod tests;
pub mod text;

use std::borrow::Cow;

use fields::{Fields, Scalar};
pub use invalid::Invalid;

/// The longest patient id, in bytes: what the cache takes as a key.
pub const MAX_PATIENT_ID: usize = 512;

/// Where a patient was.
#[derive(Debug, Clone, PartialEq)]
pub struct Location<'a> {
    /// 1 to [`MAX_PATIENT_ID`] bytes; an integer in the JSON is its decimal text.
    pub patient_id: Cow<'a, str>,
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
    /// Milliseconds since the Unix epoch, where the value tells.
    pub ts: Option<u64>,
}

/// Reads a record's value, borrowing from it. Fields other than the four are
/// ignored, however large.
///
/// # Errors
/// [`Invalid`] names the first rule the value breaks and never quotes it.
pub fn parse(value: &[u8]) -> Result<Location<'_>, Invalid> {
    match plain::read(value) {
        Some(location) => Ok(location),
        None => parse_any(value),
    }
}

#[cold]
fn parse_any(value: &[u8]) -> Result<Location<'_>, Invalid> {
    if value.is_empty() {
        return Err(Invalid::Empty);
    }
    let text = std::str::from_utf8(value).map_err(|_| Invalid::NotUtf8)?;
    let fields: Fields<'_> = serde_json::from_str(text)?;
    if let Some(field) = fields.repeated {
        return Err(Invalid::Repeated(field));
    }
    Ok(Location {
        patient_id: patient_id(fields.patient_id)?,
        lat: degrees("lat", 90.0, fields.lat)?,
        lon: degrees("lon", 180.0, fields.lon)?,
        ts: milliseconds(fields.ts)?,
    })
}

fn patient_id(field: Option<Scalar<'_>>) -> Result<Cow<'_, str>, Invalid> {
    let id = match field {
        None | Some(Scalar::Null) => return Err(Invalid::Missing("patientId")),
        Some(Scalar::Text(text)) => text,
        Some(Scalar::Unsigned(id)) => Cow::Owned(itoa::Buffer::new().format(id).to_owned()),
        Some(Scalar::Negative(id)) => Cow::Owned(itoa::Buffer::new().format(id).to_owned()),
        Some(Scalar::Fraction(_) | Scalar::Other) => return Err(Invalid::PatientId),
    };
    if id.is_empty() || id.len() > MAX_PATIENT_ID {
        return Err(Invalid::PatientId);
    }
    Ok(id)
}

fn degrees(name: &'static str, limit: f64, field: Option<Scalar<'_>>) -> Result<f64, Invalid> {
    let degrees = match field {
        None | Some(Scalar::Null) => return Err(Invalid::Missing(name)),
        Some(Scalar::Fraction(degrees)) => degrees,
        Some(Scalar::Unsigned(degrees)) => degrees as f64,
        Some(Scalar::Negative(degrees)) => degrees as f64,
        Some(Scalar::Text(_) | Scalar::Other) => return Err(Invalid::NotDegrees(name)),
    };
    if degrees.abs() > limit {
        return Err(Invalid::OutOfRange(name, limit));
    }
    Ok(degrees)
}

fn milliseconds(field: Option<Scalar<'_>>) -> Result<Option<u64>, Invalid> {
    match field {
        None | Some(Scalar::Null) => Ok(None),
        Some(Scalar::Unsigned(ts)) => Ok(Some(ts)),
        Some(_) => Err(Invalid::Ts),
    }
}

/// The patient that a tombstone's key names.
///
/// # Errors
/// [`Invalid::TombstoneKey`] for a key that is null, not UTF-8, empty or longer
/// than [`MAX_PATIENT_ID`].
pub fn patient_of_tombstone(key: Option<&[u8]>) -> Result<&str, Invalid> {
    key.filter(|key| (1..=MAX_PATIENT_ID).contains(&key.len()))
        .and_then(|key| std::str::from_utf8(key).ok())
        .ok_or(Invalid::TombstoneKey)
}
