//! The processing of one topic partition: records in, outcome out. No Kafka in it.

mod entries;
mod event_time;
mod letter;
mod migration;
mod order;
mod outputs;
mod pipeline;
mod progress;
mod provenance;
mod quarantine;
mod readiness;
mod redriving;
mod refusals;
mod rollback;
mod stage;
mod stamps;
mod timers;
mod trouble;
mod unit;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use migration::Succession;
use pipeline::Pipeline;
use progress::Waiting;
use redriving::Redriving;
use stage::Stage;
use stamps::Stamps;

pub use order::{Ran, Recorded, Standing};
pub use progress::Progress;
pub use readiness::Readiness;
pub use refusals::Refusal;
pub use trouble::Trouble;

use crate::kafka::topics::Topics;
use crate::observe::Tally;
use crate::plan::{Plan, StagePlan};
use crate::plugin::{Engine, Failure, Version};
use crate::position::Position;
use crate::record::TopicPartition;
use crate::state::{Cache, Entry, Found, Lookup, StateError};

/// What a worker lends its tasks.
pub struct Context {
    pub engine: Engine,
    pub topics: Arc<Topics>,
    /// `host/worker`, for lineage headers.
    pub worker: Arc<str>,
    /// Outputs and offsets are committed together.
    pub exactly_once: bool,
}

/// A plugin's version in force.
#[derive(Clone)]
pub struct InForce {
    pub version: Arc<Version>,
    /// What the host knows of the versions before it.
    pub standing: Arc<Standing>,
}

/// What is in force, by plugin.
pub type Versions = HashMap<String, InForce>;

impl InForce {
    /// A version that no other came before.
    pub fn first(version: Arc<Version>) -> InForce {
        InForce { version, standing: Arc::default() }
    }
}

pub struct Task {
    pub id: TopicPartition,
    pipelines: Vec<Pipeline>,
    waiting: Option<Waiting>,
    position: Position,
    /// What the group has committed, or would begin at without.
    committed: Position,
    /// Whether the group has committed it.
    pinned: bool,
    /// Its state cannot go on: the task is to be opened anew at `committed`.
    broken: Option<StateError>,
    /// Rolled back: its records are to be fetched again.
    rewound: bool,
    redriving: Redriving,
    /// The pipeline whose parked records have their turn next.
    release_next: usize,
    /// The client has read the partition to its end.
    at_end: bool,
    /// Below there the partition holds nothing that was not processed.
    read_to: i64,
    /// Why its records cannot be read.
    trouble: Option<Trouble>,
    /// The group did not take its offset with the last commit.
    uncommitted: bool,
    /// So many headers of the record in work were left out: they are too many.
    left_out: usize,
    succession: Succession,
    stamps: Stamps,
    /// Someone has paused its partition.
    paused: bool,
    /// Its slot in the worker, from 1 on, for outputs that come back refused.
    slot: u16,
    /// How often in turn its work was taken back with nothing learnt from it.
    stalls: u32,
    stalled_by: Option<&'static str>,
    /// At least once: the changes of the commit under way are sent.
    sent: bool,
    /// Records settled since the last commit, for the metrics.
    pub consumed: u64,
}

/// What outlives a task when its partition moves to another worker of this process.
pub struct Carried {
    committed: Position,
    waiting: Option<Waiting>,
    caches: Vec<Vec<Cache>>,
}

impl Carried {
    /// The task that goes on with it at `position`, the group's, as `task`
    /// makes it; none if the partition moved on elsewhere in between: then this is stale.
    pub fn revive(self, position: Position, task: impl FnOnce(Vec<Vec<Cache>>) -> Task) -> Option<Task> {
        (self.committed == position).then(|| Task { waiting: self.waiting, ..task(self.caches) })
    }
}

