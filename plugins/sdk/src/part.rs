//! What a record is told apart by: its key, its value, a header, a field.
//!
//! In a stage's `config`: `key`, `value`, `header:NAME`, a JSON pointer, or several of
//! them with commas between.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::document::Value;
use crate::held::{Bytes, hex};
use crate::pointer::Pointer;
use crate::{Failure, Input, reject};

/// The longest [`Identity`] that is kept as it is, in bytes; a longer one is its hash.
/// With a name before it, it fits a timer's name.
const MAX_PLAIN: usize = 200;
/// An identity that begins so is a hash.
const HASHED: char = '#';

/// One part of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// The key's bytes.
    Key,
    /// The value's bytes.
    Value,
    /// The value of the last header of this name.
    Header(String),
    /// A field of the value.
    Field(Pointer),
}

impl Part {
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "key" => Ok(Part::Key),
            "value" => Ok(Part::Value),
            field if field.starts_with('/') => Pointer::parse(field).map(Part::Field),
            other => match other.strip_prefix("header:") {
                Some(name) if !name.is_empty() => Ok(Part::Header(name.to_owned())),
                _ => Err(format!(
                    "`{other}` is no part of a record: write `key`, `value`, `header:NAME` or a pointer such as `/id`"
                )),
            },
        }
    }

    /// As text that no other value of this part has. `None` where the record has no such
    /// part, or null.
    fn told(&self, record: &Input, document: Option<&Value<'_>>) -> Option<String> {
        let bytes = |bytes: &[u8]| match Bytes::from(bytes.to_vec()) {
            Bytes::Text(text) if !text.starts_with(HASHED) => text,
            other => hashed(&Vec::from(other)),
        };
        match self {
            Part::Key => record.key.as_deref().map(bytes),
            Part::Value => record.value.as_deref().map(bytes),
            Part::Header(name) => {
                let header = record.headers.iter().rev().find(|header| header.name == *name)?;
                header.value.as_deref().map(bytes)
            }
            Part::Field(pointer) => match pointer.of(document?)? {
                Value::Null => None,
                value => Some(value.canonical()),
            },
        }
    }
}

impl Part {
    /// As a value for an output.
    fn shown<'a>(&self, record: &'a Input, document: Option<&Value<'a>>) -> Value<'a> {
        let bytes = |bytes: Option<&'a [u8]>| match bytes.map(std::str::from_utf8) {
            None => Value::Null,
            Some(Ok(text)) => Value::text(text),
            Some(Err(_)) => Value::Text(hex(bytes.unwrap_or_default()).into()),
        };
        match self {
            Part::Key => bytes(record.key.as_deref()),
            Part::Value => bytes(record.value.as_deref()),
            Part::Header(name) => {
                let header = record.headers.iter().rev().find(|header| header.name == *name);
                bytes(header.and_then(|header| header.value.as_deref()))
            }
            Part::Field(pointer) => document.and_then(|document| pointer.of(document)).cloned().unwrap_or(Value::Null),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Key => f.write_str("key"),
            Part::Value => f.write_str("value"),
            Part::Header(name) => write!(f, "header:{name}"),
            Part::Field(pointer) => pointer.fmt(f),
        }
    }
}

/// One or more parts that together say which records belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity(Vec<Part>);

