//! One changelog partition, followed as it grows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::clock::wall_ms;
use crate::config::Backend;
use crate::kafka::{Arrival, PartitionReader, Quiet, topic_id};
use crate::plan::StoreId;
use crate::record::TopicPartition;
use crate::state::changelog::{Decoded, ReplayError, read_record, tombstones_may_be_gone};
use crate::state::{Checkpoint, OpenError, StateStore};

/// One question to the brokers.
const ASK: Duration = Duration::from_secs(1);
/// Most changes that wait for the group's offsets; no more are read then.
const MOST_AHEAD: usize = 50_000;

/// What a copy is of.
pub struct Followed {
    pub id: StoreId,
    pub backend: Backend,
    /// The partition of the pipeline's source.
    pub source: TopicPartition,
    /// The pipeline's place among those of its source.
    pub pipeline: usize,
    pub changelog: Arc<str>,
    /// How long the changelog keeps deletions.
    pub delete_retention: Duration,
}

/// A copy and where it stands in its changelog. Changes that are ahead of the
/// group's offsets wait: their owner may crash, and what is processed again
/// must not meet them.
pub struct Tail<'a> {
    pub of: Followed,
    /// The changelog topic's id, where the brokers tell it.
    pub topic: Option<String>,
    store: Box<dyn StateStore>,
    reader: PartitionReader<'a>,
    /// Every changelog record below is in the store or among `ahead`.
    next: i64,
    /// By offset.
    ahead: VecDeque<(i64, String, Decoded)>,
    /// The changelog's end when it was opened: what a copy that is not warm yet has to read.
    end: i64,
    /// What the store has been told to be its place.
    noted: i64,
}

impl<'a> Tail<'a> {
    /// Goes on from `checkpoint`, or begins anew with the store that `empty`
    /// makes where the changelog does not tell all that happened since.
    ///
    /// # Errors
    /// When brokers or the store do not answer.
    pub fn open(
        client: &'a BaseConsumer<Quiet>,
        of: Followed,
        stood: Option<(Box<dyn StateStore>, Checkpoint)>,
        empty: impl FnOnce() -> Result<Box<dyn StateStore>, OpenError>,
    ) -> Result<Tail<'a>, OpenError> {
        let not_yet = |error: rdkafka::error::KafkaError| OpenError::NotYet(error.to_string());
        let partition = of.id.partition;
        let topic = topic_id(client, &of.changelog, ASK).map_err(not_yet)?;
        let (start, end) = client.fetch_watermarks(&of.changelog, partition, ASK).map_err(not_yet)?;
        let fits = |checkpoint: &Checkpoint| {
            let from = checkpoint.changelog;
            (start..=end).contains(&from)
                && (from == end || !tombstones_may_be_gone(checkpoint.at, of.delete_retention, wall_ms()))
        };
        let (store, next) = match stood {
            Some((store, checkpoint)) if fits(&checkpoint) => (store, checkpoint.changelog),
            Some((store, checkpoint)) if !store.is_empty() && !(start..=end).contains(&checkpoint.changelog) => {
                return Err(OpenError::NotYet(format!(
                    "the local store needs offsets from {} of changelog `{}`, which holds {start} to {end}: it was made \
                     anew or cut off, and the store, which may be all there is of the state, is left as it is",
                    checkpoint.changelog, of.changelog
                )));
            }
            stood => {
                drop(stood);
                (empty()?, start)
            }
        };
        let reader = PartitionReader::start(client, &of.changelog, partition, next).map_err(not_yet)?;
        Ok(Tail { of, topic, store, reader, next, ahead: VecDeque::new(), end, noted: -1 })
    }

    /// Reads what has arrived; whether that was anything.
    ///
    /// # Errors
    /// When the changelog cannot be followed from here any more.
    pub fn read(&mut self) -> Result<bool, ReplayError> {
        if self.ahead.len() >= MOST_AHEAD {
            return Ok(false);
        }
        let before = self.next;
        let Tail { of, reader, next, ahead, .. } = self;
        reader.poll(Duration::ZERO, |arrival| {
            match arrival {
                Arrival::Record(record) => {
                    let (key, decoded) = read_record(&record, &of.changelog, of.id.partition)?;
                    ahead.push_back((record.offset(), key.to_owned(), decoded));
                    *next = record.offset() + 1;
                }
                Arrival::End(offset) => *next = offset.max(*next),
                Arrival::Failed(code) => {
                    let (topic, partition) = (of.changelog.to_string(), of.id.partition);
                    return Err(ReplayError::Unavailable { topic, partition, reason: code.to_string() });
                }
            }
            Ok(())
        })?;
        Ok(self.next > before)
    }

    /// Takes up the changes that belong to what the group has committed,
    /// `position` of the pipeline's source.
    ///
    /// # Errors
    /// Those of the store.
    pub fn advance(&mut self, position: i64) -> Result<(), ReplayError> {
        let now = wall_ms();
        while let Some((_, key, decoded)) = self.ahead.pop_front_if(|(_, _, decoded)| decoded.position <= position) {
            self.store.load(&key, decoded.entry.filter(|entry| !entry.expired(now)))?;
        }
        Ok(())
    }

    /// Changelog offsets that the copy is behind, at most.
    pub fn remaining(&self) -> u64 {
        (self.end - self.next).max(0).unsigned_abs() + self.ahead.len() as u64
    }

    fn checkpoint(&self) -> Checkpoint {
        let changelog = self.ahead.front().map_or(self.next, |(offset, _, _)| *offset);
        // At no position of the source: whoever opens it reads on from here.
        Checkpoint { position: -1, changelog, at: wall_ms() }
    }

    /// Makes the place durable, where the store is.
    ///
    /// # Errors
    /// Those of the store.
    pub fn note(&mut self) -> Result<(), ReplayError> {
        let checkpoint = self.checkpoint();
        if checkpoint.changelog > self.noted {
            self.store.restored(checkpoint)?;
            self.noted = checkpoint.changelog;
        }
        Ok(())
    }

    /// Ends following it.
    pub fn into_copy(self) -> (Box<dyn StateStore>, Checkpoint) {
        let checkpoint = self.checkpoint();
        (self.store, checkpoint)
    }
}
