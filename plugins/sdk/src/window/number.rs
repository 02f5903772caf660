//! A double in JSON, which has no word for infinities and NaN: those as text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
}

pub fn serialize<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    match number.is_finite() {
        true => number.serialize(to),
        false => number.to_string().serialize(to),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    match Number::deserialize(from)? {
        Number::Finite(number) => Ok(number),
        Number::Other(text) => text.parse().map_err(|_| de::Error::custom("not a number")),
    }
}
