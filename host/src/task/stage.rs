//! One stage of one task: the plugin's version in force, its instance, its cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Now;
use crate::config::Isolation;
use crate::observe::Tally;
use crate::plan::StagePlan;
use crate::plugin::{Call, Capsule, Counts, Digest, Emitted, Engine, Failure, Instance, Soft, Version};
use crate::record::Record;
use crate::state::{Cache, Domain, StateError, Timer};

pub struct Stage {
    pub plan: Arc<StagePlan>,
    pub version: Arc<Version>,
    pub cache: Box<Cache>,
    pub tally: Tally,
    /// The limit of the cache that the call which failed last had met, with its value.
    pub refused: Option<(Soft, u64)>,
    /// The call that failed last, where the stage keeps capsules.
    capsule: Option<Box<Capsule>>,
    /// Limits that the log has named since the version came: once is enough.
    told: Vec<Soft>,
    /// The log has said that timers stand still.
    told_of_timers: bool,
    /// None until the next record, and after a failure that spoilt it.
    instance: Option<Instance>,
}

impl Stage {
    pub fn new(plan: Arc<StagePlan>, version: Arc<Version>, mut cache: Cache) -> Stage {
        if version.takes_timers() {
            cache.keep_origins();
        }
        Stage {
            plan,
            version,
            cache: Box::new(cache),
            tally: Tally::default(),
            refused: None,
            capsule: None,
            told: Vec::new(),
            told_of_timers: false,
            instance: None,
        }
    }

