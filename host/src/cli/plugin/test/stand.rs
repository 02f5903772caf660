//! A host's tasks with no Kafka around them: records in, lines out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::json::Json;
use super::records::{Given, Step};
use super::{MAX_SIZE, line};
use crate::clock::Now;
use crate::config::{Backend, Config, FutureRecords, OnFailure};
use crate::files::{foreign, private};
use crate::kafka::partitioner;
use crate::kafka::topics::{Topic, Topics};
use crate::plan::Plan;
use crate::plugin::{Blame, Capsule, Engine, Failure, Instance, Refused, Version};
use crate::position::Position;
use crate::record::{Output, Record, TopicPartition};
use crate::redrive::{Failed, Letter};
use crate::state::{Cache, MemoryStore};
use crate::task::{Context, InForce, Progress, Task, Versions};

/// Where records that fail for good go, unless the configuration names a topic.
const DEAD_LETTER: &str = "gregor-test-dead-letter";
/// Kafka's default for `max.message.bytes`.
const MAX_BATCH_BYTES: u64 = 1_048_588;
/// Failures whose plugin's words are kept at once.
const CAPSULES: u32 = 1_000;

/// Why a stage cannot be set up: not the test's fault, but its plugin's.
#[derive(Debug, thiserror::Error)]
#[error("{} is refused: {reason}", file.display())]
pub struct Unfit {
    file: PathBuf,
    reason: Refused,
}

/// One pipeline, with a task for each partition that has records.
pub struct Stand {
    context: Context,
    plan: Arc<Plan>,
    versions: Versions,
    partitions: i32,
    tasks: BTreeMap<i32, Task>,
    /// Milliseconds since the Unix epoch: never back, as the clock of a host.
    now_ms: u64,
    /// The test's beginning, on the machine's clock and on its own.
    since: Option<(Instant, u64)>,
    /// What the host would keep of failed calls.
    folder: tempfile::TempDir,
}

impl Stand {
    /// The pipeline called `name` of `config`, its stages' components in `files`. Its
    /// state is in memory, and whatever its policy, records that fail for good become
    /// dead letters, to be shown.
    ///
    /// # Errors
    /// [`Unfit`] when a component is refused or does not start with its configuration.
    pub fn new(mut config: Config, name: &str, files: &[PathBuf], partitions: i32) -> anyhow::Result<Stand> {
        let folder = private::folder("gregor-test-")?;
        config.host.data_dir = folder.path().to_owned();
        let pipeline = config.pipelines.iter_mut().find(|pipeline| pipeline.name == name);
        let pipeline = pipeline.with_context(|| format!("there is no pipeline {name:?} in the configuration"))?;
        // The clock stands where the file's times put it, which may be nowhere.
        (pipeline.max_future, pipeline.future) = (Duration::MAX, FutureRecords::Clamp);
        pipeline.dead_letter.get_or_insert_with(|| DEAD_LETTER.to_owned());
        for stage in &mut pipeline.stages {
            stage.on_failure = OnFailure::DeadLetter;
            stage.capsules = CAPSULES;
            (stage.state.backend, stage.state.changelog) = (Backend::Memory, false);
        }
        let pipeline = pipeline.clone();
        let memory = pipeline.stages.iter().map(|stage| stage.limits.memory).max().unwrap_or_default();
        let stages = u32::try_from(pipeline.stages.len()).unwrap_or(u32::MAX);
        let engine = Engine::new(stages.saturating_mul(partitions.unsigned_abs()).saturating_add(1), memory)
            .map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let plan = Arc::new(Plan::new(&config, &pipeline));
        let mut versions = Versions::new();
        for (stage, file) in plan.stages.iter().zip(files) {
            let plugin = &stage.scope.plugin;
            let unfit = |reason| Unfit { file: file.clone(), reason };
            if !versions.contains_key(plugin) {
                let bytes = foreign::read(file, MAX_SIZE).with_context(|| format!("cannot read {}", file.display()))?;
                let version = Version::compile(&engine, plugin, &bytes, MAX_SIZE).map_err(unfit)?;
                versions.insert(plugin.clone(), InForce::first(Arc::new(version)));
            }
            Instance::new(&engine, &versions[plugin].version, &stage.scope).map_err(|failure| {
                unfit(Refused::Start { stage: stage.scope.stage.clone(), reason: failure.to_string() })
            })?;
        }
        let named = plan.outputs().chain([&plan.source]);
        // A letter is shown, not sent: one of any size.
        let most = |name| if plan.dead_letter.as_ref() == Some(name) { u64::MAX } else { MAX_BATCH_BYTES };
        let topics: Topics = named.map(|name| Topic::new(name.clone(), partitions, most(name))).collect();
        let context = Context { engine, topics: Arc::new(topics), worker: "test/0".into(), exactly_once: false };
        Ok(Stand { context, plan, versions, partitions, tasks: BTreeMap::new(), now_ms: 0, since: None, folder })
    }

    /// What comes out of `step`, behind what the timers give that are due by then.
    ///
    /// # Errors
    /// When the record or a timer can neither succeed nor fail: no instance can be had for it.
    pub fn feed(&mut self, step: &Step) -> anyhow::Result<Vec<Json>> {
        match step {
            Step::AdvanceTo(to) => self.advance(*to).with_context(|| format!("advanceTo {to}")),
            Step::Record(given) => self.record(given).with_context(|| match &given.case {
                Some(case) => format!("line {} ({case})", given.line),
                None => format!("line {}", given.line),
            }),
        }
    }

