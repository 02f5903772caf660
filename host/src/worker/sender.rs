//! A worker's producer, and what its callbacks note down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Message, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::client::{locked, log_line};
use crate::error::WorkerError;

/// Shared with a call of it that never returns (see `commit/watchdog.rs`).
pub type Sender = Arc<BaseProducer<SenderContext>>;

/// # Errors
/// When the client library does not take the configuration.
pub fn new_sender(config: &ClientConfig) -> KafkaResult<Sender> {
    config.create_with_context(SenderContext::default()).map(Arc::new)
}

/// Hands a record to the producer, which copies it; waits while its queue is full.
///
/// # Errors
/// [`WorkerError::Undeliverable`] when the producer does not take it.
pub fn send<K: ToBytes + ?Sized, V: ToBytes + ?Sized>(
    sender: &Sender,
    mut record: BaseRecord<'_, K, V>,
) -> Result<(), WorkerError> {
    while let Err((error, unsent)) = sender.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(WorkerError::Undeliverable { topic: unsent.topic.to_owned(), reason: error.to_string() });
        }
        // Not `poll` with a timeout: below a millisecond rdkafka's spins.
        std::thread::sleep(Duration::from_millis(1));
        sender.poll(Duration::ZERO);
        sender.context().check()?;
        record = unsent;
    }
    Ok(())
}

/// What a producer's callbacks note down.
#[derive(Default)]
pub struct SenderContext {
    failed: AtomicBool,
    failure: Mutex<Option<(String, RDKafkaErrorCode)>>,
}

impl SenderContext {
    /// The first output that the brokers refused for good, if any.
    ///
    /// # Errors
    /// [`WorkerError::Undeliverable`], or [`WorkerError::Denied`] for lack of a right.
    pub fn check(&self) -> Result<(), WorkerError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        locked(&self.failure).clone().map_or(Ok(()), |failure| Err(undeliverable(failure)))
    }

    /// Whether an output failed since [`SenderContext::take_refusal`].
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Under exactly once: forgets what failed with a transaction, unless it
    /// would fail with every other one too.
    ///
    /// # Errors
    /// As [`SenderContext::check`], for what can never be delivered.
    pub fn take_refusal(&self) -> Result<(), WorkerError> {
        use RDKafkaErrorCode as Code;
        self.failed.store(false, Ordering::Release);
        match locked(&self.failure).take() {
            Some(
                failure @ (
                    _,
                    Code::MessageSizeTooLarge
                    | Code::TopicAuthorizationFailed
                    | Code::ClusterAuthorizationFailed
                    | Code::UnknownTopicOrPartition
                    | Code::UnknownTopic
                    | Code::UnknownPartition
                    | Code::InvalidRecord
                    | Code::PolicyViolation,
                ),
            ) => Err(undeliverable(failure)),
            _ => Ok(()),
        }
    }
}

fn undeliverable((topic, code): (String, RDKafkaErrorCode)) -> WorkerError {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            WorkerError::Denied(KafkaError::MessageProduction(code))
        }
        code => WorkerError::Undeliverable { topic, reason: code.to_string() },
    }
}

impl ClientContext for SenderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ProducerContext for SenderContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            // An aborted transaction takes its outputs back.
            if matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
                return;
            }
            locked(&self.failure).get_or_insert_with(|| (record.topic().to_owned(), code));
            self.failed.store(true, Ordering::Release);
        }
    }
}
