//! What a replay is asked, tells on its way, and brings back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::codec::{Decoded, HEADER, Malformed, decode};
use super::error::ReplayError;
use crate::kafka::Arrived;
use crate::state::{Checkpoint, StateStore};

/// How far a checkpoint's clock may be off from the brokers'.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// The entries of one partition, as of a source position.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// Up to where the store is whole; `None`: it is empty.
    pub checkpoint: Option<Checkpoint>,
    /// The group's stable committed offset of the source: what entries past it
    /// belong to is processed again.
    pub position: i64,
    /// How long the topic keeps deletions: [`Changelog::delete_retention`](super::Changelog::delete_retention).
    pub delete_retention: Duration,
    /// Milliseconds since the Unix epoch: entries that have expired by then are left out.
    pub now: u64,
}

impl<'a> Replay<'a> {
    /// All that the partition holds, of whatever position.
    pub fn all(topic: &'a str, partition: i32) -> Replay<'a> {
        let (position, delete_retention) = (i64::MAX, Duration::MAX);
        Replay { topic, partition, checkpoint: None, position, delete_retention, now: 0 }
    }
}

/// How far a replay is, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Offsets still ahead: an upper bound of the records that come.
    pub remaining: AtomicI64,
    pub records: AtomicU64,
    /// Bytes of keys and values.
    pub bytes: AtomicU64,
}

/// What a replay came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The changelog offset up to which all was read.
    pub end: i64,
    /// What a store may note as its checkpoint's changelog offset: `end`, or the
    /// first record that was left out for `ahead`, so that after another crash
    /// those keys are found again.
    pub checkpoint: i64,
    /// Keys whose newest entries are past the committed position and were left
    /// out, sorted. Their entries as the store has them belong into the
    /// changelog with the next commit: once the committed position has passed
    /// the ones left out, a later replay would take those for valid.
    pub ahead: Vec<String>,
    /// The furthest position of an entry that was taken; 0 where none was.
    pub furthest: i64,
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// Whether a deletion after a checkpoint `at` (milliseconds since the Unix
/// epoch, as `now`) may have left the changelog, so that the entry it ended
/// would live on in the store.
pub fn tombstones_may_be_gone(at: u64, delete_retention: Duration, now: u64) -> bool {
    let skew = CLOCK_SKEW.as_millis() as u64;
    let retention = u64::try_from(delete_retention.as_millis()).unwrap_or(u64::MAX);
    match now.checked_sub(at) {
        Some(age) => age.saturating_add(skew) >= retention,
        // A clock that was set back does not tell the age.
        None => at - now > skew,
    }
}

/// What a record of a changelog says, and of which key.
///
/// # Errors
/// [`ReplayError::Malformed`] for what no Gregor of this format wrote.
pub fn read_record<'a>(record: &Arrived<'a>, topic: &str, partition: i32) -> Result<(&'a str, Decoded), ReplayError> {
    let malformed = |problem| {
        let (topic, offset) = (topic.to_owned(), record.offset());
        ReplayError::Malformed { topic, partition, offset, problem }
    };
    let decoded = decode(record.header(HEADER), record.value()).map_err(malformed)?;
    let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
    let key = key.filter(|key| !key.is_empty()).ok_or(Malformed::Key).map_err(malformed)?;
    Ok((key, decoded))
}

/// Puts records into a store and counts them.
pub(super) struct Loading<'a> {
    replay: &'a Replay<'a>,
    progress: &'a Progress,
    store: &'a mut dyn StateStore,
    /// Every record below is in the store or known to be left out.
    pub next: i64,
    end: i64,
    /// The first record left out of each key that is ahead.
    ahead: HashMap<String, i64, foldhash::fast::RandomState>,
    furthest: i64,
    records: u64,
    bytes: u64,
}

impl<'a> Loading<'a> {
    pub fn new(
        replay: &'a Replay<'a>,
        progress: &'a Progress,
        store: &'a mut dyn StateStore,
        range: std::ops::Range<i64>,
    ) -> Loading<'a> {
        let (next, end) = (range.start, range.end);
        Loading { replay, progress, store, next, end, ahead: HashMap::default(), furthest: 0, records: 0, bytes: 0 }
    }

    pub fn take(&mut self, record: &Arrived<'_>) -> Result<(), ReplayError> {
        let offset = record.offset();
        self.next = offset + 1;
        if offset >= self.end {
            return Ok(());
        }
        let (key, decoded) = read_record(record, self.replay.topic, self.replay.partition)?;
        self.records += 1;
        self.bytes += (key.len() + record.value().map_or(0, <[u8]>::len)) as u64;
        if decoded.position > self.replay.position {
            self.ahead.entry(key.to_owned()).or_insert(offset);
            return Ok(());
        }
        self.furthest = self.furthest.max(decoded.position);
        if !self.ahead.is_empty() {
            self.ahead.remove(key);
        }
        let living = decoded.entry.filter(|entry| !entry.expired(self.replay.now));
        Ok(self.store.load(key, living)?)
    }

    /// Shows what was reached.
    pub fn tell(&self) {
        self.progress.remaining.store((self.end - self.next).max(0), Relaxed);
        self.progress.records.store(self.records, Relaxed);
        self.progress.bytes.store(self.bytes, Relaxed);
    }

    pub fn done(self) -> Replayed {
        let checkpoint = self.ahead.values().min().map_or(self.end, |first| *first);
        let mut ahead: Vec<String> = self.ahead.into_keys().collect();
        ahead.sort_unstable();
        let (end, furthest) = (self.end, self.furthest);
        Replayed { end, checkpoint, ahead, furthest, records: self.records, bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const NOW: u64 = 1_800_000_000_000;

    fn ago(age: Duration) -> u64 {
        NOW - age.as_millis() as u64
    }

    #[test]
    fn deletions_are_there_within_their_retention() {
        assert!(!tombstones_may_be_gone(NOW, DAY, NOW));
        assert!(!tombstones_may_be_gone(ago(DAY - 2 * CLOCK_SKEW), DAY, NOW));
    }

    #[test]
    fn deletions_may_be_gone_from_a_minute_before_its_end() {
        assert!(tombstones_may_be_gone(ago(DAY - CLOCK_SKEW), DAY, NOW));
        assert!(tombstones_may_be_gone(ago(2 * DAY), DAY, NOW));
        assert!(tombstones_may_be_gone(NOW, Duration::ZERO, NOW));
    }

    #[test]
    fn a_checkpoint_from_the_future_has_no_known_age() {
        assert!(!tombstones_may_be_gone(NOW + 1_000, DAY, NOW));
        assert!(tombstones_may_be_gone(NOW + 120_000, DAY, NOW));
        assert!(!tombstones_may_be_gone(0, Duration::MAX, NOW));
    }
}
