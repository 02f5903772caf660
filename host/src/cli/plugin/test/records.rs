//! Files of records: `key:value` lines and JSON lines.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;

use super::json;
use super::time::{self, millis};
use crate::record::Header;

/// The time of a first record that names none: the beginning of 2026.
const FIRST_MS: i64 = 1_767_225_600_000;
/// Between two records that name no time.
const STEP_MS: i64 = 1_000;
/// What some editors write in front of UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

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
    /// Milliseconds since the Unix epoch. 0 where a record has none, as in a host.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// The fields of a JSON line.
#[derive(Default)]
struct Written {
    case: Option<String>,
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: BTreeMap<String, Option<String>>,
    advance_to: Option<i64>,
}

/// The lines of a file, one after the other.
pub struct Lines {
    /// Lines so far.
    number: usize,
    /// The time of the last one that has one.
    last: i64,
}

/// Reads a file. A line that begins with `{` is JSON; any other is a key, up to the
/// first colon, and a value. Empty lines are left out, and so is a byte order mark.
///
/// # Errors
/// In one line, with the number of the file's line, what is wrong.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut lines = Lines::new();
    text.lines().filter_map(|line| lines.read(line).transpose()).collect()
}

/// `text` without the byte order mark that it may begin with.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

impl Lines {
    pub fn new() -> Lines {
        Lines { number: 0, last: FIRST_MS - STEP_MS }
    }

    /// The next line, without its end; none of an empty one.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn read(&mut self, line: &str) -> Result<Option<Step>, String> {
        self.number += 1;
        let line = if self.number == 1 { without_mark(line) } else { line };
        if line.trim().is_empty() {
            return Ok(None);
        }
        let step = step(line, self.number, &mut self.last);
        step.map(Some).map_err(|problem| format!("line {} {problem}", self.number))
    }
}

/// `last` is the time of the line before, and becomes that of this one.
fn step(line: &str, number: usize, last: &mut i64) -> Result<Step, String> {
    if line.starts_with(BYTE_ORDER_MARK) {
        return Err("begins with a byte order mark, in the midst of the file: take it off".to_owned());
    }
    let written = match line.trim_start().starts_with('{') {
        true => json(line)?,
        false => plain(line)?,
    };
    if let Some(to) = written.advance_to {
        let to = u64::try_from(to).map_err(|_| "has a time before 1970 in `advanceTo`")?;
        *last = to.cast_signed().max(*last);
        return Ok(Step::AdvanceTo(to));
    }
    let timestamp = match written.timestamp {
        Some(time::NONE) => 0,
        Some(given) => {
            *last = given;
            given
        }
        None => {
            *last = last.saturating_add(STEP_MS);
            *last
        }
    };
    Ok(Step::Record(Given {
        line: number,
        case: written.case,
        partition: written.partition,
        timestamp,
        key: written.key,
        value: written.value,
        headers: written.headers.into_iter().map(|(name, value)| (name, value.map(String::into_bytes))).collect(),
    }))
}

fn plain(line: &str) -> Result<Written, String> {
    let (key, value) = line.split_once(':').ok_or("is neither key:value nor a JSON object")?;
    Ok(Written { key: Some(key.as_bytes().to_vec()), value: Some(value.as_bytes().to_vec()), ..Written::default() })
}

fn json(line: &str) -> Result<Written, String> {
    let mut written = Written::default();
    let mut seen = Vec::new();
    for (name, raw) in json::members(line)? {
        match name.as_str() {
            "case" => written.case = read(&name, raw)?,
            "partition" => written.partition = read(&name, raw)?,
            "timestamp" => written.timestamp = Some(millis(raw)?),
            "key" => written.key = bytes(&name, raw)?,
            "value" => written.value = bytes(&name, raw)?,
            "keyBase64" => written.key = base64(&name, raw)?,
            "valueBase64" => written.value = base64(&name, raw)?,
            "headers" => written.headers = read(&name, raw)?,
            "advanceTo" => written.advance_to = Some(millis(raw)?),
            _ => return Err(format!("has the unknown field `{name}`: {FIELDS}")),
        }
        let field = name.strip_suffix("Base64").unwrap_or(&name).to_owned();
        if seen.contains(&field) {
            return Err(format!("has `{field}` twice"));
        }
        seen.push(field);
    }
    if written.advance_to.is_some() && seen.len() > 1 {
        return Err("has other fields beside `advanceTo`".to_owned());
    }
    Ok(written)
}

