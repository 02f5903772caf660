//! Partitions that are paused: by someone, until they are resumed or the process
//! ends, or because a record waits.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};

use super::Worker;
use crate::commit::WorkerError;
use crate::record::TopicPartition;

/// Pauses or resumes partitions of a topic, owned by this worker or not: they
/// may come to it later.
pub struct Pause {
    pub topic: Arc<str>,
    pub partitions: Vec<i32>,
    /// Or resumed.
    pub paused: bool,
    /// Gets an answer once it is done.
    pub answer: Sender<()>,
}

impl Worker {
    pub(super) fn apply_pause(&mut self, pause: Pause) -> Result<(), WorkerError> {
        let Pause { topic, partitions, paused, answer } = pause;
        for partition in partitions {
            let id = TopicPartition::new(topic.clone(), partition);
            match paused {
                true => self.paused.insert(id.clone()),
                false => self.paused.remove(&id),
            };
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            task.set_paused(paused);
            match (paused, task.waits() || self.halted) {
                (true, _) => self.pause(&id)?,
                (false, false) => {
                    let from = task.fetch_from();
                    self.resume(&id, from)?;
                }
                // It goes on once what it waits for is there.
                (false, true) => {}
            }
        }
        self.publish();
        // Nobody waits any more for an answer that comes late.
        let _ = answer.send(());
        Ok(())
    }

    pub(super) fn pause(&self, id: &TopicPartition) -> Result<(), WorkerError> {
        let mut partitions = TopicPartitionList::with_capacity(1);
        partitions.add_partition(&id.topic, id.partition);
        self.member.pause(&partitions).map_err(WorkerError::Client)
    }

    /// From `position` on: records that were fetched while it was paused come again.
    pub(super) fn resume(&self, id: &TopicPartition, position: i64) -> Result<(), WorkerError> {
        if self.shared.passes_bound(id, position) {
            return Ok(());
        }
        let mut partitions = TopicPartitionList::with_capacity(1);
        partitions.add_partition(&id.topic, id.partition);
        self.member.resume(&partitions).map_err(WorkerError::Client)?;
        let seek = self.member.seek(&id.topic, id.partition, Offset::Offset(position), Duration::from_secs(10));
        seek.map_err(WorkerError::Client)
    }
}
