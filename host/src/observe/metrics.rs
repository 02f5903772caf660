//! The counts that workers hand over at commits, and what `/metrics` shows of
//! them.

mod own;
mod partitions;
mod stages;
mod standby;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Views;
use crate::observe::Calls;
use crate::observe::Tally;
use crate::plan::StagePlan;
use crate::state::Copies;
use partitions::Partitions;
use stages::Stages;
use standby::StandbyCopies;

/// The prefix of every metric.
const PREFIX: &str = "gregor";

/// Upper bounds of `commit_seconds`: a flush of a busy producer takes
/// milliseconds, one that waits for a broker seconds.
const COMMIT_SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds of `plugin_swap_pause_seconds`: instantiation takes
/// microseconds, a plugin's own `init` as long as its time limit.
const PAUSE_SECONDS: [f64; 12] = [1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

type Labels<const N: usize> = [(&'static str, String); N];

/// The metrics of one host. A clone shows and counts the same.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Registered>);

#[derive(Debug)]
struct Registered {
    registry: Registry,
    consumed: Family<Labels<1>, Counter>,
    produced: Family<Labels<1>, Counter>,
    redriven: Family<Labels<1>, Counter>,
    aborts: Family<Labels<1>, Counter>,
    stages: Arc<Stages>,
    commits: Histogram,
    loads: Family<Labels<1>, Counter>,
    swaps: Family<Labels<2>, Counter>,
    pauses: Family<Labels<1>, Histogram>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let registered = Registered {
            registry: Registry::with_prefix(PREFIX),
            consumed: Family::default(),
            produced: Family::default(),
            redriven: Family::default(),
            aborts: Family::default(),
            stages: Arc::default(),
            commits: Histogram::new(COMMIT_SECONDS),
            loads: Family::default(),
            swaps: Family::default(),
            pauses: Family::new_with_constructor(|| Histogram::new(PAUSE_SECONDS)),
        };
        Metrics(Arc::new(registered.register()))
    }

    /// `records` of `topic` were settled: every pipeline is done with them.
    pub fn consumed(&self, topic: &str, records: u64) {
        self.0.consumed.get_or_create(&[("topic", topic.to_owned())]).inc_by(records);
    }

    /// `records` were delivered to `topic`.
    pub fn produced(&self, topic: &str, records: u64) {
        self.0.produced.get_or_create(&[("topic", topic.to_owned())]).inc_by(records);
    }

    /// A dead letter went through `pipeline` again, whatever came of it.
    pub fn redriven(&self, pipeline: &str) {
        self.0.redriven.get_or_create(&[("pipeline", pipeline.to_owned())]).inc();
    }

    /// What a worker did since its last commit was taken back for `reason`.
    pub fn abort(&self, reason: &'static str) {
        self.0.aborts.get_or_create(&[("reason", reason.to_owned())]).inc();
    }

    /// Adds what a stage of one task did since its last commit.
    pub fn stage(&self, plan: &StagePlan, tally: Tally) {
        self.0.stages.add(&plan.scope.pipeline, &plan.scope.stage, tally);
    }

    /// A commit, from the flush of its outputs to the broker's answer, took this long.
    pub fn commit(&self, took: Duration) {
        self.0.commits.observe(took.as_secs_f64());
    }

    /// A version's code was loaded: `"compiled"` for it, or `"kept"` from before.
    pub fn load(&self, source: &'static str) {
        self.0.loads.get_or_create(&[("source", source.to_owned())]).inc();
    }

    /// The calls of these stages, each named by its pipeline and its own name.
    pub fn calls<'a>(&self, stages: impl Iterator<Item = (&'a str, &'a str)>) -> Calls {
        self.0.stages.calls(stages)
    }

    /// A version of `plugin` was `"activated"`, `"refused"` or `"rolled-back"`.
    pub fn swap(&self, plugin: &str, outcome: &'static str) {
        self.0.swaps.get_or_create(&[("plugin", plugin.to_owned()), ("outcome", outcome.to_owned())]).inc();
    }

    /// The records of one worker waited this long for a swap of `plugin`.
    pub fn swap_pause(&self, plugin: &str, pause: Duration) {
        self.0.pauses.get_or_create(&[("plugin", plugin.to_owned())]).observe(pause.as_secs_f64());
    }

    /// The OpenMetrics text of all metrics; those of partitions and caches are
    /// read from `views`, those of standby copies from `copies`.
    pub fn encode(&self, views: &Views, copies: &Copies) -> String {
        let mut scraped = Registry::with_prefix(PREFIX);
        scraped.register_collector(Box::new(Partitions::of(views)));
        scraped.register_collector(Box::new(StandbyCopies::of(copies)));
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.0.registry)
            .and_then(|()| encode_registry(&mut text, &scraped))
            .and_then(|()| encode_eof(&mut text));
        if written.is_err() {
            // A monitor takes a text without its end mark for a failed scrape.
            text.clear();
        }
        text
    }
}

impl Registered {
    fn register(mut self) -> Registered {
        let registry = &mut self.registry;
        registry.register("records_consumed", "Records that every pipeline is done with", self.consumed.clone());
        registry.register("records_produced", "Records delivered to a topic", self.produced.clone());
        registry.register(
            "dead_letters_redriven",
            "Dead letters that went through their pipeline again",
            self.redriven.clone(),
        );
        registry.register(
            "aborts",
            "Commit intervals whose work was taken back and processed again, by reason",
            self.aborts.clone(),
        );
        registry.register(
            "commit_seconds",
            "Time from the flush of outputs to committed offsets",
            self.commits.clone(),
        );
        registry.register("plugin_loads", "Versions loaded, by where their code came from", self.loads.clone());
        registry.register("plugin_swaps", "Versions activated, refused and rolled back", self.swaps.clone());
        registry.register(
            "plugin_swap_pause_seconds",
            "Time that the records of one worker waited for a swap",
            self.pauses.clone(),
        );
        registry.register_collector(Box::new(self.stages.clone()));
        self
    }
}

#[cfg(test)]
mod tests;