    /// Calls the plugin; the pipeline counts how it went, and keeps or undoes what
    /// it wrote.
    ///
    /// # Errors
    /// Whatever ended the call; a spoilt instance is gone by then.
    pub fn call(&mut self, engine: &Engine, call: Call<'_>, now: &mut Now) -> Result<Vec<Emitted>, Failure> {
        (self.refused, self.capsule) = (None, None);
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(Instance::new(engine, &self.version, &self.plan.scope)?),
        };
        if self.plan.capsules.is_some() {
            self.cache.note();
        }
        let outcome = call.make(instance, now.wall_ms, &mut self.cache);
        let seen = self.cache.take_seen();
        if let Err(failure) = &outcome {
            let (scope, digest) = (&self.plan.scope, self.version.digest());
            self.capsule = seen
                .map(|seen| Box::new(Capsule::new(scope, &digest, call, failure, seen, instance.life(), now.wall_ms)));
        }
        // One reading of the clock a call: it began at the one before.
        let ended = Instant::now();
        self.tally.times.record(ended.duration_since(now.instant));
        now.instant = ended;
        self.refused = outcome.as_ref().err().and_then(|_| instance.refused());
        let spoilt = outcome.as_ref().is_err_and(Failure::spoils_instance);
        if spoilt || self.plan.scope.isolation == Isolation::Record {
            self.retire();
        }
        outcome
    }

    /// Its next timer that is due: event time before processing time, of which
    /// those up to `last` have had their turn.
    ///
    /// # Errors
    /// When the store failed.
    pub fn next_timer(&mut self, now_ms: u64, last: Option<&Timer>) -> Result<Option<Timer>, StateError> {
        if let Some(watermark) = self.cache.watermark()
            && let Some(timer) = self.cache.due(Domain::EventTime, watermark, None)?
        {
            return Ok(Some(timer));
        }
        self.cache.due(Domain::ProcessingTime, now_ms, last)
    }

    /// Whether its timers may fire. Those that another version scheduled stand
    /// still until one comes that takes them.
    pub fn takes_timers(&mut self) -> bool {
        let takes = self.version.takes_timers();
        let pending = self.cache.pending();
        if !takes && pending > 0 && !self.told_of_timers {
            self.told_of_timers = true;
            let (scope, digest) = (&self.plan.scope, self.version.digest().short());
            tracing::warn!(
                pipeline = scope.pipeline,
                stage = scope.stage,
                plugin = scope.plugin,
                digest,
                pending,
                "timers stand still: this version exports no timer-processor; deploy one that does",
            );
        }
        takes
    }

    /// The record failed before any call.
    pub fn forget_call(&mut self) {
        (self.refused, self.capsule) = (None, None);
    }

    /// The record or the timer has failed for good: its last call goes to a file.
    pub fn keep_capsule(&mut self) {
        let (Some(capsule), Some(folder)) = (self.capsule.take(), &self.plan.capsules) else { return };
        let (pipeline, stage) = (&*capsule.pipeline, &*capsule.stage);
        match capsule.write(folder) {
            Ok(Some(path)) => {
                tracing::info!(pipeline, stage, file = %path.display(), "the failed call is kept: `gregor plugin test --capsule` repeats it");
            }
            Ok(None) => {
                tracing::debug!(pipeline, stage, "the failed call is not kept: there are enough, or it is too large")
            }
            Err(error) => tracing::warn!(pipeline, stage, %error, "the failed call cannot be kept"),
        }
    }

    /// Replaces the version, between two records. The cache stays.
    ///
    /// # Errors
    /// When the new version cannot be instantiated; the old one goes on.
    pub fn swap(&mut self, engine: &Engine, version: &Arc<Version>) -> Result<(), Failure> {
        let instance = Instance::new(engine, version, &self.plan.scope)?;
        self.retire();
        self.told.clear();
        self.told_of_timers = false;
        if version.takes_timers() {
            self.cache.keep_origins();
        }
        self.version = version.clone();
        self.instance = Some(instance);
        Ok(())
    }

    /// Calls the version's `migrate` on the state that version `from` left; the
    /// caller keeps or undoes what it writes. As [`Instance::migrate`].
    ///
    /// # Errors
    /// Whatever ended the call; the instance is gone by then.
    pub fn migrate(
        &mut self,
        engine: &Engine,
        from: Digest,
        at: &Record<'_>,
        now_ms: u64,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(Instance::new(engine, &self.version, &self.plan.scope)?),
        };
        self.cache.begin_migration(now_ms);
        let outcome = instance.migrate(&self.version, from, at, now_ms, timeout, &mut self.cache);
        if let Err(failure) = &outcome {
            let scope = &self.plan.scope;
            if let (Some(_), Some(text)) = (scope.log, failure.guest_text()) {
                tracing::warn!(target: "gregor::guest", pipeline = scope.pipeline, stage = scope.stage, "{text:?}");
            }
            self.retire();
        }
        outcome
    }

    /// Lets the instance go; the next record gets a fresh one.
    pub fn retire(&mut self) {
        self.gather_counts();
        self.instance = None;
    }

    /// Takes over what the instance counted, before it is handed to the metrics.
    pub fn gather_counts(&mut self) {
        let Some(instance) = &mut self.instance else { return };
        let refusals = instance.take_refusals();
        self.tally.counts.push(instance.take_counts());
        for (soft, times) in refusals.met() {
            self.tally.refused.push((soft, times));
            if !self.told.contains(&soft) {
                self.told.push(soft);
                self.tell(soft);
            }
        }
    }

    /// One line for an operator, for as long as the version runs.
    fn tell(&self, soft: Soft) {
        let scope = &self.plan.scope;
        let value = match soft {
            Soft::CacheBytes => scope.cache.bytes,
            Soft::ValueBytes => scope.cache.value,
            Soft::LogLines => u64::from(scope.limits.log_lines),
            Soft::MetricNames => Counts::MAX_NAMES as u64,
        };
        let digest = self.version.digest().short();
        tracing::warn!(
            pipeline = scope.pipeline,
            stage = scope.stage,
            plugin = scope.plugin,
            digest,
            limit = soft.name(),
            value,
            "the plugin meets a limit; its calls go on, gregor_plugin_refusals_total counts further ones",
        );
    }
}
