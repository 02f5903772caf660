//! Reading a changelog back into a store.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::error::ReplayError;
use super::replay::{Loading, Progress, Replay, Replayed, tombstones_may_be_gone};
use crate::kafka::{Arrival, PartitionReader, Quiet, reader_config};
use crate::state::StateStore;

/// One question to the brokers.
pub(super) const ASK: Duration = Duration::from_secs(5);
/// How long brokers may be away before a replay that has not begun gives up.
const AWAY: Duration = Duration::from_secs(30);
/// A producer's `transaction.timeout.ms` where the user names none.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for records: how soon a replay hears that it is cancelled.
pub(super) const TURN: Duration = Duration::from_millis(50);
/// How often a replay that gets nothing says so.
const SILENCE: Duration = Duration::from_secs(10);

/// Reads changelogs: two clients outside any group, made once and used for
/// replays one after the other or, of different partitions, at once.
pub struct Reader {
    /// Sees what transactions wrote once they are committed.
    pub(super) committed: BaseConsumer<Quiet>,
    /// Asked for the end of what anyone wrote; reads nothing.
    pub(super) everything: BaseConsumer<Quiet>,
    /// The longest wait for an open transaction.
    patience: Duration,
}

impl Reader {
    /// `client`: the user's properties.
    ///
    /// # Errors
    /// [`ReplayError::Client`].
    pub fn new(client: &ClientConfig) -> Result<Reader, ReplayError> {
        let timeout = client.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        let made = |isolation| reading(client, isolation).create_with_context(Quiet).map_err(ReplayError::Client);
        Ok(Reader {
            committed: made("read_committed")?,
            everything: made("read_uncommitted")?,
            patience: 2 * timeout.unwrap_or(TRANSACTION_TIMEOUT),
        })
    }

    /// Loads into `store` what `replay.topic` says of its partition as of
    /// `replay.position`. The caller has asked for that position before, then
    /// tells the store that it is [restored](StateStore::restored).
    ///
    /// Order makes this whole: whoever wrote before the position was committed
    /// has its records below the end that is asked for here, and what is
    /// undecided below that end is waited for.
    ///
    /// # Errors
    /// [`ReplayError`] says which are to be tried again and which need an
    /// empty store; in any case the store holds no state of any moment.
    pub fn replay(
        &self,
        replay: &Replay<'_>,
        store: &mut dyn StateStore,
        progress: &Progress,
        cancelled: &AtomicBool,
    ) -> Result<Replayed, ReplayError> {
        let (start, end) = self.bounds(replay, cancelled)?;
        let from = begin(replay, start, end)?;
        let mut loading = Loading::new(replay, progress, store, from..end);
        loading.tell();
        if from < end {
            let mut partition = PartitionReader::start(&self.committed, replay.topic, replay.partition, from)
                .map_err(ReplayError::Client)?;
            let mut heard = Instant::now();
            while loading.next < end {
                check(cancelled)?;
                // Serves the client's own lines and errors.
                drop(self.committed.poll(Duration::ZERO));
                let before = loading.next;
                partition.poll(TURN, |arrival| match arrival {
                    Arrival::Record(record) => loading.take(&record),
                    // Markers and what was aborted or compacted take offsets too.
                    Arrival::End(offset) => {
                        loading.next = loading.next.max(offset);
                        Ok(())
                    }
                    Arrival::Failed(code) => Err(failed(replay, from, start, end, code)),
                })?;
                loading.tell();
                if loading.next > before {
                    heard = Instant::now();
                } else if heard.elapsed() > SILENCE {
                    let (topic, partition) = (replay.topic, replay.partition);
                    tracing::warn!(topic, partition, "the changelog's brokers are silent; the replay waits for them");
                    heard = Instant::now();
                }
            }
        }
        Ok(loading.done())
    }

    /// A partition's first offset, and the one after the last record that anyone wrote.
    pub(super) fn written(&self, replay: &Replay<'_>, cancelled: &AtomicBool) -> Result<(i64, i64), ReplayError> {
        watermarks(&self.everything, replay, cancelled)
    }

