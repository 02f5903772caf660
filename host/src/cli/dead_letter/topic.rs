//! A topic, read from beginning to end: dead letters, and what was redriven.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;

use super::{Chosen, Place, REFUSED, Refusal};
use crate::cli::brokers::{ASK, Brokers};
use crate::host::HostError;
use crate::kafka::BrokerError;
use crate::kafka::{self, Arrival, Arrived, PartitionReader, Quiet};
use crate::plan::redrive_topic;
use crate::record::Header;
use crate::redrive::{Entry, Key, Letter};

/// The longest wait for records.
const TURN: Duration = Duration::from_millis(100);
/// How long a partition may give nothing: twice the time after which brokers
/// abort a transaction that a host left open.
const SILENCE: Duration = Duration::from_secs(20);

/// A dead letter and where it stands.
pub struct Found {
    pub place: Place,
    pub letter: Letter,
    /// As they stand in the dead-letter topic.
    pub headers: Vec<Header>,
}

/// What the redrive topic knows.
#[derive(Default)]
pub struct Known {
    waiting: HashMap<Key, u64>,
    done: HashSet<u128>,
}

/// Where a dead letter is on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redrive {
    /// Nobody asked for it.
    No,
    /// A host is to do it.
    Waiting,
    Done,
}

impl Redrive {
    pub fn name(self) -> &'static str {
        match self {
            Redrive::No => "-",
            Redrive::Waiting => "waiting",
            Redrive::Done => "done",
        }
    }
}

impl Known {
    pub fn of(&self, letter: &Letter) -> Redrive {
        let key = Key::of(letter);
        if self.done.contains(&key.hash()) {
            Redrive::Done
        } else if self.waiting.contains_key(&key) {
            Redrive::Waiting
        } else {
            Redrive::No
        }
    }

    /// Requests that no host has done yet, and their bytes.
    pub fn waiting(&self) -> (u64, u64) {
        (self.waiting.len() as u64, self.waiting.values().sum())
    }
}

/// Reads topics, with two clients outside any group.
pub struct Reader<'a> {
    chosen: &'a Chosen,
    /// Sees what transactions wrote once they are committed.
    committed: BaseConsumer<Quiet>,
    /// Asked for the end of what anyone wrote; reads nothing.
    everything: BaseConsumer<Quiet>,
    brokers: Brokers<'a>,
}

impl<'a> Reader<'a> {
    /// # Errors
    /// When the client refuses its configuration.
    pub fn new(chosen: &'a Chosen) -> Result<Reader<'a>, HostError> {
        let made = |isolation: &str| {
            let mut client = kafka::base_config(&chosen.config);
            client.remove("group.protocol").remove("group.instance.id").remove("group.id");
            client
                .set("isolation.level", isolation)
                .set("enable.partition.eof", "true")
                .set("enable.auto.commit", "false")
                .set("enable.auto.offset.store", "false")
                .set("fetch.wait.max.ms", "50");
            client.create_with_context(Quiet).map_err(BrokerError::Client)
        };
        let brokers = Brokers::new(&chosen.config);
        let (committed, everything) = (made("read_committed")?, made("read_uncommitted")?);
        Ok(Reader { chosen, committed, everything, brokers })
    }

    /// How many partitions a topic has; `None` where it does not exist.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>, HostError> {
        self.brokers.partitions(&self.everything, topic)
    }

    /// As [`Reader::partitions`], for a topic that there has to be.
    ///
    /// # Errors
    /// When it does not exist, or no broker answers.
    pub fn existing(&self, role: &'static str, topic: &str) -> Result<i32, HostError> {
        let servers = self.chosen.config.kafka.bootstrap_servers().to_owned();
        self.partitions(topic)?
            .ok_or_else(|| BrokerError::MissingTopic { role, topic: topic.to_owned(), servers }.into())
    }

