//! A worker's producer, and what its callbacks note down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{Message, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::statistics::{Partition, Statistics};

use super::SendError;
use super::client::{locked, log_line};
use crate::origin::Origin;
use crate::repeated::Repeated;

/// Shared with a call of it that never returns (see `commit/watchdog.rs`).
pub type Sender = Arc<BaseProducer<SenderContext>>;

/// A record on its way, with its [`Origin`].
pub type Sent<'a, K, V> = BaseRecord<'a, K, V, usize>;

/// How long a full queue is waited for without a word.
const QUIET: Duration = Duration::from_secs(2);
static FULL: Repeated = Repeated::new();

/// # Errors
/// When the client library does not take the configuration.
pub fn new_sender(config: &ClientConfig) -> KafkaResult<Sender> {
    let transactional = config.get("transactional.id").is_some();
    config.create_with_context(SenderContext { transactional, ..SenderContext::default() }).map(Arc::new)
}

/// Hands a record to the producer, which copies it; waits while its queue is
/// full and calls `waiting` meanwhile.
///
/// # Errors
/// Why the producer does not take it. [`Code::QueueFull`]: it is larger than the
/// whole queue. [`Code::PurgeQueue`]: its transaction cannot be committed any more.
pub fn offer<K: ToBytes + ?Sized, V: ToBytes + ?Sized>(
    sender: &Sender,
    mut record: Sent<'_, K, V>,
    waiting: &dyn Fn(),
) -> Result<(), Code> {
    let mut since = None;
    while let Err((error, unsent)) = sender.send(record) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        if code != Code::QueueFull {
            return Err(code);
        }
        // Its report may still be in the queue of events.
        sender.poll(Duration::ZERO);
        let queued = sender.in_flight_count();
        if queued == 0 && since.is_some() {
            return Err(code);
        }
        let context = sender.context();
        if context.transactional && context.has_failed() {
            return Err(Code::PurgeQueue);
        }
        let since = *since.get_or_insert_with(Instant::now);
        if since.elapsed() >= QUIET
            && let Some(suppressed) = FULL.line()
        {
            tracing::warn!(
                topic = unsent.topic,
                queued,
                trouble = context.trouble(),
                suppressed,
                "the producer's queue is full; waiting until brokers acknowledge outputs"
            );
        }
        waiting();
        // Not `poll` with a timeout: below a millisecond rdkafka's spins.
        std::thread::sleep(Duration::from_millis(1));
        record = unsent;
    }
    Ok(())
}

/// As [`offer`], where nothing is to be done about a refusal.
///
/// # Errors
/// [`SendError::Undeliverable`] when the producer does not take it.
pub fn send<K: ToBytes + ?Sized, V: ToBytes + ?Sized>(
    sender: &Sender,
    record: Sent<'_, K, V>,
) -> Result<(), SendError> {
    let topic = record.topic.to_owned();
    offer(sender, record, &|| {}).map_err(|code| SendError::Undeliverable { topic, reason: code.to_string() })
}

/// Outputs that failed alike: all of a batch that was refused as a whole.
#[derive(Clone, Debug)]
pub struct Failed {
    pub topic: String,
    /// -1 where none was chosen yet.
    pub partition: i32,
    pub code: Code,
    pub origins: Vec<Origin>,
}

/// What a producer's callbacks note down.
#[derive(Default)]
pub struct SenderContext {
    transactional: bool,
    /// Spares those who ask often the lock.
    failed: AtomicBool,
    failures: Mutex<Vec<Failed>>,
    /// The client library's last words about a broker.
    trouble: Mutex<Option<String>>,
    /// Topics with outputs that brokers have not acknowledged, as of the last statistics.
    waiting: Mutex<Vec<String>>,
}

impl SenderContext {
    /// The first output that failed for good, if any.
    ///
    /// # Errors
    /// [`SendError::Undeliverable`], or [`SendError::Denied`] for lack of a right.
    pub fn check(&self) -> Result<(), SendError> {
        match locked(&self.failures).first() {
            None => Ok(()),
            Some(Failed {
                code: code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed), ..
            }) => Err(SendError::Denied(KafkaError::MessageProduction(*code))),
            Some(Failed { topic, code, .. }) => {
                Err(SendError::Undeliverable { topic: topic.clone(), reason: code.to_string() })
            }
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.transactional
    }

    /// Whether an output failed since [`SenderContext::take_failures`].
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// What the client library said last of a broker that does not answer.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    /// The topics of outputs that brokers have not acknowledged, as of the client
    /// library's last statistics: at most a second ago, where it is polled.
    pub fn waits_for(&self) -> String {
        locked(&self.waiting).join(", ")
    }

    /// What failed since the last time. To be asked once a `poll` has returned:
    /// the reports of one batch come together.
    pub fn take_failures(&self) -> Vec<Failed> {
        self.failed.store(false, Ordering::Release);
        std::mem::take(&mut *locked(&self.failures))
    }

    /// An output of `origin` failed.
    pub fn note(&self, topic: &str, partition: i32, code: Code, origin: Origin) {
        let mut failures = locked(&self.failures);
        let alike =
            |failed: &&mut Failed| failed.partition == partition && failed.code == code && failed.topic == topic;
        match failures.iter_mut().find(alike) {
            Some(failed) => failed.origins.push(origin),
            None => failures.push(Failed { topic: topic.to_owned(), partition, code, origins: vec![origin] }),
        }
        self.failed.store(true, Ordering::Release);
    }
}

impl ClientContext for SenderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // It names the topic that a transaction does not take; the error does not.
        if facility == "ADDPARTS" {
            *locked(&self.trouble) = Some(line.to_owned());
        }
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        *locked(&self.trouble) = Some(reason.to_owned());
    }

    fn stats(&self, statistics: Statistics) {
        let waits = |of: &Partition| of.msgq_cnt + of.xmit_msgq_cnt + of.msgs_inflight > 0;
        let topics = statistics.topics.into_iter().filter(|(_, topic)| topic.partitions.values().any(waits));
        let mut topics: Vec<String> = topics.map(|(name, _)| name).collect();
        topics.sort_unstable();
        *locked(&self.waiting) = topics;
    }
}

impl ProducerContext for SenderContext {
    /// Of a report that never comes, as for what is delivered, nothing leaks.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        if let Err((error, record)) = result {
            let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
            // An aborted transaction takes its outputs back.
            if !matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
                self.note(record.topic(), record.partition(), code, Origin::from_opaque(opaque));
            }
        }
    }
}
