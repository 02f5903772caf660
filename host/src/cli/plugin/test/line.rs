//! What comes out, a line of JSON for each output and each failure, and how it differs
//! from what was expected.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use similar::{ChangeTag, TextDiff};

use super::json::Json;
use super::records::without_mark;
use crate::record::Output;

/// Lines of context around a difference.
const CONTEXT: usize = 2;

/// An output. What is as one would expect is left out: the sink as its topic, the
/// input's `timestamp`, where it has one, no headers, a partition that the key decides.
pub fn output(output: &Output, sink: Option<&str>, timestamp: Option<i64>) -> Json {
    let mut line = Json::object();
    if !output.headers.is_empty() {
        let headers = output.headers.iter().map(|(name, value)| (name.clone(), text(value.as_deref())));
        line.set("headers", Json::Object(headers.collect()));
    }
    set(&mut line, "key", output.key.as_deref());
    if let Some(partition) = output.partition {
        line.set("partition", i64::from(partition));
    }
    if timestamp != Some(output.timestamp) {
        line.set("timestamp", output.timestamp);
    }
    if sink != Some(&*output.topic) {
        line.set("topic", &*output.topic);
    }
    set(&mut line, "value", output.value.as_deref());
    line
}

/// A record or a timer that failed for good. `reason` is the plugin's own, or the host's.
pub fn failed(key: Option<&[u8]>, timer: Option<&str>, stage: &str, kind: &str, reason: &str) -> Json {
    let mut line = Json::object();
    line.set("failed", kind);
    set(&mut line, "key", key);
    line.set("reason", reason);
    line.set("stage", stage);
    if let Some(timer) = timer {
        line.set("timer", timer);
    }
    line
}

/// JSON objects and lists as they are written, other text as text, bytes that are none in base64.
fn set(line: &mut Json, name: &str, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) if std::str::from_utf8(bytes).is_err() => {
            line.set(&format!("{name}Base64"), &*STANDARD.encode(bytes));
        }
        other => line.set(name, text(other)),
    }
}

fn text(bytes: Option<&[u8]>) -> Json {
    let Some(bytes) = bytes else { return Json::null() };
    let text = String::from_utf8_lossy(bytes);
    match Json::parse(&text) {
        Ok(json @ (Json::Object(_) | Json::List(_))) => json,
        _ => Json::from(&*text),
    }
}

/// Reads an expected file.
///
/// # Errors
/// In one line, what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Json>, String> {
    without_mark(text)
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| Json::parse(line).map_err(|problem| format!("line {} {problem}", index + 1)))
        .collect()
}

