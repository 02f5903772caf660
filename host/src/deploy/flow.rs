//! Partitions paused and resumed by someone: the audit log tells it. Whoever asks
//! is answered on a thread of their own, so that no deploy is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::audit::{Action, Audit, Flow, Who};
use super::workers::Workers;
use super::{Flowing, Refusal};
use crate::task::Plan;
use crate::topics::Topics;

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
        let known = || self.sources.keys().cloned().collect::<Vec<_>>().join(", ");
        let topic = self.sources.get(pipeline).cloned().ok_or_else(|| Refusal::NoPipeline(known()))?;
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