impl Task {
    /// A task that goes on at `position`, which the group has committed where
    /// `pinned` says so. `caches` are the stages', by pipeline.
    pub fn new(
        id: TopicPartition,
        plans: &[Arc<Plan>],
        versions: &Versions,
        position: Position,
        pinned: bool,
        caches: Vec<Vec<Cache>>,
    ) -> Task {
        let of_source = || plans.iter().filter(|plan| plan.source == id.topic);
        let stamps = Stamps::of(of_source());
        let pipelines = of_source()
            .zip(caches)
            .map(|(plan, caches)| {
                // Every plugin that a stage names was loaded before the first task.
                let staged = plan.stages.iter().zip(caches).map(|(stage, cache)| {
                    Stage::new(stage.clone(), versions[&stage.scope.plugin].version.clone(), cache)
                });
                Pipeline::new(plan.clone(), staged.collect())
            })
            .collect();
        Task {
            id,
            pipelines,
            waiting: None,
            position,
            committed: position,
            pinned,
            broken: None,
            rewound: false,
            redriving: Redriving::default(),
            release_next: 0,
            at_end: false,
            read_to: 0,
            trouble: None,
            uncommitted: false,
            left_out: 0,
            succession: Succession::default(),
            stamps,
            paused: false,
            slot: 0,
            stalls: 0,
            stalled_by: None,
            sent: false,
            consumed: 0,
        }
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
            if concerned {
                self.redriving.hurry(index, now);
                pipeline.release_all();
                pipeline.refusals.forget();
            }
            if let Some(waiting) = self.waiting.as_mut().filter(|waiting| concerned && waiting.pipeline == index) {
                (waiting.attempts, waiting.due) = (0, Some(now));
            }
        }
        Ok(())
    }

    /// Whether it is held for what a topic takes: an output, or a dead letter.
    pub fn is_held_for_a_topic(&self) -> bool {
        let held = self.waiting.as_ref().filter(|waiting| waiting.due.is_none());
        held.and_then(|waiting| waiting.kind).is_some_and(Failure::is_for_a_topic)
    }

    /// Topics take something else by now: what is held for that is tried at once.
    pub fn try_held_for_topics(&mut self, now: Instant) {
        if self.is_held_for_a_topic()
            && let Some(waiting) = &mut self.waiting
        {
            (waiting.attempts, waiting.due) = (0, Some(now));
        }
    }

    /// Someone has paused its partition, or resumed it.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether there is something to commit.
    pub fn is_dirty(&self) -> bool {
        !self.pinned
            || self.committed != self.position
            || self.has_new_versions()
            || self.stages().any(|stage| stage.cache.is_changed())
    }

    /// Where it is.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the record at `offset` is the one processed last. In a rebalance
    /// the client library pauses and resumes what a member keeps, from the
    /// position it has noted itself: a record taken from its queue at that very
    /// moment comes once more.
    pub fn did_last(&self, offset: i64) -> bool {
        offset + 1 == self.position.next && self.waiting.is_none()
    }

    /// Whether the group has committed a position of this partition at all.
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Where the group has it.
    pub fn committed(&self) -> Position {
        self.committed
    }

    /// The offset of the record to fetch next: after one that waits.
    pub fn fetch_from(&self) -> i64 {
        let waiting = self.waiting.as_ref().and_then(|waiting| waiting.record.as_ref());
        waiting.map_or(self.position.next, |record| record.view().offset + 1)
    }

    /// Moves past offsets that hold no record: transaction markers, compacted ones.
    pub fn skip_to(&mut self, position: i64) {
        if self.waiting.as_ref().is_none_or(|waiting| waiting.record.is_none()) {
            self.position.next = self.position.next.max(position);
        }
    }

    /// Each entry that the commit interval changed, once, with the stage's plan
    /// and the offset of its pipeline; expired entries go on the way.
    ///
    /// # Errors
    /// What `take` answers, or that the state cannot tell.
    pub fn changes<E: From<StateError>>(
        &mut self,
        now_ms: u64,
        mut take: impl FnMut(&StagePlan, i64, &str, Option<&Entry>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.note_watermarks()?;
        self.stamp()?;
        self.sent = true;
        for (index, pipeline) in self.pipelines.iter_mut().enumerate() {
            let position = self.position.of_pipeline(index);
            for Stage { plan, cache, .. } in &mut pipeline.stages {
                match plan.is_durable() {
                    true => cache.changes(now_ms, |key, entry| take(plan, position, key, entry))?,
                    false => cache.sweep(now_ms)?,
                }
            }
        }
        Ok(())
    }

    /// Makes the state's changes durable, to go either way.
    ///
    /// # Errors
    /// When some of it is not: the commit must not go on.
    pub fn prepare(&mut self, now_ms: u64) -> Result<(), StateError> {
        for (index, pipeline) in self.pipelines.iter_mut().enumerate() {
            let (from, to) = (self.committed.of_pipeline(index), self.position.of_pipeline(index));
            pipeline.stages.iter_mut().try_for_each(|stage| stage.cache.prepare(from, to, now_ms))?;
        }
        Ok(())
    }

    /// The group has committed the position.
    pub fn finish(&mut self) {
        (self.committed, self.pinned, self.uncommitted) = (self.position, true, false);
        self.stamps.finish();
        (self.stalls, self.sent) = (0, false);
        self.finish_refusals();
        self.finish_versions();
        self.redriving.finish();
        self.pipelines.iter_mut().for_each(|pipeline| pipeline.releases.finish());
        self.stages_mut().for_each(|stage| stage.cache.finish());
    }

    /// Its state cannot go on.
    pub fn break_off(&mut self, error: StateError) {
        self.broken = Some(error);
    }

    /// Why its state cannot go on, if so.
    pub fn broken(&self) -> Option<&StateError> {
        self.broken.as_ref().or_else(|| self.stages().find_map(|stage| stage.cache.failed()))
    }

    /// Whether every store answers.
    ///
    /// # Errors
    /// The first that does not.
    pub fn ready(&mut self) -> Result<(), StateError> {
        self.stages_mut().try_for_each(|stage| stage.cache.ready())
    }

    fn stages(&self) -> impl Iterator<Item = &Stage> {
        self.pipelines.iter().flat_map(|pipeline| &pipeline.stages)
    }

    fn stages_mut(&mut self) -> impl Iterator<Item = &mut Stage> {
        self.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.stages)
    }

    /// What the stage that `lookup` names answers; nothing where it is not one
    /// of this task's, or its state is to be opened anew.
    pub fn look(&mut self, lookup: &Lookup) -> Option<Result<Found, StateError>> {
        let partition = self.id.partition;
        if self.broken().is_some() || lookup.partition.is_some_and(|wanted| wanted != partition) {
            return None;
        }
        let named =
            |stage: &&mut Stage| stage.plan.scope.pipeline == lookup.pipeline && stage.plan.scope.stage == lookup.stage;
        self.stages_mut().find(named).map(|stage| stage.cache.look(partition, lookup))
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
}
