//! Each line of the value is a cache command; the output's value has a line of
//! result for each.
//!
//! ```text
//! get K               value | none
//! get-many K K…       value or none for each, between spaces
//! set K V [TTL_MS]    ok | error …
//! delete K            true | false
//! increment K N       sum | error …
//! scan P AFTER LIMIT  k=v for each entry, between spaces
//! reject retry trap   end the call that way, after what came before
//! ```
//!
//! `-` stands for the empty key, for the empty prefix and for no AFTER. Errors
//! are `quota-exceeded N`, `value-too-large N`, `invalid-key`, `not-a-number`.

use gregor_sdk::{Failure, Input, Output, cache, reject};

use crate::{answer, command};

/// What the record's commands give.
///
/// # Errors
/// Where a command says so, or is none.
pub fn play(record: Input) -> Result<Vec<Output>, Failure> {
    let results: Vec<String> = command(&record).lines().map(run).collect::<Result<_, _>>()?;
    Ok(answer(record, results.join("\n")))
}

fn run(line: &str) -> Result<String, Failure> {
    let words: Vec<&str> = line.split_whitespace().map(|w| if w == "-" { "" } else { w }).collect();
    Ok(match *words {
        ["get", key] => shown(cache::get(key)),
        ["get-many", ref keys @ ..] => get_many(keys),
        ["set", key, value] => outcome(cache::set(key, value.as_bytes(), None), |()| "ok".into()),
        ["set", key, value, ttl] => outcome(cache::set(key, value.as_bytes(), Some(parsed(ttl)?)), |()| "ok".into()),
        ["delete", key] => cache::delete(key).to_string(),
        ["increment", key, by] => outcome(cache::increment(key, parsed(by)?), |sum| sum.to_string()),
        ["scan", prefix, after, limit] => scan(prefix, after, parsed(limit)?),
        ["reject"] => return Err(reject("the script says so")),
        ["retry"] => return Err(Failure::Retry("the script says so".into())),
        ["trap"] => panic!("the script says so"),
        _ => return Err(reject("no such command")),
    })
}

fn get_many(keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| key.to_string()).collect();
    let values: Vec<String> = cache::get_many(&keys).into_iter().map(shown).collect();
    values.join(" ")
}

fn scan(prefix: &str, after: &str, limit: u32) -> String {
    let after = (!after.is_empty()).then_some(after);
    let entries: Vec<String> =
        cache::scan(prefix, after, limit).into_iter().map(|(key, value)| format!("{key}={}", text(&value))).collect();
    entries.join(" ")
}

fn shown(value: Option<Vec<u8>>) -> String {
    value.map_or_else(|| "none".into(), |value| text(&value))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn outcome<T>(result: Result<T, cache::Error>, shown: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => shown(value),
        Err(cache::Error::QuotaExceeded(limit)) => format!("error quota-exceeded {limit}"),
        Err(cache::Error::ValueTooLarge(limit)) => format!("error value-too-large {limit}"),
        Err(cache::Error::InvalidKey(_)) => "error invalid-key".into(),
        Err(cache::Error::NotANumber) => "error not-a-number".into(),
    }
}

fn parsed<T: std::str::FromStr>(number: &str) -> Result<T, Failure> {
    number.parse().map_err(|_| reject("not a number"))
}