    /// The changelog's first offset, and the one after the last record that
    /// anyone wrote, once everything before it is committed or aborted.
    pub(super) fn bounds(&self, replay: &Replay<'_>, cancelled: &AtomicBool) -> Result<(i64, i64), ReplayError> {
        let (start, end) = self.written(replay, cancelled)?;
        let since = Instant::now();
        let mut wait = Duration::from_millis(10);
        loop {
            let (_, stable) = watermarks(&self.committed, replay, cancelled)?;
            if stable >= end {
                return Ok((start, end));
            }
            let waited = since.elapsed();
            if waited >= self.patience {
                let topic = replay.topic.to_owned();
                return Err(ReplayError::Unstable { topic, partition: replay.partition, stable, end, waited });
            }
            pause(wait, cancelled)?;
            wait = (2 * wait).min(Duration::from_millis(200));
        }
    }
}

/// Where to begin, if the store goes with the changelog.
fn begin(replay: &Replay<'_>, start: i64, end: i64) -> Result<i64, ReplayError> {
    let Some(checkpoint) = replay.checkpoint else { return Ok(start) };
    let (topic, partition, from) = (replay.topic.to_owned(), replay.partition, checkpoint.changelog);
    if from < start || from > end {
        return Err(ReplayError::Truncated { topic, partition, from, start, end });
    }
    // Without a record since, no deletion can have gone.
    if from < end && tombstones_may_be_gone(checkpoint.at, replay.delete_retention, replay.now) {
        return Err(ReplayError::Outdated { topic, partition });
    }
    Ok(from)
}

/// A client that reads changelogs, of what `isolation` lets it see.
pub fn reading(client: &ClientConfig, isolation: &str) -> ClientConfig {
    let mut config = reader_config(client, isolation);
    let tuned = [
        ("client.id", "gregor-changelog"),
        // One fetch of a partition; the default is 1 MiB.
        ("fetch.message.max.bytes", "8388608"),
        // Bounds what is fetched ahead, in records of a partition and in all.
        ("queued.min.messages", "100000"),
        ("queued.max.messages.kbytes", "32768"),
        ("fetch.queue.backoff.ms", "2"),
        // How long the end of a partition is in coming.
        ("fetch.wait.max.ms", "10"),
        ("check.crcs", "true"),
    ];
    for (property, value) in tuned {
        if client.get(property).is_none() {
            config.set(property, value);
        }
    }
    config
}

/// The first offset and the end as `client` sees it, asked until the brokers answer.
fn watermarks(
    client: &BaseConsumer<Quiet>,
    replay: &Replay<'_>,
    cancelled: &AtomicBool,
) -> Result<(i64, i64), ReplayError> {
    let since = Instant::now();
    loop {
        check(cancelled)?;
        // Serves the client's own lines and errors.
        drop(client.poll(Duration::ZERO));
        let error = match client.fetch_watermarks(replay.topic, replay.partition, ASK) {
            Ok(watermarks) => return Ok(watermarks),
            Err(error) => error,
        };
        if error.rdkafka_error_code() == Some(Code::TopicAuthorizationFailed) {
            return Err(ReplayError::Denied { topic: replay.topic.to_owned() });
        }
        if since.elapsed() >= AWAY {
            return Err(unavailable(replay, &error));
        }
        pause(Duration::from_millis(200), cancelled)?;
    }
}

pub(super) fn failed(replay: &Replay<'_>, from: i64, start: i64, end: i64, code: Code) -> ReplayError {
    let topic = replay.topic.to_owned();
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => {
            ReplayError::Truncated { topic, partition: replay.partition, from, start, end }
        }
        Code::TopicAuthorizationFailed => ReplayError::Denied { topic },
        code => unavailable(replay, &KafkaError::MessageConsumption(code)),
    }
}

pub(super) fn unavailable(replay: &Replay<'_>, error: &KafkaError) -> ReplayError {
    let (topic, partition) = (replay.topic.to_owned(), replay.partition);
    ReplayError::Unavailable { topic, partition, reason: error.to_string() }
}

pub(super) fn check(cancelled: &AtomicBool) -> Result<(), ReplayError> {
    if cancelled.load(Relaxed) { Err(ReplayError::Cancelled) } else { Ok(()) }
}

fn pause(wait: Duration, cancelled: &AtomicBool) -> Result<(), ReplayError> {
    std::thread::sleep(wait);
    check(cancelled)
}
