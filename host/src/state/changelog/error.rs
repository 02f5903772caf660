//! Errors, named by their consequence; each says what to do.

use std::time::Duration;

use rdkafka::error::KafkaError;

use super::codec::Malformed;
use crate::state::StateError;

/// Why a host does not start with its changelog topics as they are.
#[derive(Debug, thiserror::Error)]
pub enum ChangelogError {
    #[error(
        "stage {first} and stage {second} would share the changelog topic `{topic}`: rename one of the stages or pipelines"
    )]
    Shared { topic: String, first: String, second: String },
    #[error(
        "topic `{topic}` is the {role} of pipeline `{pipeline}` and would be the changelog of stage {owner}: name another {role}, or rename the stage"
    )]
    Taken { topic: String, role: &'static str, pipeline: String, owner: String },
    #[error(
        "changelog topic `{topic}` has {found} partitions, and its source topic `{source_topic}` has {wanted}: entries would be looked for in the wrong partition. With no host running, write them to a file with `gregor state export` (pipeline `{pipeline}`, stage `{stage}`), delete `{topic}`, and read them back with `gregor state import`"
    )]
    Partitions { topic: String, source_topic: String, pipeline: String, stage: String, found: i32, wanted: i32 },
    #[error(
        "changelog topic `{topic}` has {setting}={found}, with which {consequence}: run `kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {topic} --add-config {setting}={wanted}`"
    )]
    Setting {
        topic: String,
        servers: String,
        setting: &'static str,
        found: String,
        wanted: String,
        consequence: &'static str,
    },
    #[error("the brokers do not let this principal {act} changelog topic `{topic}`: {remedy}")]
    Denied { topic: String, act: &'static str, remedy: String },
    #[error("changelog topic `{topic}` could not be created ({reason}): create it with `{command}`")]
    NotCreated { topic: String, reason: String, command: String },
    #[error(
        "the brokers at {servers} did not answer for changelog topic `{topic}` within {waited:?} ({reason}): check that they run and that `bootstrap.servers` in [kafka] names them"
    )]
    Unreachable { topic: String, servers: String, waited: Duration, reason: String },
    #[error("the Kafka client refused its configuration: {0}")]
    Client(KafkaError),
}

/// Why a store did not get its entries back. What was loaded so far is no
/// state of any moment: it is never to be served.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Wipe the store and replay from the changelog's start.
    #[error(
        "the store needs changelog offsets from {from}, and {topic}-{partition} holds {start} to {end}: it is to be rebuilt from the whole changelog"
    )]
    Truncated { topic: String, partition: i32, from: i64, start: i64, end: i64 },
    /// Wipe the store and replay from the changelog's start.
    #[error(
        "the store is older than deletions are kept in {topic}-{partition} (`delete.retention.ms`): it is to be rebuilt from the whole changelog"
    )]
    Outdated { topic: String, partition: i32 },
    /// To be tried again.
    #[error(
        "a transaction is open in {topic}-{partition} since before offset {end} (stable up to {stable}) for {waited:?}; the brokers end it after its producer's `transaction.timeout.ms`"
    )]
    Unstable { topic: String, partition: i32, stable: i64, end: i64, waited: Duration },
    /// To be tried again.
    #[error("{topic}-{partition} cannot be read: {reason}")]
    Unavailable { topic: String, partition: i32, reason: String },
    #[error("the brokers deny it: grant this principal Read and Describe on topic `{topic}`")]
    Denied { topic: String },
    #[error(
        "the record at {topic}-{partition}, offset {offset}, is no entry of a changelog: {problem}. Run the version of Gregor that wrote it; or find out what else writes to the topic and end that, delete the topic and rebuild the state from its source"
    )]
    Malformed { topic: String, partition: i32, offset: i64, problem: Malformed },
    #[error("{0}")]
    Store(#[from] StateError),
    #[error("the Kafka client refused its configuration: {0}")]
    Client(KafkaError),
    #[error("the replay was cancelled")]
    Cancelled,
}

impl ReplayError {
    /// Whether the same replay may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            ReplayError::Unstable { .. } | ReplayError::Unavailable { .. } => true,
            ReplayError::Store(error) => error.is_retriable(),
            _ => false,
        }
    }

    /// Whether the store is to be wiped and filled from the whole changelog.
    pub fn needs_rebuild(&self) -> bool {
        matches!(
            self,
            ReplayError::Truncated { .. } | ReplayError::Outdated { .. } | ReplayError::Store(StateError::Damaged(_))
        )
    }
}
