//! An entry as JSON: a line of `gregor state export`, an element of the admin
//! API's answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};

use super::lookup::Placed;
use super::store::{Entry, Origin};

/// Text stands as it is; what is not UTF-8 in base64, under another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    pub partition: i32,
    pub key: String,
    /// The key of the source record that wrote the entry; `Some(None)` is
    /// JSON's null: the record had no key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    record_key: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub expires_at: Option<u64>,
}

/// Tells null, which is `Some(None)`, from what is not there.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Line {
    /// `origin`: whether the entry's origin is known.
    pub fn new(partition: i32, key: String, entry: Entry, origin: bool) -> Line {
        let (record_key, record_key_base64) = match entry.origin.record_key(&key).filter(|_| origin).map(<[u8]>::to_vec)
        {
            Some(record_key) => match text(record_key) {
                Ok(text) => (Some(Some(text)), None),
                Err(base64) => (None, Some(base64)),
            },
            None => (origin.then_some(None), None),
        };
        let (value, value_base64) = match text(entry.value) {
            Ok(text) => (Some(text), None),
            Err(base64) => (None, Some(base64)),
        };
        let expires_at = entry.expires_at;
        let (pipeline, stage) = (None, None);
        Line { pipeline, stage, partition, key, record_key, record_key_base64, value, value_base64, expires_at }
    }

    /// With the names of its stage.
    pub fn of(self, pipeline: &str, stage: &str) -> Line {
        Line { pipeline: Some(pipeline.to_owned()), stage: Some(stage.to_owned()), ..self }
    }

    /// The entry, as a store holds it.
    ///
    /// # Errors
    /// What is wrong, without a key or a value.
    pub fn entry(&self) -> Result<Entry, &'static str> {
        let value = match (&self.value, &self.value_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(|_| "its `valueBase64` is no base64")?,
            (None, None) => return Err("it has neither `value` nor `valueBase64`"),
            (Some(_), Some(_)) => return Err("it has both `value` and `valueBase64`"),
        };
        let record_key = match (&self.record_key, &self.record_key_base64) {
            (Some(text), None) => text.as_ref().map(|text| text.clone().into_bytes()),
            (None, Some(base64)) => Some(STANDARD.decode(base64).map_err(|_| "its `recordKeyBase64` is no base64")?),
            (None, None) => return Err("it has neither `recordKey` nor `recordKeyBase64`"),
            (Some(_), Some(_)) => return Err("it has both `recordKey` and `recordKeyBase64`"),
        };
        Ok(Entry::durable(value, self.expires_at, Origin::of(record_key.as_deref(), &self.key)))
    }

    /// The value for a reader of text: what is not UTF-8 in base64, marked so.
    pub fn shown(&self) -> String {
        match (&self.value, &self.value_base64) {
            (Some(text), _) => text.clone(),
            (None, base64) => format!("base64:{}", base64.as_deref().unwrap_or_default()),
        }
    }
}

impl From<Placed> for Line {
    fn from(placed: Placed) -> Line {
        Line::new(placed.partition, placed.key, placed.entry, placed.origin)
    }
}

/// The bytes as text; in base64 where they are none.
fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| STANDARD.encode(error.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_went(
            key in "\\PC{1,20}",
            value in vec(any::<u8>(), 0..20),
            expires_at in proptest::option::of(any::<u64>()),
            record_key in proptest::option::of(vec(any::<u8>(), 0..9)),
        ) {
            let entry = Entry::durable(value, expires_at, Origin::of(record_key.as_deref(), &key));
            let line = Line::new(3, key, entry.clone(), true).of("p", "s");
            let read: Line = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
            prop_assert_eq!(&read, &line);
            prop_assert_eq!(read.entry(), Ok(entry));
        }
    }

    #[test]
    fn the_format_is_what_its_first_release_wrote() {
        let line = |origin, value: &[u8]| {
            let entry = Entry::durable(value.to_vec(), Some(7), origin);
            serde_json::to_string(&Line::new(2, "k".into(), entry, true).of("p", "s")).unwrap()
        };
        let head = r#"{"pipeline":"p","stage":"s","partition":2,"key":"k","#;
        assert_eq!(line(Origin::Same, b"v"), format!(r#"{head}"recordKey":"k","value":"v","expiresAt":7}}"#));
        assert_eq!(
            line(Origin::Null, b"\xff"),
            format!(r#"{head}"recordKey":null,"valueBase64":"/w==","expiresAt":7}}"#)
        );
        let key = Origin::Key((*b"\xfe").into());
        assert_eq!(line(key, b""), format!(r#"{head}"recordKeyBase64":"/g==","value":"","expiresAt":7}}"#));
    }

    #[test]
    fn an_origin_that_is_not_known_is_left_out_and_is_no_entry_to_import() {
        let entry = Entry::durable(b"v".to_vec(), None, Origin::Same);
        let line = Line::new(0, "k".into(), entry, false);
        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"partition":0,"key":"k","value":"v","expiresAt":null}"#);
        assert_eq!(line.entry(), Err("it has neither `recordKey` nor `recordKeyBase64`"));
    }
}
