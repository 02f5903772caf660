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
const TAKEN: [&str; 18] = [
    "calls",
    "calls_total",
    "refusals",
    "refusals_total",
    "traps",
    "traps_total",
    "loads",
    "loads_total",
    "swaps",
    "swaps_total",
    "call_seconds",
    "call_seconds_bucket",
    "call_seconds_count",
    "call_seconds_sum",
    "swap_pause_seconds",
    "swap_pause_seconds_bucket",
    "swap_pause_seconds_count",
    "swap_pause_seconds_sum",
];

/// All stages' own metrics.
#[derive(Debug, Default)]
pub struct Own {
    totals: Named<u64>,
    gauges: Named<f64>,
    /// How many series each stage has.
    used: HashMap<StageLabels, usize>,
}

/// Values by the plugin's name for them, then by stage.
type Named<T> = BTreeMap<String, BTreeMap<StageLabels, T>>;

impl Own {
    /// Adds `counts` to totals and puts them in the place of gauges.
    pub fn add(&mut self, labels: &StageLabels, counts: Counts) {
        for (name, by) in counts.totals {
            let free = !taken(&name) && !taken(&format!("{name}_total")) && !self.is_gauge(&name);
            if let Some(total) = series(&mut self.totals, &mut self.used, labels, name, free) {
                *total = total.saturating_add(by);
            }
        }
        for (name, value) in counts.gauges {
            let free = !taken(&name) && !self.is_total(&name);
            if let Some(gauge) = series(&mut self.gauges, &mut self.used, labels, name, free) {
                *gauge = value;
            }
        }
    }

    /// Whether a total `name` would show a name that a gauge has.
    fn is_gauge(&self, name: &str) -> bool {
        self.gauges.contains_key(name) || self.gauges.contains_key(&format!("{name}_total"))
    }

    /// Whether a gauge `name` would show a name that a total has.
    fn is_total(&self, name: &str) -> bool {
        self.totals.contains_key(name) || name.strip_suffix("_total").is_some_and(|stem| self.totals.contains_key(stem))
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

fn taken(name: &str) -> bool {
    TAKEN.contains(&name)
}

/// The series of `labels` under `name`, made where the name is free and the
/// stage has not used up its names.
fn series<'a, T: Default>(
    named: &'a mut Named<T>,
    used: &mut HashMap<StageLabels, usize>,
    labels: &StageLabels,
    name: String,
    free: bool,
) -> Option<&'a mut T> {
    let known = named.get(&name).is_some_and(|stages| stages.contains_key(labels));
    if !known {
        let used = used.entry(labels.clone()).or_default();
        if !free || *used >= MAX_NAMES {
            return None;
        }
        *used += 1;
    }
    Some(named.entry(name).or_default().entry(labels.clone()).or_default())
}