impl Identity {
    /// # Errors
    /// For no part, and as [`Part::parse`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(|part| Part::parse(part.trim()));
        Ok(Self(parts.collect::<Result<_, _>>()?))
    }

    /// Whether this is the record's key alone.
    pub fn is_key(&self) -> bool {
        self.0 == [Part::Key]
    }

    /// Whether the value has to be read as JSON for it.
    pub fn needs_document(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Field(_)))
    }

    /// Of a record, in at most 256 bytes: the key, value or header as it is, a field as JSON, several
    /// parts as a JSON list, and a hash (SHA-256) of what is long or no text. `None` where
    /// a part is missing.
    ///
    /// # Errors
    /// A reject where a part is a field and the value is not JSON.
    pub fn of(&self, record: &Input) -> Result<Option<String>, Failure> {
        let document = match (&record.value, self.needs_document()) {
            (Some(_), true) => Some(record.document()?),
            _ => None,
        };
        Ok(self.within(record, document.as_ref()).ok())
    }

    /// As [`Identity::of`], of a record whose value was read already.
    ///
    /// # Errors
    /// The part that is missing.
    pub fn within(&self, record: &Input, document: Option<&Value<'_>>) -> Result<String, Missing> {
        let told = |part: &Part| part.told(record, document).ok_or_else(|| Missing(part.to_string()));
        let text = match &self.0[..] {
            [part] => told(part)?,
            parts => {
                let told: Vec<Value<'_>> =
                    parts.iter().map(|part| told(part).map(Value::text)).collect::<Result<_, _>>()?;
                Value::List(told).to_string()
            }
        };
        let plain = text.len() <= MAX_PLAIN && !text.is_empty() && !text.starts_with('\u{10ffff}');
        Ok(if plain { text } else { hashed(text.as_bytes()) })
    }

    /// What the parts of a record are, as an object by part, for an output: text as it is,
    /// bytes that are no text in hexadecimal.
    pub fn shown<'a>(&self, record: &'a Input, document: Option<&Value<'a>>) -> Value<'a> {
        Value::Object(self.0.iter().map(|part| (part.to_string().into(), part.shown(record, document))).collect())
    }

    /// As [`Identity::of`], where every part has to be there.
    ///
    /// # Errors
    /// A reject that names the missing part, and as [`Identity::of`].
    pub fn required(&self, record: &Input) -> Result<String, Failure> {
        let document = match (&record.value, self.needs_document()) {
            (Some(_), true) => Some(record.document()?),
            _ => None,
        };
        Ok(self.within(record, document.as_ref())?)
    }
}

/// The part that a record does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is missing or null", self.0)
    }
}

impl std::error::Error for Missing {}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        reject(missing.to_string())
    }
}

fn hashed(bytes: &[u8]) -> String {
    format!("{HASHED}{}", hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;

    fn record(key: Option<&[u8]>, value: Option<&str>) -> Input {
        let header = |value: &[u8]| Header { name: "id".into(), value: Some(value.to_vec()) };
        Input {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: key.map(<[u8]>::to_vec),
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: vec![header(b"first"), header(b"last")],
        }
    }

    fn of(by: &str, record: &Input) -> Result<String, Failure> {
        Identity::parse(by).unwrap().required(record)
    }

    #[test]
    fn each_part_has_its_text() {
        let record = record(Some(b"k"), Some(r#"{"a":{"b":"x"},"n":1.0,"o":{"z":1,"a":2}}"#));
        for (by, told) in [
            ("key", "k"),
            ("header:id", "last"),
            ("/a/b", r#""x""#),
            ("/n", "1.0"),
            ("/o", r#"{"a":2,"z":1}"#),
            ("key, /n", r#"["k","1.0"]"#),
        ] {
            assert_eq!(of(by, &record).as_deref(), Ok(told), "{by}");
        }
    }

    #[test]
    fn text_and_a_number_are_told_apart() {
        let [text, number] = [r#"{"a":"1"}"#, r#"{"a":1}"#].map(|value| of("/a", &record(None, Some(value))));
        assert_ne!(text, number);
    }

    #[test]
    fn what_is_long_or_no_text_is_hashed() {
        let long = "x".repeat(300);
        let told = of("key", &record(Some(long.as_bytes()), None)).unwrap();
        assert_eq!((told.len(), told.starts_with('#')), (65, true));
        for key in [&b"\xff"[..], b"", b"#", "\u{10ffff}".as_bytes()] {
            assert!(of("key", &record(Some(key), None)).unwrap().starts_with('#'), "{key:?}");
        }
    }

    #[test]
    fn a_missing_part_is_named() {
        let record = record(None, Some(r#"{"n":null}"#));
        for by in ["key", "header:other", "/n", "/m"] {
            assert_eq!(of(by, &record), Err(reject(format!("`{by}` is missing or null"))));
            assert_eq!(Identity::parse(by).unwrap().of(&record), Ok(None));
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for wrong in ["", "header:", "id", "key,", "/~9"] {
            assert!(Identity::parse(wrong).is_err(), "{wrong}");
        }
    }
}
