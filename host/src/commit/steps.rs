//! Steps of a commit that both guarantees share.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::Committed;
use crate::error::WorkerError;
use crate::state::{StateError, changelog};
use crate::task::Task;
use crate::worker::{self, Sender, Uncommitted};

/// How long one try to flush may hold the worker before it polls again.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// How often a flush looks for outputs that were refused.
const FLUSH_TURN: Duration = Duration::from_millis(100);

/// Why the changes of a task are not all sent.
pub(super) enum Unsent {
    State(StateError),
    Output(WorkerError),
}

impl From<StateError> for Unsent {
    fn from(error: StateError) -> Unsent {
        Unsent::State(error)
    }
}

/// One changelog record for each entry that the interval changed.
pub(super) fn send_changes(sender: &Sender, task: &mut Task, now_ms: u64) -> Result<(), Unsent> {
    let partition = task.id.partition;
    task.changes(now_ms, |plan, position, key, entry| {
        let Some(topic) = &plan.changelog else { return Ok(()) };
        let header = changelog::encode(entry, position);
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: "gregor", value: Some(&header) });
        let record = BaseRecord::<str, [u8]>::to(topic).partition(partition).key(key).headers(headers);
        let record = match entry {
            Some(entry) => record.payload(&entry.value),
            None => record,
        };
        worker::send(sender, record).map_err(Unsent::Output)
    })
}

pub(super) fn offsets(tasks: &[&mut Task]) -> Result<TopicPartitionList, WorkerError> {
    offsets_of(&tasks.iter().map(|task| &**task).collect::<Vec<_>>())
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

/// Waits until every output is acknowledged; false if the brokers take too long.
pub(super) fn flush(sender: &Sender) -> Result<bool, WorkerError> {
    let deadline = Instant::now() + FLUSH_PATIENCE;
    loop {
        let flushed = worker::flush(sender, FLUSH_TURN);
        sender.poll(Duration::ZERO);
        sender.context().check()?;
        if flushed || Instant::now() >= deadline {
            return Ok(flushed);
        }
    }
}

/// Takes the tasks whose offsets are not committed out of `tasks`: the others go
/// on. Their next commit has it all.
pub(super) fn leave_uncommitted(tasks: &mut Vec<&mut Task>, failed: &[Uncommitted]) {
    for (id, code) in failed {
        let Some(task) = tasks.iter_mut().find(|task| task.id == *id) else { continue };
        if task.left_uncommitted() {
            tracing::error!(
                partition = %id, position = task.position().next, %code,
                "the offset of {id} is not committed, those of other partitions are. Where its topic was deleted, \
                 create it again or take its pipeline out of the configuration"
            );
        }
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
            tracing::warn!(%error, "offsets are not committed yet; trying again");
            Ok(Committed::Pending)
        }
    }
}