const FIELDS: &str = "a record has key, value, keyBase64, valueBase64, timestamp, headers, partition and case, or \
                      advanceTo alone";

/// A field that has one type.
fn read<T: DeserializeOwned>(name: &str, raw: &str) -> Result<T, String> {
    serde_json::from_str(raw).map_err(|error| format!("has a `{name}` that cannot be read: {error}"))
}

/// Text as it is, `null` as null, anything else byte for byte as it is written.
fn bytes(name: &str, raw: &str) -> Result<Option<Vec<u8>>, String> {
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => read::<String>(name, raw).map(|text| Some(text.into_bytes())),
        _ => Ok(Some(raw.as_bytes().to_vec())),
    }
}

fn base64(name: &str, raw: &str) -> Result<Option<Vec<u8>>, String> {
    let text: Option<String> = read(name, raw)?;
    text.map(|text| STANDARD.decode(text).map_err(|error| format!("has a `{name}` that is no base64: {error}")))
        .transpose()
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
        assert_eq!((given.key, given.value.unwrap()), (None, br#"{"b": 1, "a": [2]}"#.to_vec()));
        assert_eq!((given.timestamp, given.partition), (FIRST_MS + 1_000, Some(3)));
        assert_eq!(given.headers, [("h".into(), Some(b"x".to_vec())), ("n".into(), None)]);
        let bytes = record(r#"{"keyBase64": "AP8=", "value": "te\u0078t"}"#);
        assert_eq!((bytes.key.unwrap(), bytes.value.unwrap()), (vec![0, 255], b"text".to_vec()));
    }

    #[test]
    fn a_value_reaches_the_plugin_byte_for_byte() {
        for value in [
            r#"{"price":1.10,"n":1E5,"id":18446744073709551616,"a":2,"a":3}"#,
            r#"{ "z" : "\ud800\u0041" , "a" : [ ] }"#,
            "1.10",
            "true",
        ] {
            let given = record(&format!(r#"{{"key": {value}, "value": {value}}}"#));
            assert_eq!((given.key.unwrap(), given.value.unwrap()), (value.into(), value.into()));
        }
    }

    #[test]
    fn records_without_a_time_follow_one_another_by_a_second() {
        let steps = parse(
            "a:1\n\n{\"timestamp\": 5}\nb:2\n{\"timestamp\": -1}\n{\"advanceTo\": 9000}\nc:3\n\
             {\"timestamp\": 9223372036854775807}\nd:4",
        )
        .unwrap();
        let times = steps.iter().map(|step| match step {
            Step::Record(given) => given.timestamp,
            Step::AdvanceTo(to) => -i64::try_from(*to).unwrap(),
        });
        assert_eq!(times.collect::<Vec<_>>(), [FIRST_MS, 5, 1_005, 0, -9_000, 10_000, i64::MAX, i64::MAX]);
    }

    #[test]
    fn a_byte_order_mark_is_taken_off_or_refused() {
        for text in ["\u{feff}a:1", "\u{feff}{\"key\": \"a\", \"value\": 1}"] {
            assert_eq!(record(text).key.unwrap(), b"a");
        }
        assert!(parse("a:1\n\u{feff}b:2").unwrap_err().starts_with("line 2 begins with a byte order mark"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            ("a:1\nnothing", "line 2 is neither"),
            ("{\"kye\": 1}", "unknown field `kye`"),
            ("{\"value\": \"a\", \"valueBase64\": \"AA==\"}", "`value` twice"),
            ("{\"value\": 1, \"value\": 2}", "`value` twice"),
            ("{\"value\": \"\\ud800\"}", "`value` that cannot be read"),
            ("{\"timestamp\": \"noon\"}", "\"noon\" for a time"),
            ("{\"timestamp\": 1.5}", "1.5 for a time"),
            ("{\"advanceTo\": -1}", "before 1970"),
            ("{\"advanceTo\": 1, \"key\": \"a\"}", "beside `advanceTo`"),
            ("{\"keyBase64\": \"?\"}", "no base64"),
            ("{\"key\": 1", "no JSON"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(told) && problem.starts_with("line "), "{problem}");
        }
    }
}
