//! Partitions paused and resumed by someone, event time set back: the audit log tells it.

use std::sync::Arc;

use super::super::audit::{Action, Flow, Watermark, Who};
use super::super::{Flowing, Refusal, SetBack};
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
        let (topic, partition, count) = self.partition_of(pipeline, partition)?;
        let partitions: Vec<i32> = partition.map_or_else(|| (0..count).collect(), |one| vec![one]);
        let action = if paused { Action::Pause } else { Action::Resume };
        self.audit.append(&Flow { action, pipeline, topic: &topic, partition, who }).map_err(Refusal::Audit)?;
        self.workers.pause(&topic, &partitions, paused);
        tracing::info!(pipeline, %topic, ?partition, paused, %who, "asked to pause or resume");
        Ok(Flowing { topic, partition, paused })
    }

    /// The source of a pipeline, the partition of it that is meant, and how many it has.
    fn partition_of(&self, pipeline: &str, partition: Option<u32>) -> Result<(Arc<str>, Option<i32>, i32), Refusal> {
        let unknown = || Refusal::NoPipeline(self.loader.pipelines().join(", "));
        let topic = self.loader.source(pipeline).ok_or_else(unknown)?;
        let count = self.topics.get(&topic).map_or(0, |topic| topic.partitions);
        let known = |one: u32| i32::try_from(one).ok().filter(|one| *one < count).ok_or(Refusal::NoPartition(count));
        Ok((topic, partition.map(known).transpose()?, count))
    }

    /// Sets event time of a pipeline's partitions, or of one of them, back to `to` on
    /// every worker.
    ///
    /// # Errors
    /// As [`Deployer::flow`].
    pub(super) fn set_watermark_back(
        &mut self,
        pipeline: &str,
        partition: Option<u32>,
        to: u64,
        who: Who,
    ) -> Result<SetBack, Refusal> {
        let (topic, partition, _) = self.partition_of(pipeline, partition)?;
        let action = Action::Watermark;
        self.audit
            .append(&Watermark { action, pipeline, topic: &topic, partition, to, who })
            .map_err(Refusal::Audit)?;
        let partitions = self.workers.set_watermark_back(pipeline, &topic, partition, to);
        tracing::info!(pipeline, %topic, ?partition, to, %who, "asked to set event time back");
        Ok(SetBack { topic, partitions })
    }
}
