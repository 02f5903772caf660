//! At most so many records in each window of time.

use std::collections::BTreeMap;

use gregor_sdk::held::Held;
use gregor_sdk::state::State;
use gregor_sdk::timers::{self, Domain};
use gregor_sdk::{Failure, Input, Output, metrics};
use serde::{Deserialize, Serialize};

use super::Limit;

/// The open windows of each key, by their first millisecond.
const OPEN: State<BTreeMap<u64, Window>> = State::new("rate");

/// Which records of a window pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keep {
    First,
    Last,
    Sample,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Window {
    count: u64,
    /// In the order of arrival; they pass when the window is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    held: Vec<Held>,
}

pub fn take(limit: &Limit, keep: Keep, identity: &str, record: Input, now: u64) -> Result<Vec<Output>, Failure> {
    let start = now - now % limit.per;
    if limit.time == Domain::EventTime && timers::watermark().is_some_and(|at| end(limit, start) <= at) {
        metrics::count("late_records", 1);
        return Ok(vec![]);
    }
    let entry = OPEN.of(identity);
    let mut open = entry.get()?.unwrap_or_default();
    // One whose end has passed has a timer that failed for good, and needs another.
    let needs_timer = open.keys().next().is_none_or(|first| start < *first || end(limit, *first) <= now);
    let window = open.entry(start).or_default();
    window.count += 1;
    let mut outputs = Vec::new();
    match keep {
        Keep::First if window.count <= limit.at_most => outputs.push(record.forward()),
        Keep::First => metrics::count("throttled_records", 1),
        Keep::Last | Keep::Sample if window.count <= limit.at_most => window.held.push(record.into()),
        Keep::Last => window.replace(0, record),
        Keep::Sample => match usize::try_from(chance(&record) % window.count) {
            Ok(at) if at < window.held.len() => window.replace(at, record),
            _ => metrics::count("throttled_records", 1),
        },
    }
    entry.set(&open)?;
    if let Some(first) = open.keys().next().filter(|_| needs_timer) {
        timers::schedule(limit.time, &format!("rate/{identity}"), end(limit, *first))?;
    }
    Ok(outputs)
}

impl Window {
    fn replace(&mut self, at: usize, record: Input) {
        metrics::count("throttled_records", 1);
        if at < self.held.len() {
            self.held.remove(at);
        }
        self.held.push(record.into());
    }
}

/// Closes the windows that are over at `at`.
pub fn close(limit: &Limit, identity: &str, at: u64) -> Result<Vec<Output>, Failure> {
    let entry = OPEN.of(identity);
    let Some(mut open) = entry.get()? else { return Ok(vec![]) };
    let mut outputs = Vec::new();
    while let Some(window) = open.first_entry() {
        if end(limit, *window.key()) > at {
            break;
        }
        outputs.extend(window.remove().held.into_iter().map(Output::from));
    }
    match open.keys().next() {
        None => drop(entry.delete()),
        Some(next) => {
            timers::schedule(limit.time, &format!("rate/{identity}"), end(limit, *next))?;
            entry.set(&open)?;
        }
    }
    Ok(outputs)
}

fn end(limit: &Limit, start: u64) -> u64 {
    start.saturating_add(limit.per)
}

/// A number that a record has again when it is processed again (SplitMix64).
fn chance(record: &Input) -> u64 {
    let seed = record.offset ^ u64::from(record.partition).rotate_left(40) ^ record.timestamp.rotate_left(20);
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
