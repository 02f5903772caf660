//! Times as a file of records writes them.

use std::time::UNIX_EPOCH;

/// What a record without a timestamp has in Kafka.
pub const NONE: i64 = -1;

/// Milliseconds since the Unix epoch, from [`NONE`] to 2^63-1, of a JSON number or string.
///
/// # Errors
/// In one line, what is wrong with it.
pub fn millis(raw: &str) -> Result<i64, String> {
    match serde_json::from_str::<String>(raw) {
        Ok(text) => rfc3339(&text).ok_or_else(|| format!("has {text:?} for a time: {HOW}")),
        Err(_) => whole(raw).ok_or_else(|| format!("has {raw} for a time: {HOW}")),
    }
}

const HOW: &str = "write whole milliseconds from -1 (none) to 9223372036854775807, or RFC 3339 from 1970 on, as \
                   2026-01-01T12:00:00.250+01:00";

/// A number without a fraction, in any of JSON's ways: `1767225600000`, `5.0`, `1e3`.
fn whole(raw: &str) -> Option<i64> {
    let exact = raw.parse::<i64>().ok();
    // A double is whole and exact up to here.
    let number = || raw.parse::<f64>().ok().filter(|it| it.fract() == 0.0 && it.abs() <= 9_007_199_254_740_992.0);
    let looks_whole = raw.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    let millis = if looks_whole { exact } else { number().map(|number| number as i64) };
    millis.filter(|millis| *millis >= NONE)
}

/// A date and a time with `Z`, an offset or neither, which is `Z`. Past milliseconds,
/// digits are left out.
fn rfc3339(text: &str) -> Option<i64> {
    let (local, ahead) = match text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) {
        Some((local, offset)) if offset.starts_with(['+', '-']) => {
            (Some(local).filter(|local| !local.ends_with('Z'))?, minutes(offset)?)
        }
        _ => (text, 0),
    };
    let since = humantime::parse_rfc3339_weak(local).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let millis = i64::try_from(since.as_millis()).ok()?.checked_sub(ahead * 60_000)?;
    (millis >= 0).then_some(millis)
}

/// Of `+01:00` or `-03:30`.
fn minutes(offset: &str) -> Option<i64> {
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let part = |text: &str, limit: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|part| digits && *part < limit)
    };
    let ahead = part(hours, 24)? * 60 + part(minutes, 60)?;
    Some(if offset.starts_with('-') { -ahead } else { ahead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_that_the_help_names_is_read() {
        for (raw, time) in [
            ("-1", -1),
            ("0", 0),
            ("9223372036854775807", i64::MAX),
            ("1e3", 1_000),
            ("5.0", 5),
            (r#""1970-01-01T00:00:01Z""#, 1_000),
            (r#""1970-01-01 00:00:01""#, 1_000),
            (r#""1970-01-01T01:00:00.2509+01:00""#, 250),
            (r#""1970-01-01T00:00:00-03:30""#, 12_600_000),
        ] {
            assert_eq!(millis(raw), Ok(time), "{raw}");
        }
    }

    #[test]
    fn what_is_no_time_of_a_record_is_refused_with_the_ways() {
        for raw in [
            "-2",
            "1.5",
            "1e300",
            "9223372036854775808",
            "true",
            "null",
            "[]",
            r#""noon""#,
            r#""""#,
            r#""1969-12-31T23:59:59Z""#,
            r#""1970-01-01T00:00:00+01:00""#,
            r#""2026-01-01T00:00:00+25:00""#,
            r#""2026-01-01T00:00:00+1:000""#,
            r#""2026-01-01T00:00:00Z+01:00""#,
        ] {
            let problem = millis(raw).unwrap_err();
            assert!(problem.contains("for a time: write whole milliseconds"), "{raw}: {problem}");
        }
    }
}
