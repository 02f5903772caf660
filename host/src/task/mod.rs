//! The processing of one topic partition: records in, outcome out. No Kafka in it.

mod pipeline;
mod plan;
mod provenance;
mod stage;
mod tally;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use pipeline::{Pipeline, Settled};
use stage::Stage;

pub use plan::{Plan, StagePlan};
pub use tally::{BUCKETS, CallTimes, Tally};
pub use view::{PartitionState, StageView, View};

use crate::plugin::{Engine, Failure, Version};
use crate::record::{Output, OwnedRecord, Record, TopicPartition};
use crate::state::Cache;
use crate::topics::Topics;

/// What a worker lends its tasks.
pub struct Context {
    pub engine: Engine,
    pub topics: Arc<Topics>,
    /// `host/worker`, for lineage headers.
    pub worker: Arc<str>,
}

/// The time of a record.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The last reading of the clock: when the record was polled, then the end
    /// of each call of a plugin.
    pub instant: Instant,
    /// When the record was polled, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
}

/// Versions in force, by plugin.
pub type Versions = HashMap<String, Arc<Version>>;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// The record waits in the task; its partition is to be paused.
    Waits,
}

/// A record that some pipeline could not settle yet.
struct Waiting {
    record: OwnedRecord,
    /// The pipeline that waits; those before it are done with the record.
    pipeline: usize,
    attempts: u32,
    /// `None`: held until a new version of one of the pipeline's plugins lands.
    due: Option<Instant>,
    kind: &'static str,
}

pub struct Task {
    pub id: TopicPartition,
    pipelines: Vec<Pipeline>,
    waiting: Option<Waiting>,
    /// The offset after the last record that every pipeline is done with.
    position: i64,
    committed: Option<i64>,
    /// Records settled since the last commit, for the metrics.
    pub consumed: u64,
}

/// What outlives a task when its partition moves to another worker of this process.
pub struct Carried {
    committed: Option<i64>,
    waiting: Option<Waiting>,
    caches: Vec<Vec<Cache>>,
}

impl Task {
    /// A task that goes on at `position`, which the group has committed where
    /// `committed` says so.
    pub fn new(id: TopicPartition, plans: &[Arc<Plan>], versions: &Versions, position: i64, committed: bool) -> Task {
        let of_source = plans.iter().filter(|plan| plan.source == id.topic);
        let pipelines = of_source
            .map(|plan| {
                // Every plugin that a stage names was loaded before the first task.
                let stage = |stage: &Arc<StagePlan>| Stage::new(stage.clone(), versions[&stage.scope.plugin].clone());
                let staged = plan.stages.iter().map(stage);
                Pipeline::new(plan.clone(), staged.collect())
            })
            .collect();
        Task { id, pipelines, waiting: None, position, committed: committed.then_some(position), consumed: 0 }
    }

    /// Puts `record` through every pipeline. Outputs are pushed to `outputs`
    /// and are to be sent whatever this returns.
    pub fn process(
        &mut self,
        context: &Context,
        record: &Record<'_>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Progress {
        self.settle(context, record, now, (0, 0), outputs)
    }

    /// Tries a waiting record again if it is due.
    pub fn retry(&mut self, context: &Context, now: &mut Now, outputs: &mut Vec<Output>) -> Progress {
        match self.waiting.take() {
            None => Progress::Done,
            Some(waiting) if waiting.due.is_some_and(|due| due <= now.instant) => {
                let from = (waiting.pipeline, waiting.attempts);
                self.settle(context, &waiting.record.view(), now, from, outputs)
            }
            early => {
                self.waiting = early;
                Progress::Waits
            }
        }
    }

    fn settle(
        &mut self,
        context: &Context,
        record: &Record<'_>,
        now: &mut Now,
        (first, mut attempts): (usize, u32),
        outputs: &mut Vec<Output>,
    ) -> Progress {
        for (index, pipeline) in self.pipelines.iter_mut().enumerate().skip(first) {
            if let Settled::Wait { attempts, due, kind } = pipeline.settle(context, record, now, attempts, outputs) {
                let record = OwnedRecord::of(record);
                self.waiting = Some(Waiting { record, pipeline: index, attempts, due, kind });
                return Progress::Waits;
            }
            attempts = 0;
        }
        self.position = record.offset + 1;
        self.consumed += 1;
        Progress::Done
    }

