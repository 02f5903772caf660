//! JSON by serde, with failures that never quote what they read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::{Failure, reject};

/// Reads a value. Numbers are rounded as IEEE 754 asks, so that they print as
/// they were written.
///
/// # Errors
/// A reject that tells where the JSON breaks, or that it has not the fields and
/// types of `T`; serde's own text is left out, as it may quote the record.
pub fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        reject(match error.classify() {
            Category::Data => {
                format!("the JSON has not the fields and types that are expected: see line {line}, column {column}")
            }
            Category::Syntax | Category::Eof | Category::Io => {
                format!("the value is not JSON: see line {line}, column {column}")
            }
        })
    })
}

/// Writes a value, without spaces.
///
/// # Errors
/// A reject for what JSON cannot hold, such as a map whose keys are no text.
pub fn write(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|_| reject("a value cannot be written as JSON"))
}
