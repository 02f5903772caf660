//! The table of cases that a plugin passes in every language: `examples/cases`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gregor::plugin::{Emitted, Failure};
use gregor::record::{Header, Record};
use serde::Deserialize;
use serde_json::Value;

/// Metres that two languages' sines may differ by.
const TOLERANCE: f64 = 1e-6;

/// A record, and what is to come of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    #[serde(rename = "case")]
    pub name: String,
    /// Languages whose own library does otherwise, as `docs/authors/languages.md` says.
    #[serde(default)]
    pub except: Vec<String>,
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    timestamp: i64,
    #[serde(default)]
    headers: Vec<(String, Option<String>)>,
    /// Marks in any text that stand for another text so many times.
    #[serde(default)]
    grow: BTreeMap<String, (String, usize)>,
    outputs: Option<Vec<Expected>>,
    failure: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    key: Option<String>,
    value: Option<String>,
    /// The value as JSON, in place of its text.
    json: Option<Value>,
    #[serde(default)]
    headers: Vec<(String, Option<String>)>,
}

/// The bytes of a case's record.
pub struct Bytes {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header>,
    timestamp: i64,
}

impl Bytes {
    pub fn record(&self, offset: i64) -> Record<'_> {
        Record {
            topic: "locations",
            partition: 0,
            offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        }
    }
}

/// The cases of `plugin`, in the order in which one instance sees them.
pub fn cases(plugin: &str) -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/cases/{plugin}.jsonl"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

impl Case {
    pub fn bytes(&self) -> Bytes {
        let bytes = |text: &Option<String>, base64: &Option<String>| match (text, base64) {
            (Some(text), _) => Some(self.grown(text).into_bytes()),
            (None, Some(base64)) => Some(STANDARD.decode(base64).expect("base64")),
            (None, None) => None,
        };
        Bytes {
            key: bytes(&self.key, &self.key_base64),
            value: bytes(&self.value, &self.value_base64),
            headers: headers(&self.headers),
            timestamp: self.timestamp,
        }
    }

    fn grown(&self, text: &str) -> String {
        self.grow.iter().fold(text.to_owned(), |text, (mark, (with, times))| text.replace(mark, &with.repeat(*times)))
    }

    /// What is wrong with `outcome`; nothing, where it is what the case expects.
    pub fn differs(&self, outcome: &Result<Vec<Emitted>, Failure>) -> Option<String> {
        match (outcome, &self.outputs, &self.failure) {
            (Ok(outputs), Some(expected), None) if outputs.len() == expected.len() => {
                outputs.iter().zip(expected).find_map(|(output, expected)| self.output_differs(output, expected))
            }
            (Err(failure), None, Some(kind)) if failure.kind() == kind => None,
            (Ok(outputs), _, _) => Some(format!("{} outputs", outputs.len())),
            (Err(failure), _, _) => Some(format!("{}: {failure}, {:?}", failure.kind(), failure.guest_text())),
        }
    }

    fn output_differs(&self, output: &Emitted, expected: &Expected) -> Option<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let found = (output.topic.as_ref(), output.partition, output.timestamp);
        if found != (None, None, None) {
            return Some(format!("it goes to {found:?}"));
        }
        let key = expected.key.as_ref().map(|key| self.grown(key).into_bytes());
        if output.key != key {
            return Some(format!("its key is {:?}", output.key.as_deref().map(text)));
        }
        let named: Vec<Header> =
            output.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
        if named != headers(&expected.headers) {
            return Some(format!("its headers are {named:?}"));
        }
        let same = match (&expected.json, &output.value) {
            (Some(json), Some(value)) => {
                let json: Value = serde_json::from_str(&self.grown(&json.to_string())).expect("JSON");
                serde_json::from_slice(value).is_ok_and(|value| same(&value, &json))
            }
            (None, value) => *value == expected.value.as_ref().map(|value| self.grown(value).into_bytes()),
            (Some(_), None) => false,
        };
        (!same).then(|| format!("its value is {:?}", output.value.as_deref().map(text)))
    }
}

fn headers(headers: &[(String, Option<String>)]) -> Vec<Header> {
    headers.iter().map(|(name, value)| (name.clone(), value.clone().map(String::into_bytes))).collect()
}

/// Equal as JSON: 1 is 1.0, integers are compared as such, metres with a tolerance.
fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && expected.iter().all(|(name, expected)| {
                    found.get(name).is_some_and(|found| match (name.as_str(), found.as_f64(), expected.as_f64()) {
                        ("movedM" | "totalM", Some(found), Some(expected)) => (found - expected).abs() <= TOLERANCE,
                        _ => same(found, expected),
                    })
                })
        }
        (Value::Number(found), Value::Number(expected)) if found.is_f64() || expected.is_f64() => {
            found.as_f64() == expected.as_f64()
        }
        _ => found == expected,
    }
}
