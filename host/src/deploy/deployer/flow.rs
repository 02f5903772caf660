//! Partitions paused and resumed by someone: the audit log tells it.

use super::super::audit::{Action, Flow, Who};
use super::super::{Flowing, Refusal};
use super::Deployer;

impl Deployer {
    /// Pauses the partitions of a pipeline's source, or one of them, on every
    /// worker, or resumes them.
    ///
    /// # Errors
    /// When there is no such pipeline or partition, or the audit log cannot be written.
    pub(super) fn flow(
        &mut self,
        pipeline: &str,
        partition: Option<u32>,
        paused: bool,
        who: Who,
    ) -> Result<Flowing, Refusal> {
        let topic =
            self.loader.source(pipeline).ok_or_else(|| Refusal::NoPipeline(self.loader.pipelines().join(", ")))?;
        let count = self.topics.get(&topic).map_or(0, |topic| topic.partitions);
        let partitions: Vec<i32> = match partition {
            None => (0..count).collect(),
            Some(one) => vec![i32::try_from(one).ok().filter(|one| *one < count).ok_or(Refusal::NoPartition(count))?],
        };
        let partition = partition.and(partitions.first().copied());
        let action = if paused { Action::Pause } else { Action::Resume };
        self.audit.append(&Flow { action, pipeline, topic: &topic, partition, who }).map_err(Refusal::Audit)?;
        self.workers.pause(&topic, &partitions, paused);
        tracing::info!(pipeline, %topic, ?partition, paused, %who, "asked to pause or resume");
        Ok(Flowing { topic, partition, paused })
    }
}
