//! Partitions that come and go. The client's callback only queues; this runs
//! on the worker's thread once `poll` has returned.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use super::Worker;
use super::client::Rebalance;
use crate::config::Start;
use crate::error::WorkerError;
use crate::record::TopicPartition;
use crate::task::Task;

/// How long one question to the brokers may hold the worker.
const ASK: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) fn handle_rebalances(&mut self) -> Result<(), WorkerError> {
        while let Some(rebalance) = self.member.context().next_rebalance() {
            match rebalance {
                Rebalance::Assigned(partitions) => match self.tasks_for(&partitions) {
                    Ok(tasks) => self.assigned(tasks)?,
                    Err(error) => {
                        tracing::warn!(worker = self.index, %error, "an assignment cannot be taken up yet; trying again");
                        self.member.context().defer(Rebalance::Assigned(partitions));
                        return Ok(());
                    }
                },
                Rebalance::Revoked(partitions) if self.member.assignment_lost() => self.lost(&partitions)?,
                Rebalance::Revoked(partitions) => self.revoked(&partitions)?,
            }
        }
        Ok(())
    }

    /// Tasks that go on at the group's committed offsets. Only asks, so that it
    /// can be asked again.
    fn tasks_for(&self, partitions: &TopicPartitionList) -> Result<Vec<Task>, KafkaError> {
        let committed = self.member.committed_offsets(partitions.clone(), ASK)?;
        let task = |element: &TopicPartitionListElem<'_>| {
            element.error()?;
            let id = TopicPartition::new(element.topic(), element.partition());
            let (position, known) = match element.offset() {
                Offset::Offset(offset) => (offset, true),
                _ => (self.first_position(&id)?, false),
            };
            Ok(Task::new(id, &self.plans, &self.versions, position, known))
        };
        committed.elements().iter().map(task).collect()
    }

    /// Takes up `tasks`, with the state that another worker of this process
    /// left for them, and starts fetching.
    fn assigned(&mut self, mut tasks: Vec<Task>) -> Result<(), WorkerError> {
        let mut start = TopicPartitionList::with_capacity(tasks.len());
        let mut paused = TopicPartitionList::new();
        for task in &mut tasks {
            let adopted = self.shared.shelf.take(&task.id).is_some_and(|carried| task.adopt(carried));
            let TopicPartition { topic, partition } = &task.id;
            // A record that waits was carried along: fetch what comes after it.
            let fetch_from = task.position() + i64::from(task.waits());
            start.add_partition_offset(topic, *partition, Offset::Offset(fetch_from)).map_err(WorkerError::Client)?;
            if task.waits() || self.shared.passes_bound(&task.id, fetch_from) {
                paused.add_partition(topic, *partition);
            }
            tracing::info!(
                worker = self.index,
                %topic,
                partition,
                position = task.position(),
                with_state = adopted,
                "assigned"
            );
        }
        self.member.incremental_assign(&start).map_err(WorkerError::Client)?;
        if paused.count() > 0 {
            self.member.pause(&paused).map_err(WorkerError::Client)?;
        }
        self.tasks.extend(tasks.into_iter().map(|task| (task.id.clone(), task)));
        self.shared.health.joined(self.index);
        self.publish();
        Ok(())
    }

    /// Where a group without committed offsets begins. Asked for now, not left
    /// to the client's reset, so that the first commit pins it: a restart does
    /// not begin at another end.
    fn first_position(&self, id: &TopicPartition) -> Result<i64, KafkaError> {
        let (low, high) = self.member.fetch_watermarks(&id.topic, id.partition, ASK)?;
        let start = self.plans.iter().find(|plan| plan.source == id.topic).map(|plan| plan.start);
        Ok(if start == Some(Start::Latest) { high } else { low })
    }

    /// Commits before letting go; clean tasks leave their state for another
    /// worker of this process.
    fn revoked(&mut self, partitions: &TopicPartitionList) -> Result<(), WorkerError> {
        self.commit()?;
        for task in self.take(partitions) {
            tracing::info!(worker = self.index, partition = %task.id, position = task.position(), "revoked");
            if task.uncommitted().is_none() {
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
        self.let_go(partitions)
    }

    fn take(&mut self, partitions: &TopicPartitionList) -> Vec<Task> {
        let ids =
            partitions.elements().into_iter().map(|element| TopicPartition::new(element.topic(), element.partition()));
        let taken: Vec<Task> = ids.filter_map(|id| self.tasks.remove(&id)).collect();
        for task in &taken {
            // Another worker may have taken it up already and shows it as its own.
            self.shared.views.remove_if(&task.id, |_, view| view.worker == self.index);
        }
        taken
    }

    fn let_go(&self, partitions: &TopicPartitionList) -> Result<(), WorkerError> {
        self.member.incremental_unassign(partitions).map_err(WorkerError::Client)
    }
}
