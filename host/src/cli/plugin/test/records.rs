//! Files of records: `key:value` lines and JSON lines.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::record::Header;

/// The time of a first record that names none: the beginning of 2026.
const FIRST_MS: i64 = 1_767_225_600_000;
/// Between two records that name no time.
const STEP_MS: i64 = 1_000;

/// One line of a file.
#[derive(Debug, PartialEq)]
pub enum Step {
    Record(Given),
    /// The clock moves on to this, in milliseconds since the Unix epoch.
    AdvanceTo(u64),
}

#[derive(Debug, PartialEq)]
pub struct Given {
    /// Of the file, from 1.
    pub line: usize,
    pub case: Option<String>,
    pub partition: Option<i32>,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    case: Option<String>,
    partition: Option<i32>,
    timestamp: Option<Time>,
    #[serde(default)]
    key: Value,
    #[serde(default)]
    value: Value,
    key_base64: Option<String>,
    value_base64: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    advance_to: Option<Time>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(u64),
    Text(String),
}

/// Reads a file. A line that begins with `{` is JSON; any other is a key, up to the
/// first colon, and a value. Empty lines are left out.
///
/// # Errors
/// In one line, with the number of the file's line, what is wrong.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut last = FIRST_MS - STEP_MS;
    let mut steps = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let step = match line.trim_start().starts_with('{') {
            true => json(line, number, last + STEP_MS),
            false => match line.split_once(':') {
                Some((key, value)) => Ok(plain(key, value, number, last + STEP_MS)),
                None => Err("is neither key:value nor a JSON object".to_owned()),
            },
        }
        .map_err(|problem| format!("line {number} {problem}"))?;
        match &step {
            Step::Record(given) => last = given.timestamp,
            Step::AdvanceTo(to) => last = last.max(i64::try_from(*to).unwrap_or(last)),
        }
        steps.push(step);
    }
    Ok(steps)
}

fn plain(key: &str, value: &str, line: usize, timestamp: i64) -> Step {
    Step::Record(Given {
        line,
        case: None,
        partition: None,
        timestamp,
        key: Some(key.as_bytes().to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    })
}

fn json(text: &str, line: usize, next: i64) -> Result<Step, String> {
    let written: Written = serde_json::from_str(text).map_err(|error| format!("cannot be understood: {error}"))?;
    if let Some(to) = written.advance_to {
        return Ok(Step::AdvanceTo(millis(&to)?));
    }
    let timestamp = match &written.timestamp {
        Some(time) => i64::try_from(millis(time)?).map_err(|_| "has a timestamp past 63 bits")?,
        None => next,
    };
    Ok(Step::Record(Given {
        line,
        case: written.case,
        partition: written.partition,
        timestamp,
        key: bytes(written.key, written.key_base64)?,
        value: bytes(written.value, written.value_base64)?,
        headers: written.headers.into_iter().map(|(name, value)| (name, value.map(String::into_bytes))).collect(),
    }))
}

/// Text as it is, anything else as compact JSON, `null` as null.
fn bytes(value: Value, base64: Option<String>) -> Result<Option<Vec<u8>>, String> {
    match (value, base64) {
        (Value::Null, None) => Ok(None),
        (Value::Null, Some(text)) => STANDARD.decode(text).map(Some).map_err(|error| format!("is no base64: {error}")),
        (_, Some(_)) => Err("has both text and base64 of the same".to_owned()),
        (Value::String(text), None) => Ok(Some(text.into_bytes())),
        (other, None) => Ok(Some(other.to_string().into_bytes())),
    }
}

fn millis(time: &Time) -> Result<u64, String> {
    match time {
        Time::Millis(millis) => Ok(*millis),
        Time::Text(text) => humantime::parse_rfc3339_weak(text)
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_millis()).ok())
            .ok_or_else(|| format!("has {text:?} for a time: write milliseconds, or 2026-01-01T12:00:00Z")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Given {
        match parse(text).unwrap().remove(0) {
            Step::Record(given) => given,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_line_is_key_and_value_up_to_the_first_colon() {
        let given = record("123:{\"a\": \"b:c\"}");
        assert_eq!(given.key.unwrap(), b"123");
        assert_eq!(given.value.unwrap(), b"{\"a\": \"b:c\"}");
    }

    #[test]
    fn a_json_line_says_all_of_a_record() {
        let given = record(
            r#"{"key": null, "value": {"b": 1, "a": [2]}, "timestamp": "2026-01-01T00:00:01Z", "headers": {"h": "x", "n": null}, "partition": 3}"#,
        );
        assert_eq!((given.key, given.value.unwrap()), (None, br#"{"a":[2],"b":1}"#.to_vec()));
        assert_eq!((given.timestamp, given.partition), (FIRST_MS + 1_000, Some(3)));
        assert_eq!(given.headers, [("h".into(), Some(b"x".to_vec())), ("n".into(), None)]);
        let bytes = record(r#"{"keyBase64": "AP8=", "value": "text"}"#);
        assert_eq!((bytes.key.unwrap(), bytes.value.unwrap()), (vec![0, 255], b"text".to_vec()));
    }

    #[test]
    fn records_without_a_time_follow_one_another_by_a_second() {
        let steps = parse("a:1\n\n{\"timestamp\": 5}\nb:2\n{\"advanceTo\": 9000}\nc:3").unwrap();
        let times = steps.iter().map(|step| match step {
            Step::Record(given) => given.timestamp,
            Step::AdvanceTo(to) => -i64::try_from(*to).unwrap(),
        });
        assert_eq!(times.collect::<Vec<_>>(), [FIRST_MS, 5, 1_005, -9_000, 10_000]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            ("a:1\nnothing", "line 2 is neither"),
            ("{\"kye\": 1}", "unknown field `kye`"),
            ("{\"value\": \"a\", \"valueBase64\": \"AA==\"}", "both"),
            ("{\"timestamp\": \"noon\"}", "\"noon\" for a time"),
            ("{\"keyBase64\": \"?\"}", "no base64"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(told) && problem.starts_with("line "), "{problem}");
        }
    }
}
