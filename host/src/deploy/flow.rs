//! Partitions paused and resumed, event time set back and state decided about by someone: the audit log tells it. Whoever asks
//! is answered on a thread of their own, so that no deploy is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::workers::Workers;
use super::{Decided, Flowing, Refusal, SetBack};
use crate::kafka::topics::Topics;
use crate::observe::audit::{Action, Audit, Flow, Watermark, Who};
use crate::plan::Plan;
use crate::state::Decision;

/// Whether the records of each pipeline flow.
pub struct Flows {
    /// The topic that each pipeline reads.
    sources: BTreeMap<String, Arc<str>>,
    topics: Arc<Topics>,
    workers: Workers,
    audit: Audit,
}

impl Flows {
    pub fn new(plans: &[Arc<Plan>], topics: Arc<Topics>, workers: Workers, audit: Audit) -> Flows {
        let sources = plans.iter().map(|plan| (plan.name.clone(), plan.source.clone())).collect();
        Flows { sources, topics, workers, audit }
    }

    /// Pauses the partitions of a pipeline's source, or one of them, on every
    /// worker, or resumes them; returns once they have.
    ///
    /// # Errors
    /// When there is no such pipeline or partition, or the audit log cannot be written.
    pub fn set(&self, pipeline: &str, partition: Option<u32>, paused: bool, who: Who) -> Result<Flowing, Refusal> {
        let (topic, partitions) = self.partitions(pipeline, partition)?;
        let partition = partition.and(partitions.first().copied());
        let action = if paused { Action::Pause } else { Action::Resume };
        self.audit.append(&Flow { action, pipeline, topic: &topic, partition, who }).map_err(Refusal::Audit)?;
        self.workers.pause(&topic, &partitions, paused);
        tracing::info!(pipeline, %topic, ?partition, paused, %who, "asked to pause or resume");
        Ok(Flowing { topic, partition, paused })
    }

    /// Sets event time of a pipeline's partitions, or of one of them, back to `to`
    /// (milliseconds since the Unix epoch) on every worker.
    ///
    /// # Errors
    /// As [`Flows::set`].
    pub fn set_watermark_back(
        &self,
        pipeline: &str,
        partition: Option<u32>,
        to: u64,
        who: Who,
    ) -> Result<SetBack, Refusal> {
        let (topic, partitions) = self.partitions(pipeline, partition)?;
        let partition = partition.and(partitions.first().copied());
        let action = Action::Watermark;
        self.audit
            .append(&Watermark { action, pipeline, topic: &topic, partition, to, who })
            .map_err(Refusal::Audit)?;
        let partitions = self.workers.set_watermark_back(pipeline, &topic, partition, to);
        tracing::info!(pipeline, %topic, ?partition, to, %who, "asked to set event time back");
        Ok(SetBack { topic, partitions })
    }

    /// Opens partitions of a pipeline's source, or one of them, that are held as
    /// `state-mismatch`, as someone decided. Workers write the audit log's lines,
    /// which know what stands where.
    ///
    /// # Errors
    /// When there is no such pipeline or partition, or none of them is held here.
    pub fn settle(
        &self,
        pipeline: &str,
        partition: Option<u32>,
        decision: Decision,
        who: Who,
    ) -> Result<Decided, Refusal> {
        let (topic, partitions) = self.partitions(pipeline, partition)?;
        let partitions = self.workers.settle(&topic, &partitions, decision, who);
        if partitions.is_empty() {
            return Err(Refusal::NotHeld);
        }
        tracing::info!(pipeline, %topic, ?partitions, decision = decision.name(), %who, "decided about state");
        Ok(Decided { topic, partitions })
    }

    /// The source of a pipeline, and its partitions or the one that is named.
    fn partitions(&self, pipeline: &str, partition: Option<u32>) -> Result<(Arc<str>, Vec<i32>), Refusal> {
        let known = || self.sources.keys().cloned().collect::<Vec<_>>().join(", ");
        let topic = self.sources.get(pipeline).cloned().ok_or_else(|| Refusal::NoPipeline(known()))?;
        let count = self.topics.get(&topic).map_or(0, |topic| topic.partitions);
        let partitions = match partition {
            None => (0..count).collect(),
            Some(one) => vec![i32::try_from(one).ok().filter(|one| *one < count).ok_or(Refusal::NoPartition(count))?],
        };
        Ok((topic, partitions))
    }
}
