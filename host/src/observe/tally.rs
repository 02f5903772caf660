//! What a stage did since the last commit, counted without sharing anything:
//! handed to the metrics once for each commit.

use std::time::Duration;

use crate::plugin::{Blame, Counts, Failure, Soft};
use crate::state::Domain;

/// Upper bounds of the buckets of `plugin_call_seconds`.
pub const BUCKETS: [f64; 12] = [2e-6, 5e-6, 1e-5, 2.5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 1e-1, 5e-1, 2.0];

/// A histogram of calls' durations; the last bucket takes what is above all bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallTimes {
    pub buckets: [u64; BUCKETS.len() + 1],
    pub sum: f64,
}

impl CallTimes {
    pub fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket] += 1;
        self.sum += seconds;
    }

    pub fn add(&mut self, other: &CallTimes) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(bucket, more)| *bucket += more);
        self.sum += other.sum;
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Whether a failure of this kind counts against the plugin's version.
pub(super) fn is_of_plugin(kind: &str) -> bool {
    matches!(Failure::blame(kind), Blame::Plugin | Blame::Breach)
}

/// Calls of a plugin, over all its stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub all: u64,
    pub failed: u64,
}

impl Calls {
    /// Those since `before`.
    pub fn since(self, before: Calls) -> Calls {
        Calls { all: self.all.saturating_sub(before.all), failed: self.failed.saturating_sub(before.failed) }
    }

    /// Whether more of these failed than of `other`, as a share.
    pub fn worse_than(self, other: Calls) -> bool {
        u128::from(self.failed) * u128::from(other.all.max(1)) > u128::from(other.failed) * u128::from(self.all.max(1))
    }

    /// Whether more than so many of a hundred failed.
    pub fn passes(self, percent: u64) -> bool {
        self.failed * 100 > self.all * percent
    }
}

/// Counts of one stage of one task.
#[derive(Debug, Default)]
pub struct Tally {
    pub ok: u64,
    /// Calls that failed, by kind of failure.
    pub failed: Vec<(&'static str, u64)>,
    /// Those of all these calls that were made for what was parked: the version
    /// before failed there, so they say nothing against the one that runs …
    pub released: u64,
    /// … and how many of them failed, by the plugin.
    pub released_failed: u64,
    /// Timers settled, in the order of [`Domain::ALL`].
    pub fired: [u64; 2],
    pub retries: u64,
    pub skipped: u64,
    /// Records whose timestamps were further past the host's clock than they may be.
    pub future: u64,
    /// Dead letters, by kind of failure.
    pub dead_letters: Vec<(&'static str, u64)>,
    /// Limits that the plugin met without its call ending.
    pub refused: Vec<(Soft, u64)>,
    pub times: CallTimes,
    /// The plugin's own metrics.
    pub counts: Vec<Counts>,
}

impl Tally {
    /// A call that ended well, or by this kind of failure.
    pub fn call(&mut self, failure: Option<&'static str>) {
        match failure {
            None => self.ok += 1,
            Some(kind) => self.failure(kind),
        }
    }

    /// The call was made for one that was parked.
    pub fn released(&mut self, failure: Option<&'static str>) {
        if failure.is_none_or(is_of_plugin) {
            self.released += 1;
            self.released_failed += u64::from(failure.is_some());
        }
    }

    pub fn fired(&mut self, domain: Domain) {
        self.fired[domain as usize] += 1;
    }

    pub fn failure(&mut self, kind: &'static str) {
        bump(&mut self.failed, kind);
    }

    pub fn dead_letter(&mut self, kind: &'static str) {
        bump(&mut self.dead_letters, kind);
    }
}

fn bump(counts: &mut Vec<(&'static str, u64)>, kind: &'static str) {
    match counts.iter_mut().find(|(counted, _)| *counted == kind) {
        Some((_, count)) => *count += 1,
        None => counts.push((kind, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let mut times = CallTimes::default();
        times.record(Duration::from_micros(2));
        times.record(Duration::from_micros(3));
        times.record(Duration::from_secs(3));
        assert_eq!((times.buckets[0], times.buckets[1], times.buckets[BUCKETS.len()]), (1, 1, 1));
        assert_eq!(times.count(), 3);
    }
}
