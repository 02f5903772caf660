//! Drops records that repeat an earlier one. The README has the config and what happens
//! to bad input.

#[cfg(test)]
mod tests;

use std::time::Duration;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::held::Held;
use gregor_sdk::part::Identity;
use gregor_sdk::state::State;
use gregor_sdk::timers::{self, Domain};
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, Timed, metrics};
use serde::{Deserialize, Serialize};

const DEFAULT_WITHIN: Duration = Duration::from_secs(3_600);
/// With `keep = "first"`: when the first record was, in milliseconds since the Unix epoch.
const FIRST: State<u64> = State::new("first");
/// With `keep = "last"`: the record that is passed on when the time is over.
const LAST: State<Last> = State::new("last");

struct Dedupe;

impl Plugin for Dedupe {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let rule = Rule::load()?;
        let Some(identity) = rule.identity(&record)? else { return Ok(vec![record.forward()]) };
        match rule.keeps_last {
            true => rule.hold(&identity, record),
            false => rule.pass_first(&identity, record),
        }
    }
}

impl Timed for Dedupe {
    fn on_timer(_: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        let rule = Rule::load()?;
        match name.split_once('/') {
            Some(("first", identity)) => rule.forget(identity, at).map(|()| vec![]),
            Some(("last", identity)) => rule.release(identity, at),
            _ => Ok(vec![]),
        }
    }
}

impl Lifecycle for Dedupe {
    fn init() -> Result<(), String> {
        Rule::check()
    }
}

gregor_sdk::export!(Dedupe: Timed, Lifecycle);

/// The stage's `config`.
struct Rule {
    by: Identity,
    /// Milliseconds.
    within: u64,
    time: Domain,
    keeps_last: bool,
    /// Whether a record without an identity is passed on.
    passes_missing: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Last {
    /// When the first record was, in milliseconds since the Unix epoch.
    first: u64,
    record: Held,
}

impl Settings for Rule {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["by", "within", "time", "keep", "missing"])?;
        let within = config.duration("within")?.unwrap_or(DEFAULT_WITHIN);
        if within.is_zero() {
            return Err("`within` in the config must be longer than nothing, such as \"1h\"".into());
        }
        Ok(Rule {
            by: Identity::parse(config.text("by").unwrap_or("value"))
                .map_err(|problem| format!("`by` in the config: {problem}"))?,
            within: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            time: config.time("time")?.unwrap_or(Domain::ProcessingTime),
            keeps_last: config.choice("keep", &[("first", false), ("last", true)])?.unwrap_or(false),
            passes_missing: config.choice("missing", &[("reject", false), ("pass", true)])?.unwrap_or(false),
        })
    }
}

impl Rule {
    fn identity(&self, record: &Input) -> Result<Option<String>, Failure> {
        match self.passes_missing {
            true => self.by.of(record),
            false => self.by.required(record).map(Some),
        }
    }

    /// When the time of a first record is over.
    fn end(&self, first: u64) -> u64 {
        first.saturating_add(self.within)
    }

    fn pass_first(&self, identity: &str, record: Input) -> Result<Vec<Output>, Failure> {
        let entry = FIRST.of(identity);
        let now = timers::time_of(self.time, &record);
        match entry.get()? {
            Some(first) if now.abs_diff(first) < self.within => {
                metrics::count("repeated_records", 1);
                return Ok(vec![]);
            }
            // Out of order, and of a time before that of the entry.
            Some(first) if now < first => {}
            _ => {
                entry.set(&now)?;
                timers::schedule(self.time, &format!("first/{identity}"), self.end(now))?;
            }
        }
        Ok(vec![record.forward()])
    }

    fn forget(&self, identity: &str, at: u64) -> Result<(), Failure> {
        let entry = FIRST.of(identity);
        if entry.get()?.is_some_and(|first| self.end(first) <= at) {
            entry.delete();
        }
        Ok(())
    }

    fn hold(&self, identity: &str, record: Input) -> Result<Vec<Output>, Failure> {
        let entry = LAST.of(identity);
        let now = timers::time_of(self.time, &record);
        let before = match entry.get()? {
            Some(last) if now.abs_diff(last.first) < self.within => {
                metrics::count("repeated_records", 1);
                if self.time == Domain::ProcessingTime || record.timestamp >= last.record.timestamp {
                    entry.set(&Last { first: last.first, record: record.into() })?;
                }
                return Ok(vec![]);
            }
            // Out of order, and of a time before that of the entry.
            Some(last) if now < last.first => return Ok(vec![record.forward()]),
            before => before,
        };
        entry.set(&Last { first: now, record: record.into() })?;
        timers::schedule(self.time, &format!("last/{identity}"), self.end(now))?;
        Ok(before.into_iter().map(|last| last.record.into()).collect())
    }

    fn release(&self, identity: &str, at: u64) -> Result<Vec<Output>, Failure> {
        let entry = LAST.of(identity);
        match entry.get()? {
            Some(last) if self.end(last.first) <= at => {
                entry.delete();
                Ok(vec![last.record.into()])
            }
            _ => Ok(vec![]),
        }
    }
}
