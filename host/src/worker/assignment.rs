//! Partitions that come and go. The client's callback only queues; this runs
//! on the worker's thread once `poll` has returned.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::Worker;
use super::opening::Opened;
use super::restore::{Restoring, Unopened, Unsure};
use crate::commit::WorkerError;
use crate::config::Start;
use crate::kafka::{GroupOffset, Rebalance, committed};

use crate::observe::{PartitionState, View};
use crate::plan::StagePlan;
use crate::position::Position;
use crate::record::TopicPartition;
use crate::state::Cache;
use crate::state::Noted;
use crate::task::{Recorded, Task};

/// How long one question to the brokers may hold the worker.
const ASK: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) fn handle_rebalances(&mut self) -> Result<(), WorkerError> {
        while let Some(rebalance) = self.member.context().unanswered() {
            match rebalance {
                Rebalance::Assigned(partitions) => {
                    self.refuse_growth(&partitions)?;
                    match self.positions(&partitions) {
                        Ok(found) => self.assigned(found)?,
                        Err(error) => {
                            tracing::warn!(worker = self.index, %error, "an assignment cannot be taken up yet; trying again");
                            return Ok(());
                        }
                    }
                }
                Rebalance::Revoked(partitions) if self.member.assignment_lost() => self.lost(&partitions)?,
                Rebalance::Revoked(partitions) => self.revoked(&partitions)?,
            }
            self.member.context().answered();
        }
        Ok(())
    }

    /// A partition that the topic did not have at start: pipelines without
    /// state adopt it; under one with state, producers have moved keys away
    /// from the partition that holds what is known of them.
    fn refuse_growth(&self, partitions: &TopicPartitionList) -> Result<(), WorkerError> {
        for element in partitions.elements() {
            let known = self.context.topics.get(element.topic()).map_or(i32::MAX, |topic| topic.partitions);
            let keeps_state = |stage: &Arc<StagePlan>| {
                stage.is_durable()
                    || self.versions.get(&stage.scope.plugin).is_some_and(|in_force| in_force.version.keeps_state())
            };
            let stateful =
                self.plans.iter().find(|plan| *plan.source == *element.topic() && plan.stages.iter().any(keeps_state));
            if let Some(plan) = stateful.filter(|_| element.partition() >= known) {
                let topic = element.topic().to_owned();
                return Err(WorkerError::Grown { topic, from: known, pipeline: plan.name.clone() });
            }
        }
        Ok(())
    }

    /// Where each partition goes on, and whether the group has committed that.
    /// Only asks, so that it can be asked again.
    fn positions(&self, partitions: &TopicPartitionList) -> Result<Vec<Restoring>, KafkaError> {
        let ids = ids(partitions);
        let committed = committed(&self.member, ids.iter().cloned(), ASK)?;
        let mut of_topics = HashMap::new();
        let position = |id: TopicPartition| match committed.get(&id) {
            Some(group) => Ok(Restoring::committed(id, group.clone())),
            None => {
                let (first, recorded) = self.first_position(&id, &mut of_topics)?;
                Ok(Restoring { recorded, ..Restoring::new(id, Position::at(first)) })
            }
        };
        ids.into_iter().map(position).collect()
    }

    /// Takes up partitions: at once where another worker of this process left
    /// their state or there is none to restore, else when it is restored.
    fn assigned(&mut self, found: Vec<Restoring>) -> Result<(), WorkerError> {
        let mut start = TopicPartitionList::with_capacity(found.len());
        let mut paused = TopicPartitionList::new();
        let (mut ready, mut to_restore) = (Vec::new(), Vec::new());
        self.shared.instances.add(found.iter().map(|restoring| self.instances_of(&restoring.id)).sum());
        for restoring in found {
            self.shared.standby.claim(&restoring.id, self.index);
            let TopicPartition { topic, partition } = restoring.id.clone();
            let mut fetch_from = restoring.position.next;
            let mut waits = true;
            let found = if self.must_wait(&restoring) { Err(restoring) } else { Ok(restoring) };
            match found.map(|restoring| (self.task_at_once(&restoring), restoring)) {
                Err(restoring) => drop(self.awaiting.insert(restoring.id.clone(), restoring)),
                Ok((Some((task, with_state)), _)) => {
                    fetch_from = task.fetch_from();
                    waits = task.waits();
                    tracing::info!(worker = self.index, %topic, partition, position = task.position().next, with_state, "assigned");
                    ready.push(task);
                }
                Ok((None, restoring)) => {
                    tracing::info!(worker = self.index, %topic, partition, position = restoring.position.next, "assigned; restoring its state");
                    to_restore.push(restoring);
                }
            }
            start.add_partition_offset(&topic, partition, Offset::Offset(fetch_from)).map_err(WorkerError::Client)?;
            let finished = self.shared.passes_bound(&TopicPartition::new(topic.clone(), partition), fetch_from);
            if waits || finished || self.halted {
                paused.add_partition(&topic, partition);
            }
        }
        // Ahead of the assignment, so that no record goes another way.
        for element in start.elements() {
            self.turns.add(&self.member, &TopicPartition::new(element.topic(), element.partition()));
        }
        // The client library keeps a pause for a partition that comes back.
        self.member.resume(&start).map_err(WorkerError::Client)?;
        self.member.incremental_assign(&start).map_err(WorkerError::Client)?;
        if paused.count() > 0 {
            self.member.pause(&paused).map_err(WorkerError::Client)?;
        }
        ready.into_iter().for_each(|task| self.take_in(task));
        to_restore.into_iter().for_each(|restoring| self.restore(restoring));
        self.shared.health.joined(self.index);
        self.publish();
        Ok(())
    }

    pub(super) fn task_at_once(&self, restoring: &Restoring) -> Option<(Task, bool)> {
        let plans = || self.plans.iter().filter(|plan| plan.source == restoring.id.topic);
        let task = |caches| {
            let id = restoring.id.clone();
            Task::new(id, &self.plans, &self.versions, restoring.position, restoring.pinned, caches)
                .after(restoring.recorded.clone(), &self.versions)
        };
        if let Some(carried) = self.shared.shelf.take(&restoring.id)
            && let Some(task) = carried.revive(restoring.position, task)
        {
            return Some((self.with_pause(task), true));
        }
        let at_once: Option<Vec<Vec<Cache>>> =
            plans().map(|plan| plan.stages.iter().map(|stage| self.stores.at_once(stage)).collect()).collect();
        at_once.map(|caches| (self.with_pause(task(caches)), false))
    }

    /// The task, paused where someone has paused its partition.
    fn with_pause(&self, mut task: Task) -> Task {
        task.set_paused(self.paused.contains(&task.id));
        task
    }

    /// Hands a partition to the restorer; its records wait in the topic.
    pub(super) fn restore(&mut self, restoring: Restoring) {
        self.restorer.restore(restoring.clone());
        self.restoring.insert(restoring.id.clone(), restoring);
    }

    /// Takes up the partitions whose state is restored.
    pub(super) fn take_restored(&mut self) -> Result<(), WorkerError> {
        while let Some((restored, outcome)) = self.restorer.next() {
            if restored.is_cancelled() {
                continue;
            }
            let opened = match outcome {
                Ok(opened) => opened,
                Err(problem) => {
                    if let Unopened::Impossible(problem) = &problem {
                        tracing::warn!(
                            worker = self.index, partition = %restored.id, problem,
                            "its state cannot be opened; asking the group whether the partition has moved on"
                        );
                    }
                    // A host that was frozen may know an offset that is past.
                    self.unsure.push(Unsure { restoring: restored, problem: Some(problem) });
                    continue;
                }
            };
            if let Some(decided) = &opened.decided
                && let Err(refused) = self.tell_decided(&restored, decided)
            {
                self.hold_mismatch(restored, refused)?;
                continue;
            }
            self.restoring.remove(&restored.id);
            let Restoring { id, pinned, .. } = restored;
            let Opened { caches, position, recorded, decided } = opened;
            let mut task =
                Task::new(id, &self.plans, &self.versions, position, pinned, caches).after(recorded, &self.versions);
            match decided {
                Some(decided) => task = task.decided(decided.position),
                None => self.pin(&mut task),
            }
            task.topic_ids().for_each(|(topic, id)| self.shared.ends.note_id(topic, id));
            tracing::info!(worker = self.index, partition = %task.id, position = task.position().next, "restored");
            self.take_up(self.with_pause(task))?;
            self.publish();
        }
        Ok(())
    }

    /// A task of a partition that was assigned before, and paused.
    pub(super) fn take_up(&mut self, task: Task) -> Result<(), WorkerError> {
        let (id, from, waits) = (task.id.clone(), task.fetch_from(), task.waits());
        self.take_in(task);
        match self.halted || waits {
            true => Ok(()),
            false => self.resume(&id, from),
        }
    }

    /// Opens anew the state of tasks that cannot go on with what they have.
    pub(super) fn reopen_broken(&mut self) -> Result<(), WorkerError> {
        let broken: Vec<_> =
            self.tasks.values().filter(|task| task.broken().is_some()).map(|task| task.id.clone()).collect();
        for id in broken {
            let Some(task) = self.tasks.remove(&id) else { continue };
            if let Some(error) = task.broken() {
                tracing::error!(worker = self.index, partition = %id, %error, "the state cannot go on; opening it anew");
            }
            self.pause(&id)?;
            let known = Restoring::new(id.clone(), task.committed());
            let (pinned, recorded) = (task.is_pinned(), task.recorded().clone());
            let restoring = Restoring { pinned, recorded, noted: Noted::of(&task.metadata()), ..known };
            self.restoring.insert(id, restoring.clone());
            self.unsure.push(Unsure { restoring, problem: None });
        }
        Ok(())
    }

    /// Restores partitions as of what the group has committed by now: what this
    /// worker remembers may be another owner's past.
    pub(super) fn restore_unsure(&mut self) -> Result<(), WorkerError> {
        self.unsure.retain(|unsure| !unsure.restoring.is_cancelled());
        if self.unsure.is_empty() {
            return Ok(());
        }
        let ids = self.unsure.iter().map(|unsure| unsure.restoring.id.clone());
        let committed = match committed(&self.member, ids, ASK) {
            Ok(committed) => committed,
            Err(error) => {
                tracing::warn!(worker = self.index, %error, "the group's committed offsets are not known yet; asking again");
                return Ok(());
            }
        };
        for Unsure { restoring, problem } in std::mem::take(&mut self.unsure) {
            let now = committed.get(&restoring.id).map(|now| Restoring::committed(restoring.id.clone(), now.clone()));
            let is_past = now.as_ref().is_some_and(|now| now.position != restoring.position);
            match problem {
                Some(Unopened::Impossible(problem)) if !is_past => {
                    return Err(WorkerError::State { partition: restoring.id.to_string(), problem });
                }
                Some(Unopened::Mismatch(held)) if !is_past => {
                    self.hold_mismatch(restoring, held)?;
                    continue;
                }
                Some(_) => {
                    tracing::info!(worker = self.index, partition = %restoring.id, "the group has moved on; opening the state there");
                }
                None => {}
            }
            let Restoring { id, position, pinned, recorded, noted, decision, .. } = restoring;
            let restoring = match now {
                Some(now) => Restoring { decision, ..now },
                None => Restoring { pinned, recorded, noted, decision, ..Restoring::new(id, position) },
            };
            if self.must_wait(&restoring) {
                self.restoring.remove(&restoring.id);
                self.awaiting.insert(restoring.id.clone(), restoring);
            } else {
                self.restore(restoring);
            }
        }
        Ok(())
    }

    /// Where a group without committed offsets begins. Asked for now, not left
    /// to the client's reset, so that the first commit pins it: a restart does
    /// not begin at another end.
    ///
    /// At the end only what was there when the group began: no record of a partition
    /// that came later was there before it. `of_topics` keeps what the group has
    /// committed of all partitions of a topic, which is asked for once.
    fn first_position(
        &self,
        id: &TopicPartition,
        of_topics: &mut HashMap<Arc<str>, HashMap<TopicPartition, GroupOffset>>,
    ) -> Result<(i64, Recorded), KafkaError> {
        let (low, high) = self.member.fetch_watermarks(&id.topic, id.partition, ASK)?;
        let start = self.plans.iter().find(|plan| plan.source == id.topic).map(|plan| plan.start);
        if start != Some(Start::Latest) {
            return Ok((low, Recorded::default()));
        }
        let known = self.context.topics.get(&id.topic).map_or(0, |topic| topic.partitions);
        let of_topic = match of_topics.entry(id.topic.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let all = (0..known).map(|partition| TopicPartition::new(id.topic.clone(), partition));
                free.insert(committed(&self.member, all, ASK)?)
            }
        };
        let came_later = id.partition >= known
            || of_topic.values().any(|other| Recorded::committed(&other.metadata).began_before(id.partition));
        Ok((if came_later { low } else { high }, Recorded::begun_of(known.max(id.partition + 1))))
    }

    /// Commits before letting go; clean tasks leave their state for another
    /// worker of this process.
    fn revoked(&mut self, partitions: &TopicPartitionList) -> Result<(), WorkerError> {
        self.commit()?;
        for task in self.take(partitions) {
            tracing::info!(worker = self.index, partition = %task.id, position = task.position().next, "revoked");
            if !task.is_dirty() && task.broken().is_none() {
                self.shared.shelf.put(task.id.clone(), task.carry());
            }
        }
        self.let_go(partitions)
    }

    /// The group has given the partitions to others already: what was not
    /// committed is theirs to process.
    fn lost(&mut self, partitions: &TopicPartitionList) -> Result<(), WorkerError> {
        for task in self.take(partitions) {
            tracing::warn!(worker = self.index, partition = %task.id, "lost: the group took it away");
        }
        // What they gave is in a transaction with what others gave.
        if self.committer.give_up() {
            self.commit()?;
        }
        self.let_go(partitions)
    }

    fn take(&mut self, partitions: &TopicPartitionList) -> Vec<Task> {
        let ids = ids(partitions);
        self.shared.instances.remove(ids.iter().map(|id| self.instances_of(id)).sum());
        for id in &ids {
            self.awaiting.remove(id);
            self.forget_mismatch(id);
            if let Some(restoring) = self.restoring.remove(id) {
                restoring.cancel();
            }
            // Another worker may have taken it up already and shows it as its own.
            self.shared.views.remove_if(id, |_, view| view.worker == self.index);
        }
        ids.iter().filter_map(|id| self.tasks.remove(id)).collect()
    }

    /// How many instances a partition needs: one for each stage.
    fn instances_of(&self, id: &TopicPartition) -> usize {
        self.plans.iter().filter(|plan| plan.source == id.topic).map(|plan| plan.stages.len()).sum()
    }

    fn let_go(&mut self, partitions: &TopicPartitionList) -> Result<(), WorkerError> {
        for id in ids(partitions) {
            self.turns.remove(&id);
            self.shared.standby.release(&id, self.index);
        }
        self.member.incremental_unassign(partitions).map_err(WorkerError::Client)
    }

    /// What others see of a partition that is being restored.
    pub(super) fn view_of_restoring(&self, restoring: &Restoring) -> View {
        let position = restoring.position.next;
        View {
            worker: self.index,
            state: PartitionState::Restoring,
            failure: None,
            awaits: None,
            mismatch: None,
            position,
            committed: restoring.pinned.then_some(position),
            end: None,
            open_transaction: None,
            read_to: position,
            remaining: Some(restoring.progress.remaining.load(Ordering::Relaxed)),
            stages: Vec::new(),
            releasing: false,
        }
    }
}

fn ids(partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    let id = |element: &TopicPartitionListElem<'_>| TopicPartition::new(element.topic(), element.partition());
    partitions.elements().iter().map(id).collect()
}
