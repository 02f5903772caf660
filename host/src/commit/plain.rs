//! A commit at least once.

use std::time::Instant;

use rdkafka::producer::Producer;

use super::refusal::trace;
use super::steps::{Unsent, classify, commit_offsets, flush, leave_uncommitted, offsets_of, send_changes};
use super::{Committed, Committer, Parties, Phase, STORE, crash};
use crate::commit::WorkerError;
use crate::kafka::{self, Member, Sender};
use crate::task::Task;

impl Committer {
    pub(super) fn commit_plainly(&mut self, parties: Parties<'_>) -> Result<Committed, WorkerError> {
        let Parties { member, sender, mut tasks, now_ms, waiting } = parties;
        let outcome = self.try_plainly(member, sender, &mut tasks, now_ms, waiting);
        if let Ok(Committed::Refused) = outcome {
            // Further records join the next commit: it sends all changes once more.
            tasks.iter_mut().for_each(|task| task.send_again());
        }
        outcome
    }

    fn try_plainly(
        &mut self,
        member: &Member,
        sender: &mut Sender,
        tasks: &mut [&mut Task],
        now_ms: u64,
        waiting: &dyn Fn(),
    ) -> Result<Committed, WorkerError> {
        let failed = sender.context().has_failed();
        if !failed && !tasks.iter().any(|task| is_due(task)) {
            self.phase = Phase::Open;
            return Ok(Committed::Idle);
        }
        crash::point("outputs-sent");
        for task in tasks.iter_mut().filter(|task| is_due(task) && !task.has_sent()) {
            match send_changes(sender, task, now_ms, waiting) {
                Ok(()) => {}
                Err(Unsent::State(error)) => {
                    task.break_off(error);
                    return Ok(Committed::Refused);
                }
                Err(Unsent::Refused { topic, code, origin }) => {
                    self.refuse(sender, &topic, Some(task.id.partition), code, origin);
                }
            }
        }
        self.phase = Phase::Sent;
        if !flush(sender) {
            return Ok(Committed::Pending);
        }
        let taken_back = self.take_back(sender, tasks)?;
        let mut tasks: Vec<_> = tasks.iter_mut().filter(|task| is_due(task) && task.has_sent()).collect();
        if tasks.is_empty() {
            self.phase = Phase::Open;
            return Ok(if taken_back { Committed::RolledBack } else { Committed::Idle });
        }
        crash::point("changelog-sent");
        for task in &mut tasks {
            match task.prepare(now_ms) {
                Ok(()) => {}
                Err(error) if error.is_retriable() => {
                    if let Some(suppressed) = STORE.line() {
                        tracing::warn!(partition = %task.id, %error, suppressed, "the commit waits for the state store");
                    }
                    return Ok(Committed::Pending);
                }
                Err(error) => {
                    task.break_off(error);
                    self.phase = Phase::Open;
                    return Ok(Committed::Refused);
                }
            }
        }
        crash::point("state-prepared");
        let settled: Vec<&Task> = tasks.iter().map(|task| &***task).collect();
        let committed = match commit_offsets(member, &offsets_of(&settled)?) {
            Ok(failed) => {
                leave_uncommitted(&mut tasks, &failed);
                if tasks.is_empty() { Committed::Refused } else { Committed::Done }
            }
            Err(error) => classify(error)?,
        };
        if committed != Committed::Pending {
            self.phase = Phase::Open;
        }
        if committed == Committed::Done {
            crash::point("committed");
            tasks.iter_mut().for_each(|task| task.finish());
            crash::point("state-finished");
        }
        Ok(committed)
    }

    /// Rolls back the tasks of which an output was not delivered, once all
    /// others are; whether there were any. Their neighbours are committed.
    fn take_back(&mut self, sender: &mut Sender, tasks: &mut [&mut Task]) -> Result<bool, WorkerError> {
        let failures = sender.context().take_failures();
        let fatal = sender.client().fatal_error();
        if failures.is_empty() && fatal.is_none() {
            return Ok(false);
        }
        let traced = trace(&failures, tasks);
        if traced.slots.is_empty() && fatal.is_none() {
            return Ok(false);
        }
        if let Some((code, reason)) = &fatal {
            tracing::error!(%code, reason, "the producer failed for good; making it anew");
            *sender = kafka::new_sender(&self.producer).map_err(WorkerError::Client)?;
        }
        let reason = traced.reason.unwrap_or("brokers");
        self.aborts.push(reason);
        let concerned = |task: &Task| traced.slots.contains(&task.slot()) || (fatal.is_some() && is_due(task));
        for task in tasks.iter_mut().filter(|task| concerned(task)) {
            if let Err(error) = task.roll_back_sent() {
                task.break_off(error);
            }
            if !traced.learnt {
                task.note_stall(reason, Instant::now());
            }
        }
        Ok(true)
    }
}

fn is_due(task: &Task) -> bool {
    task.broken().is_none() && task.is_dirty()
}
