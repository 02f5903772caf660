//! Metrics of plugins' own, named by guests: bounded in number and kept from
//! taking a name of the host's.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::stages::{StageLabels, counter};
use crate::plugin::Counts;

/// Names that one stage may use over the host's life: an instance is bounded
/// itself, but each commit and each version may bring other names.
const MAX_NAMES: usize = 64;

/// Names after `gregor_plugin_` that are the host's own.
const TAKEN: [&str; 7] = ["calls", "refusals", "traps", "loads", "swaps", "call_seconds", "swap_pause_seconds"];

/// What OpenMetrics puts behind a metric's name, by the metric's type. Two names that
/// differ in these alone may show one series, and a strict reader then refuses the page.
const SUFFIXES: [&str; 8] = ["_total", "_created", "_bucket", "_count", "_sum", "_info", "_gcount", "_gsum"];

/// All stages' own metrics.
#[derive(Debug, Default)]
pub struct Own {
    totals: Named<u64>,
    gauges: Named<f64>,
    /// The metric that has a name, by what is left of it without suffixes.
    stems: HashMap<String, Metric>,
    /// How many series each stage has.
    used: HashMap<StageLabels, usize>,
}

/// Values by the plugin's name for them, then by stage.
type Named<T> = BTreeMap<String, BTreeMap<StageLabels, T>>;

#[derive(Debug, PartialEq, Eq)]
struct Metric {
    name: String,
    is_total: bool,
}

impl Own {
    /// Adds `counts` to totals and puts them in the place of gauges; how many were
    /// left out: their name is another metric's, or one more than the stage may have.
    pub fn add(&mut self, labels: &StageLabels, counts: Counts) -> u64 {
        let mut left_out = 0;
        for (name, by) in counts.totals {
            let known = self.totals.get(&name).is_some_and(|stages| stages.contains_key(labels));
            if known || self.admits(labels, &name, true) {
                let total = self.totals.entry(name).or_default().entry(labels.clone()).or_default();
                *total = total.saturating_add(by);
            } else {
                left_out += 1;
            }
        }
        for (name, value) in counts.gauges {
            let known = self.gauges.get(&name).is_some_and(|stages| stages.contains_key(labels));
            if known || self.admits(labels, &name, false) {
                self.gauges.entry(name).or_default().insert(labels.clone(), value);
            } else {
                left_out += 1;
            }
        }
        left_out
    }

    /// Whether a stage may show one more series, under this name; it counts from then on.
    fn admits(&mut self, labels: &StageLabels, name: &str, is_total: bool) -> bool {
        let (stem, metric) = (stem(name), Metric { name: name.to_owned(), is_total });
        let free = !TAKEN.contains(&stem) && self.stems.get(stem).is_none_or(|owner| *owner == metric);
        let used = self.used.entry(labels.clone()).or_default();
        let admitted = free && *used < MAX_NAMES;
        if admitted {
            *used += 1;
            self.stems.insert(stem.to_owned(), metric);
        }
        admitted
    }

    pub fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (name, stages) in &self.totals {
            let name = format!("plugin_{name}");
            let mut metric = encoder.encode_descriptor(&name, "A plugin's own count.", None, MetricType::Counter)?;
            for (labels, total) in stages {
                counter(&mut metric, labels, *total)?;
            }
        }
        for (name, stages) in &self.gauges {
            let name = format!("plugin_{name}");
            let mut metric = encoder.encode_descriptor(&name, "A plugin's own gauge.", None, MetricType::Gauge)?;
            for (labels, value) in stages {
                metric.encode_family(labels)?.encode_gauge(value)?;
            }
        }
        Ok(())
    }
}

/// The name without what OpenMetrics may put behind one.
fn stem(name: &str) -> &str {
    let mut stem = name;
    while let Some(shorter) = SUFFIXES.iter().find_map(|suffix| stem.strip_suffix(suffix)) {
        stem = shorter;
    }
    stem
}
