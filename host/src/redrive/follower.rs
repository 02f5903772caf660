//! Reads the redrive topics, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};

use super::request::Entry;
use super::requests::Requests;
use super::retrieval::Retrieval;
use crate::kafka::{Arrival, PartitionReader, Quiet, reader_config};

/// One question to the brokers.
const ASK: Duration = Duration::from_secs(5);
/// How often it looks for topics and partitions that are new: a redrive topic
/// is created with the first redrive.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks at partitions that gave nothing.
const IDLE: Duration = Duration::from_millis(50);
/// How long the end of the host waits for the thread.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where a partition begins, whatever was compacted away.
const BEGINNING: i64 = -2;
/// KiB that the client fetches ahead, of all topics together.
const FETCHED_AHEAD: &str = "8192";

/// The thread, until dropped.
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// One pipeline's redrive topic.
struct Followed<'a> {
    pipeline: String,
    topic: String,
    partitions: Vec<Partition<'a>>,
}

struct Partition<'a> {
    reader: PartitionReader<'a>,
    /// The offset after what was read.
    next: i64,
}

/// Ends that the pages have to reach before a ticket is answered.
struct Wanted {
    ticket: u64,
    /// By topic and partition.
    ends: Vec<Vec<i64>>,
}

impl Follower {
    /// Follows the redrive topics of `pipelines`, each with its name and topic.
    ///
    /// # Errors
    /// When there is no thread left.
    pub fn start(
        client: ClientConfig,
        pipelines: Vec<(String, String)>,
        requests: Arc<Requests>,
    ) -> std::io::Result<Follower> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = follow(&client, &pipelines, &requests, &stopped) {
                    tracing::warn!(%error, "redrive topics cannot be read; trying again");
                }
                requests.forget();
                pause(LOOK, &stopped);
            }
        };
        let thread = std::thread::Builder::new().name("redrive".into()).spawn(run)?;
        Ok(Follower { stop, thread })
    }
}

impl Drop for Follower {
    /// Waits for the thread, but not for brokers that do not answer.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let since = Instant::now();
        while !self.thread.is_finished() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn pause(wait: Duration, stopped: &AtomicBool) {
    let until = Instant::now() + wait;
    while Instant::now() < until && !stopped.load(Ordering::Relaxed) {
        std::thread::sleep(IDLE);
    }
}

/// Reads until told to stop, or until a topic has to be read from its beginning.
fn follow(
    client: &ClientConfig,
    pipelines: &[(String, String)],
    requests: &Requests,
    stopped: &AtomicBool,
) -> KafkaResult<()> {
    // Asked for topics and the end of what anyone wrote; reads nothing.
    let everything: BaseConsumer<Quiet> = reader_config(client, "read_uncommitted").create_with_context(Quiet)?;
    if !wait_for_any(pipelines, &everything, requests, stopped) {
        return Ok(());
    }
    let mut following = reader_config(client, "read_committed");
    following.set("queued.max.messages.kbytes", FETCHED_AHEAD);
    let committed: BaseConsumer<Quiet> = following.create_with_context(Quiet)?;
    let mut retrieval: Option<Retrieval> = None;
    let followed = |(pipeline, topic): &(String, String)| Followed {
        pipeline: pipeline.clone(),
        topic: topic.clone(),
        partitions: Vec::new(),
    };
    let mut topics: Vec<Followed<'_>> = pipelines.iter().map(followed).collect();
    let mut looked: Option<Instant> = None;
    let mut wanted: Option<Wanted> = None;
    while !stopped.load(Ordering::Relaxed) {
        // Serves the client's own lines and errors.
        drop(committed.poll(Duration::ZERO));
        drop(everything.poll(Duration::ZERO));
        let ticket = requests.unanswered().filter(|_| wanted.is_none());
        if ticket.is_some() || looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            let mut known = true;
            for topic in &mut topics {
                known &= topic.look(&committed, &everything, requests)?;
            }
            looked = Some(Instant::now());
            if let (true, Some(ticket)) = (known, ticket) {
                wanted = wants(ticket, &topics, &everything);
            }
        }
        let mut quiet = true;
        for topic in &mut topics {
            quiet &= topic.read(requests)?;
        }
        while let Some((pipeline, partition, offset)) = requests.wanted()
            && !stopped.load(Ordering::Relaxed)
        {
            quiet = false;
            let Some(topic) = topics.iter().find(|topic| topic.pipeline == pipeline) else { continue };
            let retrieval = match &mut retrieval {
                Some(retrieval) => retrieval,
                none => none.insert(Retrieval::new(client)?),
            };
            retrieval.fetch(requests, &topic.topic, (&pipeline, partition, offset))?;
        }
        if let Some(reached) = wanted.take_if(|wanted| wanted.reached(&topics)) {
            requests.answer(reached.ticket);
        }
        if quiet {
            std::thread::sleep(IDLE);
        }
    }
    Ok(())
}

