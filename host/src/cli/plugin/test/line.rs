//! What comes out, a line of JSON for each output and each failure, and how it differs
//! from what was expected.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use crate::record::Output;

/// Lines of context around a difference.
const CONTEXT: usize = 2;

/// An output. What is as one would expect is left out: the sink as its topic, the
/// input's `timestamp`, where it has one, no headers, a partition that the key decides.
pub fn output(output: &Output, sink: Option<&str>, timestamp: Option<i64>) -> Value {
    let mut line = Map::new();
    set(&mut line, "key", output.key.as_deref());
    set(&mut line, "value", output.value.as_deref());
    if sink != Some(&*output.topic) {
        line.insert("topic".into(), (*output.topic).into());
    }
    if let Some(partition) = output.partition {
        line.insert("partition".into(), partition.into());
    }
    if timestamp != Some(output.timestamp) {
        line.insert("timestamp".into(), output.timestamp.into());
    }
    if !output.headers.is_empty() {
        let headers = output.headers.iter().map(|(name, value)| (name.clone(), text(value.as_deref())));
        line.insert("headers".into(), Value::Object(headers.collect()));
    }
    Value::Object(line)
}

/// A record or a timer that failed for good. `reason` is the plugin's own, or the host's.
pub fn failed(key: Option<&[u8]>, timer: Option<&str>, stage: &str, kind: &str, reason: &str) -> Value {
    let mut line = Map::new();
    set(&mut line, "key", key);
    if let Some(timer) = timer {
        line.insert("timer".into(), timer.into());
    }
    line.insert("failed".into(), kind.into());
    line.insert("stage".into(), stage.into());
    line.insert("reason".into(), reason.into());
    Value::Object(line)
}

/// JSON objects and lists as such, other text as text, bytes that are none in base64.
fn set(line: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) if std::str::from_utf8(bytes).is_err() => {
            line.insert(format!("{name}Base64"), STANDARD.encode(bytes).into());
        }
        other => drop(line.insert(name.to_owned(), text(other))),
    }
}

fn text(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match serde_json::from_slice(bytes) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => json,
        _ => String::from_utf8_lossy(bytes).into(),
    }
}

/// Reads an expected file.
///
/// # Errors
/// In one line, what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1)))
        .collect()
}

/// As a file has them.
pub fn print(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line for each that is missing (`-`) or too much (`+`), with those around it; none
/// where all are as expected, numbers within `tolerance`.
pub fn difference(expected: &[Value], actual: &[Value], tolerance: f64) -> Option<String> {
    let same = |(one, other): (&Value, &Value)| is_same(one, other, tolerance);
    if expected.len() == actual.len() && expected.iter().zip(actual).all(same) {
        return None;
    }
    // What is the same but for its numbers is shown as it was expected.
    let shown: Vec<Value> = actual
        .iter()
        .map(|line| expected.iter().find(|other| is_same(line, other, tolerance)).unwrap_or(line).clone())
        .collect();
    let (expected, actual) = (print(expected), print(&shown));
    let diff = TextDiff::from_lines(&expected, &actual);
    let mut text = String::new();
    for (nth, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if nth > 0 {
            text.push_str("  …\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            text.push_str(&format!("{sign} {}\n", change.value().trim_end()));
        }
    }
    Some(text)
}

fn is_same(one: &Value, other: &Value, tolerance: f64) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if (a - b).abs() <= tolerance)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b, tolerance))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is_same(a, b, tolerance)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::origin::Origin;

    #[test]
    fn an_output_is_shown_without_what_goes_without_saying() {
        let plain = Output {
            topic: "out".into(),
            partition: None,
            timestamp: 7,
            key: Some(b"k".to_vec()),
            value: Some(br#"{"b":1,"a":2}"#.to_vec()),
            headers: Vec::new(),
            origin: Origin::default(),
        };
        assert_eq!(output(&plain, Some("out"), Some(7)), json!({"key": "k", "value": {"a": 2, "b": 1}}));
        let odd = Output {
            topic: "other".into(),
            partition: Some(2),
            timestamp: 8,
            key: None,
            value: Some(vec![0xff]),
            headers: vec![("h".into(), Some(b"5".to_vec()))],
            origin: Origin::default(),
        };
        let shown = json!({"key": null, "valueBase64": "/w==", "topic": "other", "partition": 2, "timestamp": 8, "headers": {"h": "5"}});
        assert_eq!(output(&odd, Some("out"), Some(7)), shown);
    }

    #[test]
    fn a_difference_shows_what_is_missing_and_what_is_too_much() {
        let lines: Vec<Value> = (0..9).map(|n| json!({ "n": n })).collect();
        let mut other = lines.clone();
        other[4] = json!({"n": 44});
        let shown = difference(&lines, &other, 0.0).unwrap();
        assert_eq!(shown, "  {\"n\":2}\n  {\"n\":3}\n- {\"n\":4}\n+ {\"n\":44}\n  {\"n\":5}\n  {\"n\":6}\n");
        assert_eq!(difference(&lines, &lines, 0.0), None);
        assert!(difference(&lines[..8], &lines, 0.0).unwrap().contains("+ {\"n\":8}"));
    }

    #[test]
    fn numbers_may_be_apart_by_the_tolerance_and_no_more() {
        let (one, other) = ([json!({"m": [1.0, "x"]})], [json!({"m": [1.000_001, "x"]})]);
        assert!(difference(&one, &other, 0.0).is_some());
        assert_eq!(difference(&one, &other, 0.000_002), None);
        assert!(difference(&[json!("1")], &[json!(1)], 1.0).is_some());
    }
}
