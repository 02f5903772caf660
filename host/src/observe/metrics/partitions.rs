//! Metrics that are read from the tasks' views when they are asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::observe::PartitionState;
use crate::observe::views::{Views, sorted};
use crate::observe::{StageView, View};
use crate::record::TopicPartition;

/// The views as of one scrape.
#[derive(Debug)]
pub struct Partitions(Vec<(TopicPartition, View)>);

impl Partitions {
    pub fn of(views: &Views) -> Partitions {
        Partitions(sorted(views))
    }

    fn stages(&self) -> impl Iterator<Item = (&TopicPartition, &StageView)> {
        self.0.iter().flat_map(|(id, view)| view.stages.iter().map(move |stage| (id, stage)))
    }
}

impl Collector for Partitions {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Records between a partition's position and its end.";
        let mut lags = encoder.encode_descriptor("consumer_lag", help, None, MetricType::Gauge)?;
        for (id, view) in &self.0 {
            if let Some(lag) = view.lag() {
                let labels = [("topic", &*id.topic), ("partition", &*id.partition.to_string())];
                lags.encode_family(&labels)?.encode_gauge(&lag)?;
            }
        }
        let help = "Changelog records that a partition's restore has still to read, at most.";
        let mut remaining = encoder.encode_descriptor("restore_remaining_records", help, None, MetricType::Gauge)?;
        for (id, view) in &self.0 {
            let labels = [("topic", &*id.topic), ("partition", &*id.partition.to_string())];
            remaining.encode_family(&labels)?.encode_gauge(&view.remaining.unwrap_or(0))?;
        }
        let help = "1 for the state that a partition is in, 0 for the others.";
        let mut states = encoder.encode_descriptor("partition_state", help, None, MetricType::Gauge)?;
        for (id, view) in &self.0 {
            let partition = id.partition.to_string();
            for state in PartitionState::ALL {
                let labels = [("topic", &*id.topic), ("partition", &*partition), ("state", state.name())];
                states.encode_family(&labels)?.encode_gauge(&u64::from(view.state == state))?;
            }
        }
        let help = "Entries in the cache of a stage, for each partition.";
        let mut entries = encoder.encode_descriptor("state_entries", help, None, MetricType::Gauge)?;
        for (id, stage) in self.stages() {
            entries.encode_family(&cache(id, &id.partition.to_string(), stage))?.encode_gauge(&stage.entries)?;
        }
        let help = "Bytes of keys and values in the cache of a stage, for each partition.";
        let mut bytes = encoder.encode_descriptor("state_bytes", help, None, MetricType::Gauge)?;
        for (id, stage) in self.stages() {
            bytes.encode_family(&cache(id, &id.partition.to_string(), stage))?.encode_gauge(&stage.bytes)?;
        }
        let help = "Timers of a stage that wait, for each partition.";
        let mut pending = encoder.encode_descriptor("timers_pending", help, None, MetricType::Gauge)?;
        for (id, stage) in self.stages() {
            pending.encode_family(&cache(id, &id.partition.to_string(), stage))?.encode_gauge(&stage.timers)?;
        }
        let help = "Records and timers that are parked, for each partition; all are with the pipeline's first stage.";
        let mut records = encoder.encode_descriptor("quarantined_records", help, None, MetricType::Gauge)?;
        for (id, stage) in self.stages() {
            let partition = id.partition.to_string();
            let labels = cache(id, &partition, stage);
            records.encode_family(&labels)?.encode_gauge(&stage.quarantined_records)?;
        }
        let help = "Record keys of which something is parked, for each partition.";
        let mut keys = encoder.encode_descriptor("quarantined_keys", help, None, MetricType::Gauge)?;
        for (id, stage) in self.stages() {
            let partition = id.partition.to_string();
            let labels = cache(id, &partition, stage);
            keys.encode_family(&labels)?.encode_gauge(&stage.quarantined_keys)?;
        }
        let help = "Event time of a stage in seconds since the Unix epoch, for each partition that has one.";
        let mut watermarks = encoder.encode_descriptor("watermark_seconds", help, None, MetricType::Gauge)?;
        for (id, stage) in self.stages() {
            if let Some(watermark) = stage.watermark {
                let seconds = watermark as f64 / 1_000.0;
                watermarks.encode_family(&cache(id, &id.partition.to_string(), stage))?.encode_gauge(&seconds)?;
            }
        }
        Ok(())
    }
}

fn cache<'a>(id: &'a TopicPartition, partition: &'a str, stage: &'a StageView) -> [(&'a str, &'a str); 4] {
    [("pipeline", &stage.pipeline), ("stage", &stage.stage), ("topic", &id.topic), ("partition", partition)]
}
