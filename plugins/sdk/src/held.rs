//! Records that a plugin keeps in its state to pass on later.

use serde::{Deserialize, Serialize};

use crate::{Header, Input, Output};

/// Bytes in an entry of state: text as it is, else in hexadecimal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    /// What is UTF-8.
    Text(String),
    /// What is not.
    Hex {
        /// Two digits for each byte.
        hex: String,
    },
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Hex { hex: hex(error.as_bytes()) }, Self::Text)
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
        match bytes {
            Bytes::Text(text) => text.into_bytes(),
            Bytes::Hex { hex } => hex
                .as_bytes()
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |byte, next| byte << 4 | digit(*next)))
                .collect(),
        }
    }
}

/// Two lower-case digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

/// A record as an entry of state, with its timestamp in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Of the record.
    pub timestamp: u64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, Option<Bytes>)>,
}

impl From<Input> for Held {
    fn from(record: Input) -> Self {
        let headers = record.headers.into_iter().map(|header| (header.name, header.value.map(Bytes::from)));
        Self {
            timestamp: record.timestamp,
            key: record.key.map(Bytes::from),
            value: record.value.map(Bytes::from),
            headers: headers.collect(),
        }
    }
}

impl From<Held> for Output {
    /// The record as it came: key, value, timestamp and headers.
    fn from(held: Held) -> Self {
        let headers = held.headers.into_iter().map(|(name, value)| Header { name, value: value.map(Vec::from) });
        Output::new(held.key.map(Vec::from), held.value.map(Vec::from))
            .with_timestamp(held.timestamp)
            .with_headers(headers.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_record_comes_out_as_it_went_in(
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
            header in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
            timestamp: u64,
        ) {
            let headers = vec![Header { name: "h".into(), value: header }];
            let input = Input { topic: "t".into(), partition: 0, offset: 0, timestamp, key, value, headers };
            let json = crate::json::write(&Held::from(input.clone())).unwrap();
            let held: Held = crate::json::read(&json).unwrap();
            prop_assert_eq!(Output::from(held), input.forward());
        }
    }
}
