//! Event time of a pipeline's partition: how far its source's records have come.

use std::time::{Duration, Instant};

use super::pipeline::Pipeline;
use crate::config::FutureRecords;
use crate::plan::Plan;
use crate::plugin::Failure;
use crate::record::Record;

pub struct EventTime {
    /// What a record may be earlier than the latest so far, in milliseconds.
    max_out_of_orderness: u64,
    idle_timeout: Option<Duration>,
    /// How far past the host's clock a record moves event time, in milliseconds.
    max_future: u64,
    /// No earlier record is expected; milliseconds since the Unix epoch.
    watermark: Option<u64>,
    /// Since when no record came, and where the watermark stood then.
    quiet: Option<(Instant, u64)>,
}

impl EventTime {
    /// `watermark`: where it stood before.
    pub fn new(plan: &Plan, watermark: Option<u64>) -> EventTime {
        EventTime {
            max_out_of_orderness: plan.max_out_of_orderness,
            idle_timeout: plan.idle_timeout,
            max_future: plan.max_future,
            watermark,
            quiet: None,
        }
    }

    pub fn watermark(&self) -> Option<u64> {
        self.watermark
    }

    /// A record with this timestamp goes through next, at `now_ms` of the host's clock;
    /// both in milliseconds since the Unix epoch. One without a timestamp says nothing.
    pub fn record(&mut self, timestamp: i64, now_ms: u64) {
        self.quiet = None;
        if let Ok(timestamp) = u64::try_from(timestamp)
            && timestamp > 0
        {
            // Else one wrong clock would make all later records late, for good.
            let timestamp = timestamp.min(now_ms.saturating_add(self.max_future));
            self.watermark = self.watermark.max(Some(timestamp.saturating_sub(self.max_out_of_orderness)));
        }
    }

    /// Whether a timestamp is further past the host's clock than a record's may be.
    pub fn is_future(&self, timestamp: i64, now_ms: u64) -> bool {
        u64::try_from(timestamp).is_ok_and(|timestamp| timestamp > now_ms.saturating_add(self.max_future))
    }

    /// No record is left in the partition: past the idle timeout the watermark
    /// goes on from where it stood as the clock does. Not to the clock's time:
    /// records of an earlier day would all be late.
    pub fn idle(&mut self, now: Instant) {
        let (Some(timeout), Some(watermark)) = (self.idle_timeout, self.watermark) else { return };
        let (since, stood) = *self.quiet.get_or_insert((now, watermark));
        let quiet = now.saturating_duration_since(since);
        if quiet >= timeout {
            let passed = u64::try_from(quiet.as_millis()).unwrap_or(u64::MAX);
            self.watermark = self.watermark.max(Some(stood.saturating_add(passed)));
        }
    }

    /// Records are left, or it waits: quiet begins anew.
    pub fn busy(&mut self) {
        self.quiet = None;
    }

    /// Back to where it stood: its records come again.
    pub fn roll_back(&mut self, watermark: Option<u64>) {
        (self.watermark, self.quiet) = (watermark, None);
    }
}

impl Pipeline {
    /// Why a record with this timestamp fails, where those of the future do.
    pub(super) fn future(&self, timestamp: i64, now_ms: u64) -> Option<Failure> {
        let fails = self.plan.future == FutureRecords::Fail && self.time.is_future(timestamp, now_ms);
        fails.then(|| Failure::Future {
            timestamp,
            ahead: timestamp.unsigned_abs().saturating_sub(now_ms),
            limit: self.plan.max_future,
        })
    }

    /// Counts a record that is done, where its timestamp is of the future.
    pub(super) fn count_future(&mut self, record: &Record<'_>, now_ms: u64) {
        if !self.time.is_future(record.timestamp, now_ms) {
            return;
        }
        self.stages[0].tally.future += 1;
        if !std::mem::replace(&mut self.told_of_future, true) {
            tracing::warn!(
                pipeline = self.plan.name,
                topic = record.topic,
                partition = record.partition,
                offset = record.offset,
                timestamp = record.timestamp,
                max_future = self.plan.max_future,
                "a record's timestamp is past this host's clock by more than max-future; gregor_future_records_total \
                 counts further ones",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_time(lateness: u64, idle_ms: u64) -> EventTime {
        EventTime {
            max_out_of_orderness: lateness,
            idle_timeout: Some(Duration::from_millis(idle_ms)),
            max_future: 1_000,
            watermark: None,
            quiet: None,
        }
    }

    #[test]
    fn the_watermark_follows_the_latest_record_less_the_lateness_and_never_goes_back() {
        let mut time = event_time(10, 100);
        for (timestamp, watermark) in
            [(-1, None), (0, None), (5, Some(0)), (50, Some(40)), (20, Some(40)), (51, Some(41))]
        {
            time.record(timestamp, 100);
            assert_eq!(time.watermark(), watermark, "after {timestamp}");
        }
    }

    #[test]
    fn a_record_of_the_future_moves_the_watermark_no_further_than_it_may() {
        let mut time = event_time(10, 100);
        for (timestamp, now, watermark, is_future) in [
            (1_100, 100, 1_090, false),
            (1_101, 100, 1_090, true),
            (i64::MAX, 200, 1_190, true),
            (500, 300, 1_190, false),
        ] {
            time.record(timestamp, now);
            assert_eq!(time.watermark(), Some(watermark), "after {timestamp}");
            assert_eq!(time.is_future(timestamp, now), is_future, "{timestamp}");
        }
    }

    #[test]
    fn without_records_it_goes_on_by_the_clock_from_where_it_stood() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut time = event_time(0, 100);
        time.idle(start);
        time.idle(after(1_000));
        assert_eq!(time.watermark(), None, "there is nothing to go on from");
        time.record(7_000, 7_000);
        time.idle(after(1_000));
        time.idle(after(1_099));
        assert_eq!(time.watermark(), Some(7_000));
        time.idle(after(1_100));
        assert_eq!(time.watermark(), Some(7_100));
        time.idle(after(1_250));
        assert_eq!(time.watermark(), Some(7_250));
        time.record(7_001, 7_001);
        time.idle(after(1_300));
        assert_eq!(time.watermark(), Some(7_250), "a late record does not take it back");
        time.idle(after(1_400));
        assert_eq!(time.watermark(), Some(7_350));
        time.roll_back(Some(6_000));
        time.idle(after(9_000));
        assert_eq!(time.watermark(), Some(6_000));
    }
}
