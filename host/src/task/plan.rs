//! What the configuration says of pipelines, resolved once for all tasks.

use std::sync::Arc;

use crate::config::{self, OnFailure, Retry, Start};
use crate::plugin::Scope;

/// One pipeline: where its records come from, what they go through and where they go.
#[derive(Debug)]
pub struct Plan {
    pub name: String,
    pub source: Arc<str>,
    pub start: Start,
    pub sink: Option<Arc<str>>,
    pub dead_letter: Option<Arc<str>>,
    pub provenance: bool,
    pub stages: Vec<Arc<StagePlan>>,
}

/// A plugin's place in a pipeline.
#[derive(Debug)]
pub struct StagePlan {
    pub scope: Arc<Scope>,
    /// Topics besides the sink that the stage may write to.
    pub topics: Vec<Arc<str>>,
    pub on_failure: OnFailure,
    pub retry: Retry,
}

impl Plan {
    pub fn new(pipeline: &config::Pipeline) -> Plan {
        Plan {
            name: pipeline.name.clone(),
            source: pipeline.source.as_str().into(),
            start: pipeline.start,
            sink: pipeline.sink.as_deref().map(Arc::from),
            dead_letter: pipeline.dead_letter.as_deref().map(Arc::from),
            provenance: pipeline.provenance,
            stages: pipeline.stages.iter().map(|stage| Arc::new(StagePlan::new(&pipeline.name, stage))).collect(),
        }
    }

    /// Every topic that the pipeline writes to.
    pub fn outputs(&self) -> impl Iterator<Item = &Arc<str>> {
        let granted = self.stages.iter().flat_map(|stage| &stage.topics);
        self.sink.iter().chain(&self.dead_letter).chain(granted)
    }
}

impl StagePlan {
    fn new(pipeline: &str, stage: &config::Stage) -> StagePlan {
        StagePlan {
            scope: Arc::new(Scope::new(pipeline, stage)),
            topics: stage.topics.iter().map(|topic| topic.as_str().into()).collect(),
            on_failure: stage.on_failure,
            retry: stage.retry.clone(),
        }
    }
}
