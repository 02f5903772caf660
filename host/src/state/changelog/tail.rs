//! The end of a changelog: where the state in it stands, without its entries.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::error::ReplayError;
use super::reader::{ASK, Reader, TURN, check, failed, unavailable};
use super::replay::{Replay, read_record};
use crate::kafka::{Arrival, PartitionReader, topic_id};
use crate::state::stamp::{STAMP, Stamp};

/// Records that are read first, back from the end: a commit stamps the state with
/// nearly its last record.
const FIRST: i64 = 256;
/// How many times more are read where there is no stamp among them.
const MORE: i64 = 8;
/// Between two questions after an end that may not be known yet.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is asked for: a new leader may take a moment to know it.
const TRIES: usize = 20;

/// A partition of a topic as the brokers have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The topic's id, where the brokers tell it.
    pub id: Option<String>,
    pub start: i64,
    pub end: i64,
}

/// What the end of a changelog tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    pub bounds: Bounds,
    /// Whether it holds any record; known only where there is no stamp.
    pub records: bool,
    pub stamp: Option<Stamp>,
}

impl Reader {
    /// The partition of a source whose group is at `next`.
    ///
    /// # Errors
    /// As [`Reader::replay`].
    pub fn source(
        &self,
        topic: &str,
        partition: i32,
        next: i64,
        cancelled: &AtomicBool,
    ) -> Result<Bounds, ReplayError> {
        let replay = Replay::all(topic, partition);
        let id = self.id(&replay)?;
        let mut tries = 0;
        loop {
            let (start, end) = self.written(&replay, cancelled)?;
            tries += 1;
            if end >= next || tries >= TRIES {
                return Ok(Bounds { id, start, end });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The last stamp of a changelog, as far as it is decided.
    ///
    /// # Errors
    /// As [`Reader::replay`].
    pub fn tail(&self, topic: &str, partition: i32, cancelled: &AtomicBool) -> Result<Tail, ReplayError> {
        let replay = Replay::all(topic, partition);
        let id = self.id(&replay)?;
        let (start, end) = self.bounds(&replay, cancelled)?;
        let mut tail = Tail { bounds: Bounds { id, start, end }, records: false, stamp: None };
        let mut count = FIRST;
        let mut from = end;
        while tail.stamp.is_none() && from > start {
            from = (end - count).max(start);
            count = count.saturating_mul(MORE);
            self.scan(&replay, from, &mut tail, cancelled)?;
        }
        Ok(tail)
    }

    fn scan(&self, replay: &Replay<'_>, from: i64, tail: &mut Tail, cancelled: &AtomicBool) -> Result<(), ReplayError> {
        let Bounds { start, end, .. } = tail.bounds;
        let mut partition = PartitionReader::start(&self.committed, replay.topic, replay.partition, from)
            .map_err(ReplayError::Client)?;
        let mut next = from;
        while next < end {
            check(cancelled)?;
            // Serves the client's own lines and errors.
            drop(self.committed.poll(Duration::ZERO));
            partition.poll(TURN, |arrival| match arrival {
                Arrival::Record(record) => {
                    next = record.offset() + 1;
                    tail.records = true;
                    if next > end || record.key() != Some(STAMP.as_bytes()) {
                        return Ok(());
                    }
                    let (_, decoded) = read_record(&record, replay.topic, replay.partition)?;
                    if let Some(stamp) = decoded.entry.as_ref().and_then(Stamp::read)
                        && tail.stamp.as_ref().is_none_or(|last| stamp.follows(last))
                    {
                        tail.stamp = Some(stamp);
                    }
                    Ok(())
                }
                Arrival::End(offset) => {
                    next = next.max(offset);
                    Ok(())
                }
                Arrival::Failed(code) => Err(failed(replay, from, start, end, code)),
            })?;
        }
        Ok(())
    }

    fn id(&self, replay: &Replay<'_>) -> Result<Option<String>, ReplayError> {
        topic_id(&self.everything, replay.topic, ASK).map_err(|error| unavailable(replay, &error))
    }
}
