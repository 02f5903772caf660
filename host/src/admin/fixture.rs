//! An admin server for tests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Admin, Status};
use crate::config::Secret;
use crate::deploy::PluginStatus;
use crate::deploy::{Flows, Workers};
use crate::files::OwnedFolder;
use crate::observe::Audit;
use crate::observe::{Health, Metrics, Views};
use crate::observe::{PartitionState, StageView, View};
use crate::plan::StoreId;
use crate::record::TopicPartition;

/// A host of two workers with partitions 10 and 2 of `locations` and a copy of
/// partition 4, served on a
/// free port until it is dropped.
pub struct Served {
    pub url: String,
    pub status: Arc<Status>,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    pub fn start(token: Option<&str>) -> Served {
        let (pipeline, stage) = ("locations".to_owned(), "last-location".to_owned());
        let copy = StoreId { pipeline, stage, partition: 4 };
        let status = Arc::new(Status {
            app: "patient-locations".to_owned(),
            host: "ward-3".to_owned(),
            version: "1.2.3",
            started: SystemTime::now() - std::time::Duration::from_secs(90),
            views: Arc::new(views()),
            copies: Arc::new([(copy, 12)].into_iter().collect()),
            metrics: Metrics::new(),
            health: Arc::new(Health::new(2)),
            plugins: Arc::default(),
            deploys: super::DeployAccess::new(HashMap::new(), Arc::new(no_flows()), 1 << 10),
            state: super::StateAccess {
                stages: vec![("locations".to_owned(), "last-location".to_owned())],
                workers: Vec::new(),
            },
        });
        let plugin = PluginStatus {
            plugin: "last-location".to_owned(),
            digest: "0123456789abcdef".repeat(4),
            since: 1_800_000_000_000,
            ..PluginStatus::default()
        };
        status.plugins.insert(plugin.plugin.clone(), plugin);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let token = token.map(|token| Secret::from(token.to_owned()));
        let bound = Admin::bind("127.0.0.1:0".parse().unwrap(), token, Vec::new(), status.clone());
        let (address, serve) = runtime.block_on(bound).unwrap();
        runtime.spawn(serve);
        Served { url: format!("http://{address}"), status, _runtime: runtime }
    }

    /// Lets every worker join its group.
    pub fn join(&self) {
        (0..self.status.health.workers()).for_each(|worker| self.status.health.joined(worker));
    }

    /// Makes worker 1 look as if it had hung for two minutes.
    pub fn hang(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        self.status.health.beat(1, now - 120_000);
    }
}

/// Of no pipeline.
fn no_flows() -> Flows {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(&OwnedFolder::open(folder.path()).unwrap()).unwrap();
    Flows::new(&[], Arc::new(std::iter::empty().collect()), Workers::new(Vec::new()), audit)
}

/// Partition 2 runs and its end is known; partition 10 is held and its is not.
pub fn views() -> Views {
    let stage = |plugin: &str, entries, bytes| StageView {
        pipeline: "locations".to_owned(),
        stage: plugin.to_owned(),
        plugin: plugin.to_owned(),
        digest: "0123456789abcdef".repeat(4),
        entries,
        bytes,
        timers: 2,
        quarantined_records: entries,
        quarantined_keys: entries / 2,
        watermark: (entries > 0).then_some(1_800_000_000_500),
    };
    let views = Views::new();
    views.insert(
        TopicPartition::new("locations", 10),
        View {
            worker: 1,
            state: PartitionState::Held,
            failure: Some("trap"),
            awaits: None,
            mismatch: None,
            position: 7,
            committed: None,
            end: None,
            open_transaction: None,
            read_to: 7,
            remaining: None,
            stages: vec![stage("last-location", 0, 0)],
            releasing: false,
        },
    );
    views.insert(
        TopicPartition::new("locations", 2),
        View {
            worker: 0,
            state: PartitionState::Running,
            failure: None,
            awaits: None,
            mismatch: None,
            position: 100,
            committed: Some(90),
            end: Some(142),
            open_transaction: None,
            read_to: 100,
            remaining: None,
            stages: vec![stage("last-location", 3, 500), stage("key-by", 4, 11)],
            releasing: false,
        },
    );
    views
}
