//! Metrics of the copies that this host keeps of others' partitions.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::observe::views::behind;
use crate::plan::StoreId;
use crate::state::Copies;

/// How far each copy is behind, as of one scrape.
#[derive(Debug)]
pub struct StandbyCopies(Vec<(StoreId, u64)>);

impl StandbyCopies {
    pub fn of(copies: &Copies) -> StandbyCopies {
        StandbyCopies(behind(copies))
    }
}

impl Collector for StandbyCopies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Changelog records that a standby copy is behind, at most.";
        let mut remaining = encoder.encode_descriptor("standby_remaining_records", help, None, MetricType::Gauge)?;
        for (id, behind) in &self.0 {
            let partition = id.partition.to_string();
            let labels = [("pipeline", &*id.pipeline), ("stage", &*id.stage), ("partition", &*partition)];
            remaining.encode_family(&labels)?.encode_gauge(behind)?;
        }
        Ok(())
    }
}
