use std::fmt;

use serde_json::error::Category;

/// Why a value is no location. Its text names the field and what was expected
/// and never quotes the value: locations of patients are health data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Invalid {
    /// No bytes at all.
    Empty,
    /// Bytes that are not UTF-8, anywhere in the value.
    NotUtf8,
    /// Malformed at this line and column, both from 1.
    NotJson(usize, usize),
    /// JSON, but a list, a number or the like.
    NotAnObject,
    /// This field twice.
    Repeated(&'static str),
    /// This field absent or null.
    Missing(&'static str),
    /// `patientId` is neither text nor an integer, or of the wrong length.
    PatientId,
    /// This field is not a number.
    NotDegrees(&'static str),
    /// This field is beyond plus or minus so many degrees.
    OutOfRange(&'static str, f64),
    /// `ts` is not an integer from 0.
    Ts,
    /// A tombstone whose key names no patient.
    TombstoneKey,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the value is empty: expected a JSON object"),
            Self::NotUtf8 => write!(f, "the value is not UTF-8: expected a JSON object"),
            Self::NotJson(line, column) => {
                write!(f, "the value is not JSON: see line {line}, column {column}")
            }
            Self::NotAnObject => write!(f, "the value is JSON but not an object"),
            Self::Repeated(field) => write!(f, "`{field}` is there twice: expected it once"),
            Self::Missing(field) => write!(f, "`{field}` is missing or null"),
            Self::PatientId => {
                write!(f, "`patientId` must be 1 to {} bytes of text or a 64-bit integer", crate::MAX_PATIENT_ID)
            }
            Self::NotDegrees(field) => {
                write!(f, "`{field}` must be a number of degrees, without quotes")
            }
            Self::OutOfRange(field, limit) => {
                write!(f, "`{field}` must be from -{limit} to {limit} degrees")
            }
            Self::Ts => {
                write!(f, "`ts` must be an integer: milliseconds since the Unix epoch, from 0")
            }
            Self::TombstoneKey => {
                write!(f, "a tombstone's key must be a patient id: 1 to {} bytes of UTF-8", crate::MAX_PATIENT_ID)
            }
        }
    }
}

impl std::error::Error for Invalid {}

impl From<serde_json::Error> for Invalid {
    /// The text of `error` may quote the value, so only its position is taken.
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            // `Fields` takes every object, so only another type is refused.
            Category::Data => Self::NotAnObject,
            Category::Syntax | Category::Eof | Category::Io => Self::NotJson(error.line(), error.column()),
        }
    }
}
