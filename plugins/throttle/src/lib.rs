//! Passes at most so many records of each key in a time. The README has the config and
//! what happens to bad input.

mod debounce;
mod rate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::part::Identity;
use gregor_sdk::timers::{self, Domain};
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, Timed};

use rate::Keep;

/// Records of a key that its entry may hold.
const MAX_HELD: u64 = 100;
/// What a record without a key belongs to, where `by` is the key.
const NO_KEY: &str = "#null";

struct Throttle;

impl Plugin for Throttle {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let limit = Limit::load()?;
        let identity = match record.key {
            None if limit.by.is_key() => NO_KEY.to_owned(),
            _ => limit.by.required(&record)?,
        };
        let now = timers::time_of(limit.time, &record);
        match limit.mode {
            Mode::Rate(keep) => rate::take(&limit, keep, &identity, record, now),
            Mode::Debounce { max_wait } => debounce::take(&limit, max_wait, &identity, record, now),
        }
    }
}

impl Timed for Throttle {
    fn on_timer(_: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        let limit = Limit::load()?;
        match (name.split_once('/'), limit.mode) {
            (Some(("rate", identity)), Mode::Rate(_)) => rate::close(&limit, identity, at),
            (Some(("quiet", identity)), Mode::Debounce { max_wait }) => {
                debounce::release(&limit, max_wait, identity, at)
            }
            // Of a config before this one: what it held goes out.
            (Some(("rate", identity)), _) => rate::close(&limit, identity, u64::MAX),
            (Some(("quiet", identity)), _) => debounce::release(&limit, 0, identity, at),
            _ => Ok(vec![]),
        }
    }
}

impl Lifecycle for Throttle {
    fn init() -> Result<(), String> {
        Limit::check()
    }
}

gregor_sdk::export!(Throttle: Timed, Lifecycle);

/// The stage's `config`.
struct Limit {
    by: Identity,
    /// Milliseconds.
    per: u64,
    at_most: u64,
    time: Domain,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Rate(Keep),
    /// Milliseconds after which a held record goes out though others keep coming.
    Debounce {
        max_wait: u64,
    },
}

impl Settings for Limit {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["by", "per", "at-most", "keep", "time", "max-wait"])?;
        let millis = |name: &str| match config.duration(name)? {
            Some(Duration::ZERO) => Err(format!("`{name}` in the config must be longer than nothing, such as \"1m\"")),
            time => Ok(time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
        };
        let max_wait = millis("max-wait")?;
        let at_most: Option<u64> = config.parsed("at-most", "a whole number")?;
        let modes = [
            ("first", Mode::Rate(Keep::First)),
            ("last", Mode::Rate(Keep::Last)),
            ("sample", Mode::Rate(Keep::Sample)),
            ("debounce", Mode::Debounce { max_wait: max_wait.unwrap_or(u64::MAX) }),
        ];
        let mode = config.choice("keep", &modes)?.unwrap_or(Mode::Rate(Keep::First));
        match (mode, at_most) {
            (Mode::Debounce { .. }, Some(_)) => {
                return Err("`at-most` in the config has no meaning with `keep = \"debounce\"`".into());
            }
            (Mode::Rate(_), _) if max_wait.is_some() => {
                return Err("`max-wait` in the config is for `keep = \"debounce\"` only".into());
            }
            (_, Some(0)) => return Err("`at-most` in the config must be 1 or more".into()),
            (Mode::Rate(Keep::Last | Keep::Sample), Some(many)) if many > MAX_HELD => {
                return Err(format!("`at-most` in the config must be {MAX_HELD} or less, as so many records are held"));
            }
            _ => {}
        }
        Ok(Limit {
            by: Identity::parse(config.text("by").unwrap_or("key"))
                .map_err(|problem| format!("`by` in the config: {problem}"))?,
            per: millis("per")?.ok_or("there is no `per` in the config: add per = \"1m\"")?,
            at_most: at_most.unwrap_or(1),
            time: config.time("time")?.unwrap_or(Domain::ProcessingTime),
            mode,
        })
    }
}
