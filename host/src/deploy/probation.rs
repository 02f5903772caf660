//! A new version's first records: where too many fail, the version before
//! comes back by itself.

use crate::observe::Calls;
use std::time::{Duration, Instant};

/// Calls from which a version is judged before its time is over.
const EARLY: u64 = 100;
/// Calls that it takes to judge at the end: fewer say too little.
const LEAST: u64 = 10;

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    Passed,
    Failed(Calls),
}

/// One version's probation.
#[derive(Debug)]
pub struct Probation {
    pub until: Instant,
    /// Largest share of calls that may fail.
    pub max_failure_percent: u64,
    /// The plugin's calls when the version came into force.
    pub from: Calls,
    /// Those of the version before: where as many failed, going back is no cure.
    pub before: Calls,
}

impl Probation {
    pub fn judge(&self, now: Instant, calls: Calls) -> Verdict {
        let own = calls.since(self.from);
        let over = now >= self.until;
        if own.all < if over { LEAST } else { EARLY } || !own.passes(self.max_failure_percent) {
            return if over { Verdict::Passed } else { Verdict::Wait };
        }
        if own.worse_than(self.before) {
            Verdict::Failed(own)
        } else if over {
            Verdict::Passed
        } else {
            Verdict::Wait
        }
    }
}

/// How often versions on probation are looked at.
pub const LOOK: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(all: u64, failed: u64) -> Calls {
        Calls { all, failed }
    }

    fn probation(now: Instant, before: Calls) -> Probation {
        Probation { until: now + Duration::from_secs(60), max_failure_percent: 50, from: calls(1_000, 30), before }
    }

    #[test]
    fn only_the_versions_own_calls_count_and_only_enough_of_them() {
        let now = Instant::now();
        let probation = probation(now, calls(1_000, 30));
        let judge = |all: u64, failed: u64| probation.judge(now, calls(1_000 + all, 30 + failed));
        assert_eq!(judge(0, 0), Verdict::Wait);
        assert_eq!(judge(99, 99), Verdict::Wait);
        assert_eq!(judge(100, 50), Verdict::Wait);
        assert_eq!(judge(100, 51), Verdict::Failed(calls(100, 51)));
    }

    #[test]
    fn at_its_end_few_calls_are_enough_and_very_few_are_not() {
        let now = Instant::now();
        let probation = probation(now, Calls::default());
        let judge = |all: u64, failed: u64| probation.judge(probation.until, calls(1_000 + all, 30 + failed));
        assert_eq!(judge(9, 9), Verdict::Passed);
        assert_eq!(judge(12, 12), Verdict::Failed(calls(12, 12)));
        assert_eq!(judge(12, 6), Verdict::Passed);
    }

    #[test]
    fn a_version_no_worse_than_the_one_before_stays() {
        let now = Instant::now();
        let probation = probation(now, calls(1_000, 900));
        assert_eq!(probation.judge(now, calls(1_100, 30 + 90)), Verdict::Wait);
        assert_eq!(probation.judge(now, calls(1_100, 30 + 91)), Verdict::Failed(calls(100, 91)));
        assert_eq!(probation.judge(probation.until, calls(1_100, 30 + 90)), Verdict::Passed);
    }
}
