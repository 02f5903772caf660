//! Durations and sizes: a whole number and its unit.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::Value;
use super::kind::{Parsed, Wrong};

const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const SHARES: [(&str, u64); 1] = [("%", 1)];

/// A time with its unit, in `range`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Parsed<Duration> {
    let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let range = millis(range.start())..=millis(range.end());
    move |value| quantity(value, &TIMES, "a duration", &range, meant_time).map(Duration::from_millis)
}

/// A size in bytes with its unit, in `range`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&Value) -> Parsed<u64> {
    move |value| quantity(value, &SIZES, "a size", &range, meant_size)
}

/// Bytes that a stage's `memory` may say.
pub(super) const STAGE_MEMORY: RangeInclusive<u64> = 1 << 20..=4 << 30;

/// A stage's `memory` as a command is given it, in bytes.
///
/// # Errors
/// What to write instead.
pub fn stage_memory(text: &str) -> Result<u64, String> {
    size(STAGE_MEMORY)(&Value::String(text.to_owned())).map_err(|Wrong { problem, cure }| format!("{problem}; {cure}"))
}

/// A share in whole percent.
pub(super) fn percent(value: &Value) -> Parsed<u64> {
    quantity(value, &SHARES, "a share", &(0..=100), |_| Some("%"))
}

/// A whole number and a unit without a space between, in the least unit.
fn quantity(
    value: &Value,
    units: &[(&'static str, u64)],
    kind: &str,
    range: &RangeInclusive<u64>,
    meant: fn(&str) -> Option<&'static str>,
) -> Parsed<u64> {
    let show = |amount| with_unit(amount, units);
    let span = format!("from {} to {}", show(*range.start()), show(*range.end()));
    let text = match value.settled().as_ref() {
        Value::Integer(number) => number.to_string(),
        _ => value.string().map(String::from).ok_or_else(|| {
            let cure = format!("write a whole number and a unit in quotes, {span}");
            Wrong::kind(value, &format!("{kind} in quotes"), cure)
        })?,
    };
    let text = text.trim();
    let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let known = units.iter().find(|(name, _)| *name == unit);
    // Digits beyond 64 bits are out of any range.
    let number = digits.parse().unwrap_or(u64::MAX);
    match known.map(|(_, worth)| number.saturating_mul(*worth)) {
        _ if digits.is_empty() => {
            let cure = format!("write a whole number and a unit, {span}");
            Err(Wrong::new(format!("{text:?} is not {kind}"), cure))
        }
        Some(amount) if range.contains(&amount) => Ok(amount),
        Some(_) => Err(Wrong::new(format!("{text:?} is out of range"), format!("write {span}"))),
        None if unit.is_empty() => {
            let fits = |worth: &u64| range.contains(&number.saturating_mul(*worth));
            let likely = units.iter().rev().filter(|(_, worth)| fits(worth));
            let likely: Vec<_> = likely.map(|(unit, _)| format!("\"{digits}{unit}\"")).collect();
            let cure = match likely.as_slice() {
                [] => format!("write a whole number and a unit, {span}"),
                _ => format!("write {}", likely.join(" or ")),
            };
            Err(Wrong::new(format!("{digits} has no unit"), cure))
        }
        None => {
            let cure = match meant(unit.trim()) {
                Some(unit) => format!("write \"{digits}{unit}\""),
                None => format!("write a whole number and a unit, {span}"),
            };
            Err(Wrong::new(format!("{text:?} is not {kind}"), cure))
        }
    }
}

fn meant_time(unit: &str) -> Option<&'static str> {
    match unit.to_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "milli" | "millis" | "millisecond" | "milliseconds" => Some("ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some("h"),
        _ => None,
    }
}

/// For a unit that is a prefix and some form of "bytes".
fn meant_size(unit: &str) -> Option<&'static str> {
    let unit = unit.to_lowercase();
    let prefix = unit.trim_end_matches("bytes").trim_end_matches("byte").trim_end_matches('b');
    match prefix {
        "" => Some("B"),
        "k" | "ki" | "kilo" | "kibi" => Some("KiB"),
        "m" | "mi" | "mega" | "mebi" => Some("MiB"),
        "g" | "gi" | "giga" | "gibi" => Some("GiB"),
        "t" | "ti" | "tera" | "tebi" => Some("TiB"),
        _ => None,
    }
}

/// In the largest unit that leaves a whole number.
fn with_unit(amount: u64, units: &[(&'static str, u64)]) -> String {
    let exact = units.iter().find(|(_, worth)| amount >= *worth && amount.is_multiple_of(*worth));
    match exact {
        Some((unit, worth)) => format!("{}{unit}", amount / worth),
        None => amount.to_string(),
    }
}
