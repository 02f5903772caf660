//! Why a worker ends; each error says what to do.

use rdkafka::error::KafkaError;

/// Why a worker cannot go on. Nothing is lost: the process ends with offsets
/// committed only up to what was delivered.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("{0}")]
    Client(KafkaError),
    #[error("the group does not take this member any more ({0})")]
    Fenced(KafkaError),
    #[error(
        "another process takes over this worker's transactional id again and again: two hosts have the same `host.id`; give each one of its own"
    )]
    SameName,
    #[error(
        "the brokers deny it ({0}): grant this principal Read on its source topics and its group, and Write on its output topics, for instance with `kafka-acls.sh --add --allow-principal User:NAME --operation Read --topic TOPIC --group APP`"
    )]
    Denied(KafkaError),
    #[error("the state of {partition} cannot be opened: {problem}")]
    State { partition: String, problem: String },
    #[error(
        "topic {topic} has more than the {from} partitions it had at start, and pipeline `{pipeline}` keeps state: its keys have moved away from their state. See `gregor state export` and `import` in docs/operations.md"
    )]
    Grown { topic: String, from: i32, pipeline: String },
    #[error(
        "the brokers refuse transactions of {ours} ms, their transaction.max.timeout.ms is lower: raise that setting of the brokers, or set `\"transaction.timeout.ms\"` in [kafka] to at most that, and above delivery.commit-interval"
    )]
    TransactionTimeout { ours: String },
    #[error("it panicked")]
    Panicked,
}