/// As a file has them.
pub fn print(lines: &[Json]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line for each that is missing (`-`) or too much (`+`), with those around it; none
/// where all are as expected. Numbers compare as they are written, with a `tolerance`
/// as numbers.
pub fn difference(expected: &[Json], actual: &[Json], tolerance: Option<f64>) -> Option<String> {
    let same = |(one, other): (&Json, &Json)| is_same(one, other, tolerance);
    if expected.len() == actual.len() && expected.iter().zip(actual).all(same) {
        return None;
    }
    // What is the same but for its numbers is shown as it was expected.
    let shown: Vec<Json> = actual
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

fn is_same(one: &Json, other: &Json, tolerance: Option<f64>) -> bool {
    match (one, other) {
        (Json::Number(a), Json::Number(b)) => a == b || tolerance.is_some_and(|most| is_near(a, b, most)),
        (Json::List(a), Json::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b, tolerance)),
        (Json::Object(a), Json::Object(b)) => {
            let same =
                |((one, a), (other, b)): (&(String, Json), &(String, Json))| one == other && is_same(a, b, tolerance);
            a.len() == b.len() && by_name(a).into_iter().zip(by_name(b)).all(same)
        }
        (a, b) => a == b,
    }
}

/// Members have no order, but for those of one name.
fn by_name(members: &[(String, Json)]) -> Vec<&(String, Json)> {
    let mut order: Vec<_> = members.iter().collect();
    order.sort_by(|(one, _), (other, _)| one.cmp(other));
    order
}

/// Whether two numbers are at most `most` apart. Integers are exact, others doubles.
fn is_near(a: &str, b: &str, most: f64) -> bool {
    let is_whole = |text: &str| text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    if is_whole(a) && is_whole(b) {
        let whole = a.parse::<i128>().ok().zip(b.parse::<i128>().ok());
        return whole.is_some_and(|(a, b)| a.abs_diff(b) as f64 <= most);
    }
    let apart = a.parse::<f64>().ok().zip(b.parse::<f64>().ok()).map(|(a, b)| (a - b).abs());
    apart.is_some_and(|apart| apart <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn an_output_is_shown_without_what_goes_without_saying() {
        let plain = Output {
            topic: "out".into(),
            partition: None,
            timestamp: 7,
            key: Some(b"k".to_vec()),
            value: Some(br#"{"b": 1.10, "a":2}"#.to_vec()),
            headers: Vec::new(),
            origin: Origin::default(),
        };
        assert_eq!(output(&plain, Some("out"), Some(7)), json(r#"{"key": "k", "value": {"b": 1.10, "a": 2}}"#));
        let odd = Output {
            topic: "other".into(),
            partition: Some(2),
            timestamp: 8,
            key: None,
            value: Some(vec![0xff]),
            headers: vec![("h".into(), Some(b"5".to_vec()))],
            origin: Origin::default(),
        };
        let shown =
            r#"{"headers":{"h":"5"},"key":null,"partition":2,"timestamp":8,"topic":"other","valueBase64":"/w=="}"#;
        assert_eq!(output(&odd, Some("out"), Some(7)).to_string(), shown);
    }

    #[test]
    fn a_difference_shows_what_is_missing_and_what_is_too_much() {
        let lines: Vec<Json> = (0..9).map(|n| json(&format!("{{\"n\":{n}}}"))).collect();
        let mut other = lines.clone();
        other[4] = json("{\"n\":44}");
        let shown = difference(&lines, &other, None).unwrap();
        assert_eq!(shown, "  {\"n\":2}\n  {\"n\":3}\n- {\"n\":4}\n+ {\"n\":44}\n  {\"n\":5}\n  {\"n\":6}\n");
        assert_eq!(difference(&lines, &lines, None), None);
        assert!(difference(&lines[..8], &lines, None).unwrap().contains("+ {\"n\":8}"));
    }

    fn are_same(one: &str, other: &str, tolerance: Option<f64>) -> bool {
        difference(&[json(one)], &[json(other)], tolerance).is_none()
    }

    #[test]
    fn numbers_compare_as_they_are_written() {
        for (one, other) in [
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("18446744073709551615", "18446744073709551614"),
            ("0.1000000000000000055511151231257827", "0.1"),
            ("1.0", "1"),
            ("1.10", "1.1"),
            ("\"1\"", "1"),
            (r#"{"a":2,"a":3}"#, r#"{"a":3,"a":2}"#),
            (r#"{"a":2,"a":3}"#, r#"{"a":3}"#),
        ] {
            assert!(!are_same(one, other, None), "{one} {other}");
            assert!(are_same(one, one, None), "{one}");
        }
        assert!(are_same(r#"{"b":1.10,"a":[2]}"#, r#"{ "a" : [2], "b" : 1.10 }"#, None));
    }

    #[test]
    fn numbers_may_be_apart_by_the_tolerance_and_no_more() {
        let (one, other) = (r#"{"m": [1.0, "x"]}"#, r#"{"m": [1.000001, "x"]}"#);
        assert!(are_same(one, other, Some(0.000_002)) && !are_same(one, other, Some(0.000_000_5)));
        assert!(are_same("1.0", "1", Some(0.0)) && !are_same("\"1\"", "1", Some(1.0)));
        let (large, next) = ("123456789012345678901234567890", "123456789012345678901234567891");
        assert!(!are_same(large, next, Some(0.5)) && are_same(large, next, Some(1.0)));
        let (fifty, more) = ("1".repeat(50), "1".repeat(49) + "2");
        assert!(!are_same(&fifty, &more, Some(0.5)) && are_same(&fifty, &fifty, Some(0.5)));
        assert!(!are_same("1e999", "1e998", Some(1.0)), "infinities are not near");
    }
}
