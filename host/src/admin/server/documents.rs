//! The JSON documents of the API.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use super::Status;
use crate::admin::views::{Views, behind, sorted};
use crate::record::TopicPartition;
use crate::state::StoreId;
use crate::task::View;

/// `/api/v1/status`: a host as a whole.
#[derive(Serialize)]
pub struct Host<'a> {
    app: &'a str,
    host: &'a str,
    version: &'a str,
    uptime_seconds: u64,
    workers: usize,
    /// How many partitions are in each state; states without one are left out.
    partitions: BTreeMap<&'static str, usize>,
    /// Records still to process over all partitions; `null` while the end of
    /// one is not known.
    lag: Option<i64>,
    /// Copies that it keeps of others' partitions.
    standby: Vec<Standby>,
}

/// A warm copy of a stage's state for one partition.
#[derive(Serialize)]
struct Standby {
    pipeline: String,
    stage: String,
    partition: i32,
    /// Changelog records that it is behind, at most.
    remaining: u64,
}

impl<'a> Host<'a> {
    pub fn of(status: &'a Status, now: SystemTime) -> Host<'a> {
        let views = sorted(&status.views);
        let mut partitions = BTreeMap::new();
        for (_, view) in &views {
            *partitions.entry(view.state.name()).or_default() += 1;
        }
        Host {
            app: &status.app,
            host: &status.host,
            version: status.version,
            uptime_seconds: now.duration_since(status.started).unwrap_or_default().as_secs(),
            workers: status.health.workers(),
            partitions,
            lag: views.iter().map(|(_, view)| view.lag()).sum(),
            standby: behind(&status.copies).into_iter().map(Standby::from).collect(),
        }
    }
}

impl From<(StoreId, u64)> for Standby {
    fn from((id, remaining): (StoreId, u64)) -> Standby {
        Standby { pipeline: id.pipeline, stage: id.stage, partition: id.partition, remaining }
    }
}

/// An entry of `/api/v1/partitions`.
#[derive(Serialize)]
pub struct Partition {
    topic: String,
    partition: i32,
    lag: Option<i64>,
    #[serde(flatten)]
    view: View,
}

/// `/api/v1/partitions`: all partitions of this host, by topic and partition.
pub fn partitions(views: &Views) -> Vec<Partition> {
    let partition = |(id, view): (TopicPartition, View)| Partition {
        topic: id.topic.to_string(),
        partition: id.partition,
        lag: view.lag(),
        view,
    };
    sorted(views).into_iter().map(partition).collect()
}

/// An entry of `/api/v1/plugins`: the version of a plugin that is in force.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    pub plugin: String,
    /// Of the version in force.
    pub digest: String,
    /// When it came into force, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Why the last version offered was refused, if it was.
    pub refused: Option<String>,
}

/// `/api/v1/plugins`: all plugins, by name.
pub fn plugins(plugins: &dashmap::DashMap<String, PluginStatus>) -> Vec<PluginStatus> {
    let mut listed: Vec<_> = plugins.iter().map(|plugin| plugin.value().clone()).collect();
    listed.sort_by(|one, other| one.plugin.cmp(&other.plugin));
    listed
}
