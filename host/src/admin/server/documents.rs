//! The JSON documents of the API.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use super::Status;
use crate::deploy::Kept;
use crate::deploy::PluginStatus;
use crate::observe::View;
use crate::observe::Views;
use crate::observe::views::{behind, sorted};
use crate::plan::StoreId;
use crate::record::TopicPartition;

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

/// `/api/v1/plugins/{plugin}`: one plugin, and its versions, newest first.
#[derive(Serialize)]
pub struct Plugin<'a> {
    #[serde(flatten)]
    status: &'a PluginStatus,
    versions: Vec<KeptVersion<'a>>,
}

#[derive(Serialize)]
struct KeptVersion<'a> {
    digest: String,
    bytes: u64,
    since: u64,
    by: &'a str,
    imports: Vec<&'a str>,
    rolled_back: bool,
}

impl<'a> From<&'a PluginStatus> for Plugin<'a> {
    fn from(status: &'a PluginStatus) -> Plugin<'a> {
        let version = |kept: &'a Kept| KeptVersion {
            digest: kept.digest.to_string(),
            bytes: kept.bytes,
            since: kept.since,
            by: &kept.by,
            imports: kept.imports.iter().map(String::as_str).collect(),
            rolled_back: kept.rolled_back,
        };
        Plugin { status, versions: status.versions.iter().rev().map(version).collect() }
    }
}

/// `/api/v1/plugins`: all plugins, by name.
pub fn plugins(plugins: &dashmap::DashMap<String, PluginStatus>) -> Vec<PluginStatus> {
    let mut listed: Vec<_> = plugins.iter().map(|plugin| plugin.value().clone()).collect();
    listed.sort_by(|one, other| one.plugin.cmp(&other.plugin));
    listed
}
