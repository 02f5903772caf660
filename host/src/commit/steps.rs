//! Steps of a commit.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::Committed;
use crate::commit::WorkerError;
use crate::kafka::{self, Member, Sender, Sent, Uncommitted};
use crate::origin::{Kind, Origin};
use crate::repeated::Repeated;
use crate::state::{StateError, changelog};
use crate::task::Task;

/// How long one try to flush may hold the worker before it polls again.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// How often a flush looks for outputs that were refused.
const FLUSH_TURN: Duration = Duration::from_millis(100);
/// How long a group's coordinator may take before the log says that a commit waits for it.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// Why the changes of a task are not all sent.
pub(super) enum Unsent {
    State(StateError),
    /// The producer does not take an entry.
    Refused {
        topic: String,
        code: RDKafkaErrorCode,
        origin: Origin,
    },
}

static WAITING: Repeated = Repeated::new();
static LATE: Repeated = Repeated::new();
static COMMITTING: Repeated = Repeated::new();

impl From<StateError> for Unsent {
    fn from(error: StateError) -> Unsent {
        Unsent::State(error)
    }
}

/// One changelog record for each entry that the interval changed.
pub(super) fn send_changes(sender: &Sender, task: &mut Task, now_ms: u64, waiting: &dyn Fn()) -> Result<(), Unsent> {
    let partition = task.id.partition;
    let origin = Origin::new(Kind::Changelog, 0).in_task(task.slot());
    task.changes(now_ms, |plan, position, key, entry| {
        let Some(topic) = &plan.changelog else { return Ok(()) };
        let header = changelog::encode(entry, position);
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: "gregor", value: Some(&header) });
        let record: Sent<'_, str, [u8]> = BaseRecord::with_opaque_to(topic, origin.to_opaque());
        let record = record.partition(partition).key(key).headers(headers);
        let record = match entry {
            Some(entry) => record.payload(&entry.value),
            None => record,
        };
        kafka::offer(sender, record, waiting).map_err(|code| Unsent::Refused { topic: topic.to_string(), code, origin })
    })
}

pub(super) fn offsets_of(tasks: &[&Task]) -> Result<TopicPartitionList, WorkerError> {
    let mut offsets = TopicPartitionList::with_capacity(tasks.len());
    for task in tasks {
        let position = task.position();
        let mut element = offsets.add_partition(&task.id.topic, task.id.partition);
        element.set_offset(Offset::Offset(position.next)).map_err(WorkerError::Client)?;
        let metadata = task.metadata();
        if !metadata.is_empty() {
            element.set_metadata(metadata);
        }
    }
    Ok(offsets)
}

/// Waits until every output is acknowledged or refused; false if the brokers
/// take too long.
pub(super) fn flush(sender: &Sender) -> bool {
    let deadline = Instant::now() + FLUSH_PATIENCE;
    loop {
        let flushed = kafka::flush(sender, FLUSH_TURN);
        sender.poll(Duration::ZERO);
        let outputs = sender.in_flight_count();
        // One that failed counts until its report is polled.
        if flushed || outputs == 0 {
            return true;
        }
        if Instant::now() >= deadline {
            if let Some(suppressed) = WAITING.line() {
                tracing::warn!(
                    outputs,
                    topics = sender.context().waits_for(),
                    trouble = sender.context().trouble(),
                    suppressed,
                    "the commit waits until brokers acknowledge outputs; no further record is processed"
                );
            }
            return false;
        }
    }
}

/// Waits until the brokers say which of `offsets` are committed.
///
/// # Errors
/// When none is.
pub(super) fn commit_offsets(member: &Member, offsets: &TopicPartitionList) -> Result<Vec<Uncommitted>, KafkaError> {
    kafka::commit(member, offsets, COMMIT_PATIENCE, || {
        if let Some(suppressed) = LATE.line() {
            tracing::warn!(
                suppressed,
                "the commit waits until the group's coordinator takes its offsets; no further record is processed"
            );
        }
    })
}

/// Takes the tasks whose offsets are not committed out of `tasks`: the others go
/// on. Their next commit has it all.
pub(super) fn leave_uncommitted(tasks: &mut Vec<&mut &mut Task>, failed: &[Uncommitted]) {
    for (id, code) in failed {
        let Some(task) = tasks.iter_mut().find(|task| task.id == *id) else { continue };
        if task.left_uncommitted() {
            tracing::error!(
                partition = %id, position = task.position().next, %code,
                "the offset of {id} is not committed, those of other partitions are. Where its topic was deleted, \
                 create it again or take its pipeline out of the configuration"
            );
        }
        // Further records join its next commit.
        task.send_again();
    }
    tasks.retain(|task| !failed.iter().any(|(id, _)| *id == task.id));
}

/// Fatal, refused, or to be tried again.
pub(super) fn classify(error: KafkaError) -> Result<Committed, WorkerError> {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::FencedInstanceId | Code::Fatal | Code::Fenced) => Err(WorkerError::Fenced(error)),
        Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed) => Err(WorkerError::Denied(error)),
        // A rebalance that is about to be announced to the next poll.
        Some(Code::IllegalGeneration | Code::RebalanceInProgress | Code::UnknownMemberId) => {
            tracing::debug!(%error, "offsets are not committed: the group is being rebalanced");
            Ok(Committed::Refused)
        }
        _ => {
            if let Some(suppressed) = COMMITTING.line() {
                tracing::warn!(%error, suppressed, "the brokers do not take the offsets yet; trying again");
            }
            Ok(Committed::Pending)
        }
    }
}
