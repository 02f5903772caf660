//! What the configuration says of pipelines, resolved once for all that runs.

mod names;
mod scope;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use names::{StoreId, changelog_topic, redrive_topic};
pub use scope::{CacheLimits, Scope};

use crate::config::{self, Config, Guarantee, OnFailure, Retry, Start};

/// Below `host.data-dir`.
const CAPSULES: &str = "capsules";

/// One pipeline: where its records come from, what they go through and where they go.
#[derive(Debug)]
pub struct Plan {
    pub name: String,
    pub source: Arc<str>,
    pub start: Start,
    pub sink: Option<Arc<str>>,
    pub dead_letter: Option<Arc<str>>,
    /// Where its dead letters come back from; none where it has none.
    pub redrive: Option<Arc<str>>,
    pub provenance: bool,
    /// What a record may be earlier than the latest so far, in milliseconds,
    /// without being late.
    pub max_out_of_orderness: u64,
    /// Without a record for so long, event time goes on by the clock.
    pub idle_timeout: Option<Duration>,
    /// How far past the host's clock a record's timestamp may be, in milliseconds.
    pub max_future: u64,
    /// What becomes of a record that is past it.
    pub future: config::FutureRecords,
    /// Largest record that its plugins are given, in bytes of key, value and headers.
    pub max_record_bytes: u64,
    /// Most headers of such a record.
    pub max_headers: usize,
    /// What one task parks at most.
    pub quarantine: config::Quarantine,
    /// A short name of the host, for offsets' metadata.
    pub host: String,
    pub stages: Vec<Arc<StagePlan>>,
}

/// A plugin's place in a pipeline.
#[derive(Debug)]
pub struct StagePlan {
    pub scope: Arc<Scope>,
    /// Topics besides the sink that the stage may write to.
    pub topics: Vec<Arc<str>>,
    pub on_failure: OnFailure,
    pub retry: Retry,
    pub state: config::State,
    /// Longest call of a version's `migrate`.
    pub migrate_timeout: Duration,
    /// Where calls that failed are kept, if they are.
    pub capsules: Option<CapsuleFolder>,
    /// The topic that its state's changes go to.
    pub changelog: Option<Arc<str>>,
    /// A short name of the stage, for offsets' metadata.
    pub tag: String,
    /// Whether its state remembers the key of the record that wrote an entry: what
    /// a change of the partition count needs.
    pub origins: bool,
}

/// Where a stage's capsules go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapsuleFolder {
    pub path: PathBuf,
    /// Files of one stage that are kept; further ones are not written.
    pub most: u32,
}

impl Plan {
    pub fn new(config: &Config, pipeline: &config::Pipeline) -> Plan {
        Plan {
            name: pipeline.name.clone(),
            source: pipeline.source.as_str().into(),
            start: pipeline.start,
            sink: pipeline.sink.as_deref().map(Arc::from),
            dead_letter: pipeline.dead_letter.as_deref().map(Arc::from),
            redrive: pipeline.dead_letter.as_ref().map(|_| redrive_topic(&config.app, &pipeline.name).into()),
            provenance: pipeline.provenance,
            max_out_of_orderness: u64::try_from(pipeline.max_out_of_orderness.as_millis()).unwrap_or(u64::MAX),
            idle_timeout: pipeline.idle_timeout,
            max_future: u64::try_from(pipeline.max_future.as_millis()).unwrap_or(u64::MAX),
            future: pipeline.future,
            max_record_bytes: pipeline.max_record_bytes,
            max_headers: pipeline.max_headers,
            quarantine: pipeline.quarantine,
            host: names::tag(&[&config.host.id]),
            stages: pipeline
                .stages
                .iter()
                .map(|stage| Arc::new(StagePlan::new(config, &pipeline.name, stage)))
                .collect(),
        }
    }

    /// Whether any of its state outlives the process.
    pub fn is_durable(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_durable())
    }

    /// Every changelog topic of the pipeline.
    pub fn changelogs(&self) -> impl Iterator<Item = &Arc<str>> {
        self.stages.iter().filter_map(|stage| stage.changelog.as_ref())
    }

    /// Every topic that the pipeline writes to for others.
    pub fn outputs(&self) -> impl Iterator<Item = &Arc<str>> {
        let granted = self.stages.iter().flat_map(|stage| &stage.topics);
        self.sink.iter().chain(&self.dead_letter).chain(granted)
    }
}

impl StagePlan {
    /// Its store for `partition` of the source.
    pub fn store(&self, partition: i32) -> StoreId {
        StoreId { pipeline: self.scope.pipeline.clone(), stage: self.scope.stage.clone(), partition }
    }

    /// Whether its state outlives the process.
    pub fn is_durable(&self) -> bool {
        self.changelog.is_some() || self.state.backend.is_durable()
    }

    fn new(config: &Config, pipeline: &str, stage: &config::Stage) -> StagePlan {
        let state = stage.state.clone();
        StagePlan {
            scope: Arc::new(Scope::new(pipeline, stage)),
            tag: names::tag(&[pipeline, &stage.name]),
            topics: stage.topics.iter().map(|topic| topic.as_str().into()).collect(),
            on_failure: stage.on_failure,
            retry: stage.retry.clone(),
            migrate_timeout: config.plugins.migrate_timeout,
            capsules: (stage.capsules > 0)
                .then(|| CapsuleFolder { path: config.host.data_dir.join(CAPSULES), most: stage.capsules }),
            changelog: state.changelog.then(|| changelog_topic(&config.app, pipeline, &stage.name).into()),
            origins: config.delivery.guarantee == Guarantee::ExactlyOnce
                || state.changelog
                || state.backend.is_durable(),
            state,
        }
    }
}