/// Waits for the first redrive of any pipeline, as most hosts never see one;
/// false once told to stop.
fn wait_for_any(
    pipelines: &[(String, String)],
    everything: &BaseConsumer<Quiet>,
    requests: &Requests,
    stopped: &AtomicBool,
) -> bool {
    let mut looked: Option<Instant> = None;
    while !stopped.load(Ordering::Relaxed) {
        drop(everything.poll(Duration::ZERO));
        let ticket = requests.unanswered();
        if ticket.is_some() || looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            let counts: Vec<_> = pipelines.iter().map(|(_, topic)| partitions(everything, topic)).collect();
            if counts.iter().flatten().any(|count| *count > 0) {
                return true;
            }
            looked = Some(Instant::now());
            if let (true, Some(ticket)) = (counts.iter().all(Option::is_some), ticket) {
                requests.answer(ticket);
            }
        }
        std::thread::sleep(IDLE);
    }
    false
}

/// How many partitions a topic has, 0 where there is none or this host may not
/// know of it; `None` while the brokers do not tell.
fn partitions(everything: &BaseConsumer<Quiet>, topic: &str) -> Option<usize> {
    let metadata = everything.fetch_metadata(Some(topic), ASK).ok()?;
    let found = metadata.topics().first()?;
    match found.error().map(Code::from) {
        None => Some(found.partitions().len()),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::TopicAuthorizationFailed) => Some(0),
        Some(_) => None,
    }
}

/// Nothing while a broker does not tell: the next round asks again.
fn wants(ticket: u64, topics: &[Followed<'_>], everything: &BaseConsumer<Quiet>) -> Option<Wanted> {
    let end = |topic: &str, partition: usize| Some(everything.fetch_watermarks(topic, partition as i32, ASK).ok()?.1);
    let ends =
        |topic: &Followed<'_>| (0..topic.partitions.len()).map(|partition| end(&topic.topic, partition)).collect();
    Some(Wanted { ticket, ends: topics.iter().map(ends).collect::<Option<_>>()? })
}

impl Wanted {
    fn reached(&self, topics: &[Followed<'_>]) -> bool {
        let all = |(ends, topic): (&Vec<i64>, &Followed<'_>)| {
            ends.iter().zip(&topic.partitions).all(|(end, partition)| partition.next >= *end)
        };
        self.ends.iter().zip(topics).all(all)
    }
}

impl<'a> Followed<'a> {
    /// Begins to read partitions that are new; whether it is known which there are.
    fn look(
        &mut self,
        committed: &'a BaseConsumer<Quiet>,
        everything: &BaseConsumer<Quiet>,
        requests: &Requests,
    ) -> KafkaResult<bool> {
        let Some(count) = partitions(everything, &self.topic) else { return Ok(false) };
        if count < self.partitions.len() {
            tracing::warn!(
                topic = self.topic,
                "the redrive topic is another one than before; reading it from its beginning"
            );
            return Err(rdkafka::error::KafkaError::MessageConsumption(Code::UnknownPartition));
        }
        for partition in self.partitions.len()..count {
            // Marks of what was done already may come after the requests.
            requests.doubt();
            let reader = PartitionReader::start(committed, &self.topic, partition as i32, BEGINNING)?;
            self.partitions.push(Partition { reader, next: 0 });
        }
        Ok(true)
    }

    /// Takes in what has arrived; whether that was nothing.
    fn read(&mut self, requests: &Requests) -> KafkaResult<bool> {
        let mut quiet = true;
        for (number, partition) in (0..).zip(&mut self.partitions) {
            let next = &mut partition.next;
            partition.reader.poll(Duration::ZERO, |arrival| {
                match arrival {
                    Arrival::Record(record) => {
                        quiet = false;
                        *next = record.offset() + 1;
                        match Entry::read(record.key(), record.value(), record.headers()) {
                            Some(entry) => requests.take(&self.pipeline, number, record.offset(), entry),
                            None => tracing::warn!(
                                topic = self.topic,
                                partition = number,
                                offset = record.offset(),
                                "a record of the redrive topic is no request of gregor's; left out"
                            ),
                        }
                    }
                    // Markers and what was aborted or compacted take offsets too.
                    Arrival::End(offset) => *next = (*next).max(offset),
                    Arrival::Failed(
                        code @ (Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::UnknownPartition),
                    ) => return Err(rdkafka::error::KafkaError::MessageConsumption(code)),
                    // The client keeps trying.
                    Arrival::Failed(code) => {
                        tracing::debug!(topic = self.topic, partition = number, %code, "not read yet")
                    }
                }
                Ok(())
            })?;
        }
        Ok(quiet)
    }
}