    fn record(&mut self, given: &Given) -> anyhow::Result<Vec<Json>> {
        let by_key = || given.key.as_ref().map_or(0, |key| partitioner::partition(key, self.partitions));
        let partition = given.partition.unwrap_or_else(by_key);
        if !(0..self.partitions).contains(&partition) {
            bail!("partition {partition} is past --partitions {}", self.partitions);
        }
        let mut lines = self.advance(u64::try_from(given.timestamp).unwrap_or(0))?;
        let (quiet_from, mut now) = (self.now(), self.now());
        let plan = &self.plan;
        let task = self.tasks.entry(partition).or_insert_with(|| {
            let memory = plan
                .stages
                .iter()
                .map(|stage| Cache::new(Box::<MemoryStore>::default(), stage.scope.cache, stage.origins));
            let id = TopicPartition::new(plan.source.clone(), partition);
            Task::new(id, std::slice::from_ref(plan), &self.versions, Position::at(0), true, vec![memory.collect()])
        });
        let record = Record {
            topic: &plan.source,
            partition,
            offset: task.position().next,
            timestamp: given.timestamp,
            key: given.key.as_deref(),
            value: given.value.as_deref(),
            headers: &given.headers,
        };
        let mut outputs = Vec::new();
        let progress = task.process(&self.context, &record, &mut now, &mut outputs);
        settle(task, &self.context, progress, &mut now, &mut outputs)?;
        // What follows in the file has not come yet: the partition is quiet from now on.
        task.reached_end(task.position().next);
        task.has_due(&quiet_from);
        lines.extend(outputs.iter().map(|output| self.line(output, Some(record.timestamp))));
        Ok(lines)
    }

    /// Moves the clock to `to`, from one timer of processing time to the next: a host's
    /// clock jumps past none. Event time follows where the pipeline has an idle timeout.
    fn advance(&mut self, to: u64) -> anyhow::Result<Vec<Json>> {
        self.since.get_or_insert_with(|| (Instant::now(), to));
        let mut outputs = Vec::new();
        loop {
            let ahead = |at: &u64| *at > self.now_ms && *at <= to;
            let next = self.tasks.values().filter_map(Task::next_by_clock).min().filter(ahead);
            self.now_ms = self.now_ms.max(next.unwrap_or(to));
            let mut now = self.now();
            for task in self.tasks.values_mut() {
                if task.has_due(&now) {
                    let progress = task.fire(&self.context, &mut now, &mut outputs);
                    settle(task, &self.context, progress, &mut now, &mut outputs)?;
                }
            }
            if next.is_none() {
                return Ok(outputs.iter().map(|output| self.line(output, None)).collect());
            }
        }
    }

    fn now(&self) -> Now {
        let passed = |began_ms: u64| Duration::from_millis(self.now_ms.saturating_sub(began_ms));
        let instant = self.since.and_then(|(began, began_ms)| began.checked_add(passed(began_ms)));
        Now { instant: instant.unwrap_or_else(Instant::now), wall_ms: self.now_ms }
    }

    /// `timestamp`: that of the record in work.
    fn line(&self, output: &Output, timestamp: Option<i64>) -> Json {
        let Output { topic, key, value, headers, .. } = output;
        let is_dead = self.plan.dead_letter.as_ref() == Some(topic);
        let Some(letter) = Letter::read(key.as_deref(), value.as_deref(), headers).filter(|_| is_dead) else {
            return line::output(output, self.plan.sink.as_deref(), timestamp);
        };
        let timer = match &letter.failed {
            Failed::Timer(timer) => Some(timer.name()),
            Failed::Record(_) => None,
        };
        let reason = self.words(&letter).or(letter.reason).unwrap_or_default();
        line::failed(key.as_deref(), timer, &letter.stage, &letter.error, &reason)
    }

    /// The plugin's own words for the failure that `letter` tells of.
    fn words(&self, letter: &Letter) -> Option<String> {
        let folder = self.plan.stages.iter().find(|plan| plan.scope.stage == letter.stage)?.capsules.as_ref()?;
        debug_assert!(folder.path.starts_with(self.folder.path()));
        let its = |capsule: &Capsule| {
            let failed = match (capsule.timer(), &letter.failed) {
                (None, Failed::Record(offset)) => capsule.offset() == *offset,
                (Some(fired), Failed::Timer(timer)) => {
                    (fired.domain, fired.at, fired.name()) == (timer.domain, timer.at, timer.name())
                }
                _ => false,
            };
            failed && capsule.stage == letter.stage && capsule.topic_partition().1 == letter.partition
        };
        let files = std::fs::read_dir(&folder.path).ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let mut kept = files.filter_map(|file| Capsule::read(&file).ok().map(|capsule| (file, capsule)));
        let (file, capsule) = kept.find(|(_, capsule)| its(capsule))?;
        // Read once: there is room for the next.
        drop(std::fs::remove_file(file));
        capsule.outcome.guest_text
    }
}

/// Sees what waits in `task` through: nobody waits here, a backoff is over at once.
fn settle(
    task: &mut Task,
    context: &Context,
    mut progress: Progress,
    now: &mut Now,
    outputs: &mut Vec<Output>,
) -> anyhow::Result<()> {
    while progress == Progress::Waits {
        let failure = task.view(0).failure.unwrap_or("unknown");
        let due = task.due().filter(|_| failure != "no-instance" && Failure::blame(failure) != Blame::Host);
        let Some(due) = due else { bail!("it cannot be processed: {failure}") };
        now.instant = due;
        progress = task.retry(context, now, outputs);
    }
    Ok(())
}
