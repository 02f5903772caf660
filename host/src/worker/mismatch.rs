//! Partitions whose state does not belong to the group's offset: held, until a
//! person or `state.on-mismatch` decides what becomes of it.

use std::sync::Arc;

use crossbeam_channel::Sender;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::Worker;
use super::opening::Decided;
use super::restore::Restoring;
use crate::commit::WorkerError;
use crate::observe::{PartitionState, View};
use crate::observe::{Settled, Who};
use crate::plan::StagePlan;
use crate::record::TopicPartition;
use crate::repeated::Repeated;
use crate::state::{Decision, Held, StateError};
use crate::task::Task;

/// By store.
static LOST_CHANGELOG: Repeated<String> = Repeated::new();

/// A partition that is held.
pub struct Mismatched {
    pub restoring: Restoring,
    /// Why, and the ways out.
    text: String,
}

/// What someone decided about partitions of a topic that are held.
pub struct Settle {
    pub topic: Arc<str>,
    pub partitions: Vec<i32>,
    pub decision: Decision,
    pub who: Who,
    /// Gets each partition that is held here, once its state is being opened.
    pub answer: Sender<i32>,
}

impl Worker {
    /// Holds a partition, whose records wait in the topic.
    pub(super) fn hold_mismatch(&mut self, restoring: Restoring, held: Held) -> Result<(), WorkerError> {
        let id = restoring.id.clone();
        let text = held.to_string();
        tracing::error!(worker = self.index, partition = %id, state = "state-mismatch", "{text}");
        self.restoring.remove(&id);
        self.pause(&id)?;
        self.mismatched.insert(id, Mismatched { restoring, text });
        self.tell_mismatches();
        Ok(())
    }

    /// Breaks off tasks whose source or changelog is another topic by now than the one
    /// that their state is of: it is opened anew, which compares the two, and holds the
    /// partition. What is in memory only is left: the task has all there is of it.
    pub(super) fn notice_other_topics(&mut self) {
        let ends = &self.shared.ends;
        let is_other =
            |topic: &str, was: Option<&str>| was.is_some_and(|was| ends.topic_id(topic).is_some_and(|now| now != was));
        for task in self.tasks.values_mut().filter(|task| task.is_stamped() && task.broken().is_none()) {
            let source = task.grounds().find_map(|(_, ground)| ground.source.as_deref());
            let mut other = is_other(&task.id.topic, source).then(|| task.id.topic.clone());
            for (plan, ground) in task.grounds() {
                let (Some(topic), Some(log)) = (&plan.changelog, &ground.log) else { continue };
                match is_other(topic, log.id.as_deref()) {
                    false => {}
                    true if !plan.state.backend.is_durable() => tell_lost_changelog(self.index, task, plan, topic),
                    true => other = Some(topic.clone()),
                }
            }
            if let Some(topic) = other {
                task.break_off(StateError::Refused(format!("topic `{topic}` was deleted and made anew")));
            }
        }
    }

    /// The partition is another member's.
    pub(super) fn forget_mismatch(&mut self, id: &TopicPartition) {
        if self.mismatched.remove(id).is_some() {
            self.tell_mismatches();
        }
    }

    fn tell_mismatches(&self) {
        let first = self.mismatched.keys().min_by_key(|id| (id.topic.clone(), id.partition));
        self.shared.health.mismatched(self.index, first.map(|id| (self.mismatched.len(), id.to_string())));
    }

    /// Opens the state of partitions that are held, as someone decided.
    pub(super) fn settle(&mut self, settle: Settle) {
        let Settle { topic, partitions, decision, who, answer } = settle;
        for partition in partitions {
            let Some(held) = self.mismatched.remove(&TopicPartition::new(topic.clone(), partition)) else { continue };
            let Restoring { id, position, pinned, recorded, noted, .. } = held.restoring;
            let decision = Some((decision, who));
            self.restore(Restoring { pinned, recorded, noted, decision, ..Restoring::new(id, position) });
            // Nobody waits any more for an answer that comes late.
            let _ = answer.send(partition);
        }
        self.tell_mismatches();
        self.publish();
    }

    /// Writes what is about to be done to the audit log and the host's own.
    ///
    /// # Errors
    /// When the audit log cannot be written: then nothing is done.
    pub(super) fn tell_decided(&self, restored: &Restoring, decided: &Decided) -> Result<(), Held> {
        let who = match (&restored.decision, restored.noted.order) {
            (Some((_, who)), _) => *who,
            (None, Some(_)) => Who::Offset,
            (None, None) => Who::Configuration,
        };
        for stage in &decided.stages {
            let (store, reason) = (&stage.mismatch.store, &stage.mismatch.reason);
            let line = Settled {
                action: stage.decision.into(),
                pipeline: &store.pipeline,
                stage: &store.stage,
                topic: &restored.id.topic,
                partition: store.partition,
                offset: decided.position.next,
                entries: stage.entries,
                removed: stage.removed,
                who,
                reason,
            };
            if let Err(error) = self.shared.audit(&line) {
                let refused = Some(format!(
                    "Nothing is decided without a line in the audit log, and that cannot be written: {error}. Check \
                     `host.data-dir`."
                ));
                let mismatches = decided.stages.iter().map(|stage| stage.mismatch.clone()).collect();
                return Err(Held { mismatches, refused });
            }
            tracing::warn!(
                worker = self.index,
                partition = %restored.id,
                stage = %store,
                decision = stage.decision.name(),
                %who,
                offset = decided.position.next,
                entries = stage.entries,
                removed = stage.removed,
                "the state did not belong to the group's offset; continuing as decided. {reason}"
            );
        }
        Ok(())
    }

    /// Commits where a partition begins that the group has committed nothing of,
    /// before its state is stamped: a group that has no offset later has lost it.
    pub(super) fn pin(&self, task: &mut Task) {
        if task.is_pinned() || self.halted {
            return;
        }
        let position = task.position();
        let mut offsets = TopicPartitionList::with_capacity(1);
        let mut element = offsets.add_partition(&task.id.topic, task.id.partition);
        element.set_metadata(task.metadata_of_start());
        let set = element.set_offset(Offset::Offset(position.next));
        match set.and_then(|()| self.member.commit(&offsets, CommitMode::Sync)) {
            Ok(()) => task.pin(),
            // In a rebalance; the first commit does it.
            Err(error) => tracing::debug!(partition = %task.id, %error, "where it begins is not committed yet"),
        }
    }

    /// What others see of a partition that is held so.
    pub(super) fn view_of_mismatched(&self, held: &Mismatched) -> View {
        View {
            state: PartitionState::StateMismatch,
            failure: Some("state-mismatch"),
            mismatch: Some(held.text.clone()),
            remaining: None,
            ..self.view_of_restoring(&held.restoring)
        }
    }
}

/// The changelog of state in memory was made anew: it holds none of what was there before.
fn tell_lost_changelog(worker: usize, task: &Task, plan: &StagePlan, changelog: &str) {
    let store = plan.store(task.id.partition);
    let Some(suppressed) = LOST_CHANGELOG.line_about(store.to_string()) else { return };
    tracing::error!(
        worker, partition = %task.id, %store, changelog, position = task.position().next, suppressed,
        "changelog `{changelog}` was deleted and made anew while this host ran: it does not hold the state of {store}, \
         which is in the memory of this host only. The partition continues, and is held as `state-mismatch` when it is \
         opened next"
    );
}