    /// Gives `take` every record of a partition from `from` up to what stands
    /// there now; less once `take` says that it has enough.
    fn read(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        mut take: impl FnMut(&Arrived<'_>) -> bool,
    ) -> anyhow::Result<()> {
        let (low, high) = self.brokers.until(|| self.everything.fetch_watermarks(topic, partition, ASK))?;
        let mut next = from.max(low);
        if next >= high {
            return Ok(());
        }
        let reader = PartitionReader::start(&self.committed, topic, partition, next);
        let mut reader = reader.map_err(|error| HostError::from(BrokerError::Client(error)))?;
        let (mut heard, mut enough) = (Instant::now(), false);
        while next < high && !enough {
            // Serves the client's own lines and errors.
            drop(self.committed.poll(Duration::ZERO));
            let before = next;
            reader
                .poll(TURN, |arrival| {
                    match arrival {
                        Arrival::Record(record) if !enough && record.offset() < high => {
                            next = record.offset() + 1;
                            enough = !take(&record);
                        }
                        Arrival::Record(_) => next = next.max(high),
                        // Markers and what was aborted or compacted take offsets too.
                        Arrival::End(offset) => next = next.max(offset),
                        Arrival::Failed(code @ (Code::TopicAuthorizationFailed | Code::OffsetOutOfRange)) => {
                            return Err(code);
                        }
                        // The client keeps trying.
                        Arrival::Failed(_) => {}
                    }
                    Ok(())
                })
                .map_err(|code| Refusal {
                    code: REFUSED,
                    problem: format!("topic `{topic}` cannot be read: {code}"),
                })?;
            if next > before {
                heard = Instant::now();
            } else if heard.elapsed() > SILENCE {
                let problem = format!(
                    "partition {partition} of topic `{topic}` gives nothing from offset {next} on, and its end is {high}: \
                     a transaction is open, or a broker is away; try again"
                );
                return Err(Refusal { code: REFUSED, problem }.into());
            }
        }
        Ok(())
    }

    /// Every dead letter of the pipeline, partition by partition. Those of other
    /// pipelines and what no host of ours wrote are left out.
    ///
    /// # Errors
    /// When the topic is missing or cannot be read.
    pub fn letters(&self, mut take: impl FnMut(Found) -> bool) -> anyhow::Result<()> {
        let topic = &self.chosen.dead_letters;
        let mut more = true;
        for partition in 0..self.existing("dead-letter", topic)? {
            self.read(topic, partition, 0, |record| {
                if let Some(found) = self.found(partition, record) {
                    more = take(found);
                }
                more
            })?;
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// The dead letter at `place`, if there is one of this pipeline.
    ///
    /// # Errors
    /// When the topic is missing or cannot be read.
    pub fn letter(&self, place: Place) -> anyhow::Result<Option<Found>> {
        let topic = &self.chosen.dead_letters;
        if place.partition >= self.existing("dead-letter", topic)? {
            return Ok(None);
        }
        let mut letter = None;
        self.read(topic, place.partition, place.offset, |record| {
            letter = self.found(place.partition, record).filter(|found| found.place == place);
            false
        })?;
        Ok(letter)
    }

    /// Whether the source holds the record of a letter that is truncated.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn has_record(&self, letter: &Letter) -> anyhow::Result<bool> {
        Ok(self.record(letter)?.is_some())
    }

    /// The letter with what the source holds of its record; `None` where that is not
    /// there any more.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn record(&self, letter: &Letter) -> anyhow::Result<Option<Letter>> {
        let Some(offset) = letter.offset() else { return Ok(None) };
        let mut whole = None;
        self.read(&letter.topic, letter.partition, offset, |record| {
            if record.offset() == offset {
                whole = letter.clone().completed(record.key(), record.value(), record.headers());
            }
            false
        })?;
        Ok(whole)
    }

    fn found(&self, partition: i32, record: &Arrived<'_>) -> Option<Found> {
        let headers = record.headers();
        let letter = Letter::read(record.key(), record.value(), &headers)?;
        let place = Place { partition, offset: record.offset() };
        (letter.pipeline == self.chosen.pipeline).then_some(Found { place, letter, headers })
    }

    /// What was redriven, and what is to be.
    ///
    /// # Errors
    /// When the redrive topic cannot be read; there is none before the first redrive.
    pub fn known(&self) -> anyhow::Result<Known> {
        let topic = redrive_topic(&self.chosen.config.app, &self.chosen.pipeline);
        let mut known = Known::default();
        for partition in 0..self.partitions(&topic)?.unwrap_or(0) {
            self.read(&topic, partition, 0, |record| {
                match Entry::read(record.key(), record.value(), record.headers()) {
                    Some(Entry::Request(request)) if !known.done.contains(&request.key.hash()) => {
                        known.waiting.insert(request.key, request.letter.bytes());
                    }
                    Some(Entry::Done(key)) => {
                        known.waiting.remove(&key);
                        known.done.insert(key.hash());
                    }
                    Some(Entry::Request(_)) | None => {}
                }
                true
            })?;
        }
        Ok(known)
    }
}