    /// Replaces a plugin's version in every stage that runs it, between two
    /// records; a record that waits for it is tried again at once.
    ///
    /// # Errors
    /// When an instance of the new version cannot be made: the stages swapped
    /// so far go back, the old version goes on.
    pub fn swap(&mut self, engine: &Engine, version: &Arc<Version>, now: Instant) -> Result<(), Failure> {
        let runs = |stage: &&mut Stage| stage.plan.scope.plugin == version.plugin();
        let mut swapped: Vec<(&mut Stage, Arc<Version>)> = Vec::new();
        for stage in self.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.stages).filter(runs) {
            let old = stage.version.clone();
            if let Err(failure) = stage.swap(engine, version) {
                for (stage, old) in swapped {
                    stage.retire();
                    stage.version = old;
                }
                return Err(failure);
            }
            swapped.push((stage, old));
        }
        for (index, pipeline) in self.pipelines.iter_mut().enumerate() {
            pipeline.name_versions();
            let concerned = pipeline.stages.iter().any(|stage| stage.plan.scope.plugin == version.plugin());
            if let Some(waiting) = self.waiting.as_mut().filter(|waiting| concerned && waiting.pipeline == index) {
                (waiting.attempts, waiting.due) = (0, Some(now));
            }
        }
        Ok(())
    }

    /// When a waiting record is to be tried again.
    pub fn due(&self) -> Option<Instant> {
        self.waiting.as_ref().and_then(|waiting| waiting.due)
    }

    pub fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// The offset to commit, where it differs from the committed one.
    pub fn uncommitted(&self) -> Option<i64> {
        (self.committed != Some(self.position)).then_some(self.position)
    }

    pub fn position(&self) -> i64 {
        self.position
    }

    /// Moves past offsets that hold no record: transaction markers, compacted ones.
    pub fn skip_to(&mut self, position: i64) {
        if self.waiting.is_none() {
            self.position = self.position.max(position);
        }
    }

    /// The group has committed `offset`: what was staged up to there is durable.
    pub fn committed(&mut self, offset: i64, now_ms: u64) {
        self.committed = Some(offset);
        for stage in self.stages_mut() {
            if let Err(error) = stage.cache.sweep(now_ms) {
                tracing::warn!(%error, "expired entries are not removed yet");
            }
        }
    }

    fn stages_mut(&mut self) -> impl Iterator<Item = &mut Stage> {
        self.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.stages)
    }

    /// Hands each stage's counts since the last time to `take`.
    pub fn drain_tallies(&mut self, mut take: impl FnMut(&StagePlan, Tally)) {
        for stage in self.stages_mut() {
            stage.gather_counts();
            take(&stage.plan, std::mem::take(&mut stage.tally));
        }
    }

    /// What goes along when the partition moves to another worker of this process.
    pub fn carry(self) -> Carried {
        let caches = |pipeline: Pipeline| pipeline.stages.into_iter().map(|stage| *stage.cache).collect();
        Carried {
            committed: self.committed,
            waiting: self.waiting,
            caches: self.pipelines.into_iter().map(caches).collect(),
        }
    }

    /// Takes over what another worker's task left, unless the partition moved
    /// on elsewhere in between: then it is stale and dropped. Whether it was taken.
    pub fn adopt(&mut self, carried: Carried) -> bool {
        if carried.committed != Some(self.position) {
            return false;
        }
        for (pipeline, caches) in self.pipelines.iter_mut().zip(carried.caches) {
            for (stage, cache) in pipeline.stages.iter_mut().zip(caches) {
                *stage.cache = cache;
            }
        }
        self.waiting = carried.waiting;
        true
    }

    /// What other threads see of this task.
    pub fn view(&self, worker: usize) -> View {
        let state = match &self.waiting {
            None => PartitionState::Running,
            Some(Waiting { due: Some(_), .. }) => PartitionState::Retrying,
            Some(_) => PartitionState::Held,
        };
        let stages = self.pipelines.iter().flat_map(|pipeline| &pipeline.stages).map(StageView::of);
        View {
            worker,
            state,
            failure: self.waiting.as_ref().map(|waiting| waiting.kind),
            position: self.position,
            committed: self.committed,
            end: None,
            stages: stages.collect(),
        }
    }
}
