//! What stages did, summed over all tasks, shown as metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::own::Own;
use crate::observe::Calls;
use crate::observe::tally::is_of_plugin;
use crate::observe::{BUCKETS, CallTimes, Tally};
use crate::plugin::{Blame, Failure, Soft};
use crate::state::Domain;

/// A stage's labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct StageLabels {
    pub pipeline: String,
    pub stage: String,
}

/// Totals of all stages. Workers add to it once for each commit.
#[derive(Debug, Default)]
pub struct Stages(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    stages: BTreeMap<StageLabels, Totals>,
    own: Own,
}

#[derive(Debug)]
struct Totals {
    ok: u64,
    failed: BTreeMap<&'static str, u64>,
    released: u64,
    released_failed: u64,
    fired: [u64; 2],
    retries: u64,
    skipped: u64,
    future: u64,
    dead_letters: BTreeMap<&'static str, u64>,
    refused: BTreeMap<Soft, u64>,
    times: CallTimes,
}

impl Default for Totals {
    fn default() -> Totals {
        // All from the start, at zero: a series that appears at 1 hides its first failure
        // from `increase()`.
        let zeros = || Failure::KINDS.iter().map(|(kind, _)| (*kind, 0)).collect();
        Totals {
            ok: 0,
            failed: zeros(),
            released: 0,
            released_failed: 0,
            fired: [0; 2],
            retries: 0,
            skipped: 0,
            future: 0,
            dead_letters: zeros(),
            refused: Soft::ALL.into_iter().map(|soft| (soft, 0)).collect(),
            times: CallTimes::default(),
        }
    }
}

impl Stages {
    pub fn add(&self, pipeline: &str, stage: &str, tally: Tally) {
        let labels = StageLabels { pipeline: pipeline.to_owned(), stage: stage.to_owned() };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out: u64 = tally.counts.into_iter().map(|counts| all.own.add(&labels, counts)).sum();
        let totals = all.stages.entry(labels).or_default();
        *totals.refused.entry(Soft::MetricNames).or_default() += left_out;
        totals.ok += tally.ok;
        totals.released += tally.released;
        totals.released_failed += tally.released_failed;
        totals.fired.iter_mut().zip(tally.fired).for_each(|(total, more)| *total += more);
        totals.retries += tally.retries;
        totals.skipped += tally.skipped;
        totals.future += tally.future;
        totals.times.add(&tally.times);
        for (kind, count) in tally.failed {
            *totals.failed.entry(kind).or_default() += count;
        }
        for (kind, count) in tally.dead_letters {
            *totals.dead_letters.entry(kind).or_default() += count;
        }
        for (soft, times) in tally.refused {
            *totals.refused.entry(soft).or_default() += times;
        }
    }
}

impl Stages {
    /// Calls so far, as of each worker's last commit, but for what was parked:
    /// others than those by which a version is judged. Failures are the plugin's
    /// own, never those of a record or of the host.
    pub fn calls<'a>(&self, stages: impl Iterator<Item = (&'a str, &'a str)>) -> Calls {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut calls = Calls::default();
        for (pipeline, stage) in stages {
            let labels = StageLabels { pipeline: pipeline.to_owned(), stage: stage.to_owned() };
            let Some(totals) = all.stages.get(&labels) else { continue };
            let own = totals.failed.iter().filter(|(kind, _)| is_of_plugin(kind));
            let failed: u64 = own.map(|(_, count)| count).sum();
            calls.failed += failed.saturating_sub(totals.released_failed);
            calls.all += (totals.ok + failed).saturating_sub(totals.released);
        }
        calls
    }
}

impl Collector for Stages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.encode_calls(&mut encoder)?;
        all.encode_outcomes(&mut encoder)?;
        all.own.encode(&mut encoder)
    }
}

impl All {
    fn encode_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut calls = encoder.encode_descriptor(
            "plugin_calls",
            "Calls of a plugin, by outcome: ok or the kind of failure.",
            None,
            MetricType::Counter,
        )?;
        for (labels, totals) in &self.stages {
            counter(&mut calls, &labels.with("outcome", "ok"), totals.ok)?;
            for (kind, count) in &totals.failed {
                counter(&mut calls, &labels.with("outcome", kind), *count)?;
            }
        }
        let help = "Time that calls of a plugin took.";
        let mut seconds = encoder.encode_descriptor("plugin_call_seconds", help, None, MetricType::Histogram)?;
        for (labels, totals) in &self.stages {
            let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(totals.times.buckets).collect();
            let (sum, count) = (totals.times.sum, totals.times.count());
            seconds.encode_family(labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        let help = "Calls that a trap or a limit ended, by reason.";
        let mut traps = encoder.encode_descriptor("plugin_traps", help, None, MetricType::Counter)?;
        for (labels, totals) in &self.stages {
            for (kind, count) in totals.failed.iter().filter(|(kind, _)| Failure::blame(kind) == Blame::Breach) {
                counter(&mut traps, &labels.with("reason", kind), *count)?;
            }
        }
        let help = "Limits that plugins met without their call ending, by limit.";
        let mut refusals = encoder.encode_descriptor("plugin_refusals", help, None, MetricType::Counter)?;
        for (labels, totals) in &self.stages {
            for (soft, times) in &totals.refused {
                counter(&mut refusals, &labels.with("limit", soft.name()), *times)?;
            }
        }
        Ok(())
    }

    fn encode_outcomes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Timers that fired, whatever came of them.";
        let mut fired = encoder.encode_descriptor("timers_fired", help, None, MetricType::Counter)?;
        for (labels, totals) in &self.stages {
            for (domain, count) in Domain::ALL.into_iter().zip(totals.fired) {
                counter(&mut fired, &labels.with("domain", domain.name()), count)?;
            }
        }
        let help = "Further tries of records and timers that failed.";
        let mut retries = encoder.encode_descriptor("retries", help, None, MetricType::Counter)?;
        for (labels, totals) in &self.stages {
            counter(&mut retries, labels, totals.retries)?;
        }
        let help = "Failed records and timers left out, as the stage's on-failure policy says.";
        let mut skipped = encoder.encode_descriptor("records_skipped", help, None, MetricType::Counter)?;
        for (labels, totals) in &self.stages {
            counter(&mut skipped, labels, totals.skipped)?;
        }
        let help = "Records with a timestamp past the host's clock by more than max-future.";
        let mut future = encoder.encode_descriptor("future_records", help, None, MetricType::Counter)?;
        for (labels, totals) in &self.stages {
            counter(&mut future, labels, totals.future)?;
        }
        let help = "Failed records and timers sent to the dead-letter topic, by kind of failure.";
        let mut letters = encoder.encode_descriptor("dead_letters", help, None, MetricType::Counter)?;
        for (labels, totals) in &self.stages {
            for (kind, count) in &totals.dead_letters {
                counter(&mut letters, &labels.with("reason", kind), *count)?;
            }
        }
        Ok(())
    }
}

impl StageLabels {
    fn with<'a>(&'a self, name: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
        [("pipeline", &self.pipeline), ("stage", &self.stage), (name, value)]
    }
}

/// Writes one series of a counter.
pub fn counter(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
}
