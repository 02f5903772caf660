//! Letters that are not in memory, read again when their turn comes; and the records
//! in the source of letters that do not hold them.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};

use super::request::{Entry, Request};
use super::requests::Requests;
use crate::kafka::{Arrival, Arrived, PartitionReader, Quiet, reader_config};

/// How long a record is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// One wait for records.
const TURN: Duration = Duration::from_millis(100);

/// A client of its own, as the follower's reads each partition on.
pub struct Retrieval {
    client: BaseConsumer<Quiet>,
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// All was read, or as much as was asked for.
    Done,
    /// Nothing stands at that offset.
    Gone,
    /// The brokers did not answer in time.
    Late,
}

impl Retrieval {
    /// # Errors
    /// When the client library refuses the configuration.
    pub fn new(client: &ClientConfig) -> KafkaResult<Retrieval> {
        let mut config = reader_config(client, "read_committed");
        config.set("queued.max.messages.kbytes", "4096").set("fetch.wait.max.ms", "50");
        Ok(Retrieval { client: config.create_with_context(Quiet)? })
    }

    /// Reads the request at `offset` of a redrive topic, and those after it as far as
    /// there is room.
    ///
    /// # Errors
    /// When the client cannot read the partition.
    pub fn fetch(
        &self,
        requests: &Requests,
        topic: &str,
        (pipeline, partition, offset): (&str, i32, i64),
    ) -> KafkaResult<()> {
        let mut without_record = None;
        let read = self.read(topic, partition, offset, |record| {
            let is_wanted = record.offset() == offset;
            match Entry::read(record.key(), record.value(), record.headers()) {
                Some(Entry::Request(request)) if request.letter.truncated.is_some() => {
                    without_record = Some(*request).filter(|_| is_wanted);
                    !is_wanted
                }
                Some(Entry::Request(request)) => requests.hold(pipeline, partition, *request, is_wanted),
                _ => true,
            }
        })?;
        if read == Read::Gone {
            tracing::error!(topic, partition, offset, "the request to redrive a dead letter is gone; leaving it out");
            requests.leave_out(pipeline, partition, offset);
        }
        match without_record {
            Some(request) => self.complete(requests, (pipeline, partition, offset), request),
            None => Ok(()),
        }
    }

    /// Reads the record that `request` stands for, where it stands in the source.
    fn complete(
        &self,
        requests: &Requests,
        (pipeline, partition, offset): (&str, i32, i64),
        request: Request,
    ) -> KafkaResult<()> {
        let Request { key, letter } = request;
        let (topic, of_source) = (letter.topic.clone(), letter.partition);
        let Some(position) = letter.offset() else {
            requests.leave_out(pipeline, partition, offset);
            return Ok(());
        };
        let mut whole = None;
        let read = self.read(&topic, of_source, position, |record| {
            if record.offset() == position {
                whole = letter.clone().completed(record.key(), record.value(), record.headers());
            }
            false
        })?;
        match whole {
            Some(letter) => {
                requests.hold(pipeline, partition, Request { key, letter }, true);
            }
            // The worker asks for it again.
            None if read == Read::Late => {}
            None => {
                tracing::error!(
                    pipeline,
                    topic,
                    partition = of_source,
                    offset = position,
                    "cannot redrive a truncated dead letter: its source topic does not hold the record any more, or \
                     holds another one at its offset; leaving it out",
                );
                requests.leave_out(pipeline, partition, offset);
            }
        }
        Ok(())
    }

    /// Gives `take` the records from `from` on until it has enough, up to what stands there now.
    fn read(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        mut take: impl FnMut(&Arrived<'_>) -> bool,
    ) -> KafkaResult<Read> {
        let mut reader = PartitionReader::start(&self.client, topic, partition, from)?;
        let deadline = Instant::now() + PATIENCE;
        let (mut ended, mut short) = (None, false);
        while ended.is_none() && Instant::now() < deadline {
            // Serves the client's own lines and errors.
            drop(self.client.poll(Duration::ZERO));
            let polled: Result<(), Infallible> = reader.poll(TURN, |arrival| {
                match arrival {
                    _ if ended.is_some() => {}
                    Arrival::Record(record) if take(&record) => {}
                    Arrival::Record(_) => ended = Some(Read::Done),
                    Arrival::End(end) if end > from => ended = Some(Read::Done),
                    // A new leader that still catches up reports an end too early.
                    Arrival::End(_) => short = true,
                    Arrival::Failed(
                        Code::AutoOffsetReset
                        | Code::OffsetOutOfRange
                        | Code::UnknownPartition
                        | Code::UnknownTopic
                        | Code::UnknownTopicOrPartition,
                    ) => ended = Some(Read::Gone),
                    // The client keeps trying.
                    Arrival::Failed(_) => {}
                }
                Ok(())
            });
            let Ok(()) = polled;
        }
        Ok(ended.unwrap_or(if short { Read::Gone } else { Read::Late }))
    }
}
