//! The only place that orders durability steps.
//!
//! At least once: outputs are flushed, then offsets are committed, then tasks
//! are told.
//!
//! | crash after | a restart finds | result |
//! |---|---|---|
//! | some outputs sent | offsets of the commit before | records replayed, their outputs repeated |
//! | outputs flushed | the same | the same |
//! | offsets committed | the new offsets | goes on after them |
//!
//! A step that fails changes nothing that an earlier one made durable, so it
//! is tried again with the next commit; what cannot get better ends the worker
//! before offsets pass what was delivered.

use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use crate::error::WorkerError;
use crate::task::Task;
use crate::worker::{self, Member, Sender};

/// How long one try to flush may hold the worker before it polls again.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// How often a flush looks for outputs that were refused.
const FLUSH_TURN: Duration = Duration::from_millis(100);

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Offsets and all before them are durable.
    Done,
    /// Nothing was new.
    Idle,
    /// The brokers did not answer in time, or the group is being rebalanced:
    /// to be tried again.
    NotYet,
}

/// Commits of one worker.
pub struct Committer {
    interval: Duration,
    last: Instant,
}

impl Committer {
    pub fn new(interval: Duration) -> Committer {
        Committer { interval, last: Instant::now() }
    }

    pub fn due(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= self.interval
    }

    /// Time until the next commit is due.
    pub fn remaining(&self, now: Instant) -> Duration {
        self.interval.saturating_sub(now.duration_since(self.last))
    }

    /// Makes everything that `tasks` have settled durable.
    ///
    /// # Errors
    /// When the worker cannot go on: an output was refused for good, the
    /// member is fenced, or the brokers deny it. Offsets are not committed then.
    pub fn commit<'a>(
        &mut self,
        member: &Member,
        sender: &Sender,
        tasks: impl Iterator<Item = &'a mut Task>,
        now_ms: u64,
    ) -> Result<Committed, WorkerError> {
        self.last = Instant::now();
        let mut tasks: Vec<_> = tasks.filter(|task| task.uncommitted().is_some()).collect();
        if tasks.is_empty() {
            return sender.context().check().map(|()| Committed::Idle);
        }
        if !flush(sender)? {
            return Ok(Committed::NotYet);
        }
        let mut offsets = TopicPartitionList::with_capacity(tasks.len());
        for task in &tasks {
            offsets
                .add_partition_offset(&task.id.topic, task.id.partition, Offset::Offset(task.position()))
                .map_err(WorkerError::Client)?;
        }
        if let Err(error) = member.commit(&offsets, CommitMode::Sync) {
            return classify(error);
        }
        for task in &mut tasks {
            task.committed(task.position(), now_ms);
        }
        Ok(Committed::Done)
    }
}

/// Waits until every output is acknowledged; false if the brokers take too long.
fn flush(sender: &Sender) -> Result<bool, WorkerError> {
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

/// Fatal, or to be tried again.
fn classify(error: KafkaError) -> Result<Committed, WorkerError> {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::FencedInstanceId | Code::Fatal | Code::Fenced) => Err(WorkerError::Fenced(error)),
        Some(Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed) => Err(WorkerError::Denied(error)),
        // A rebalance that is about to be announced to the next poll.
        Some(Code::IllegalGeneration | Code::RebalanceInProgress | Code::UnknownMemberId) => {
            tracing::debug!(%error, "offsets are not committed: the group is being rebalanced");
            Ok(Committed::NotYet)
        }
        _ => {
            tracing::warn!(%error, "offsets are not committed yet; trying again");
            Ok(Committed::NotYet)
        }
    }
}
