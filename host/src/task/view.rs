//! What the admin server and the demo see of tasks: written by their worker,
//! read by anyone.

use serde::Serialize;

use super::stage::Stage;

/// ```text
///  assigned            a record waits
///  ─▶ restoring ─▶ running ◀──────────────▶ retrying, held
///                    │ bounded end reached
///                    ▼
///                 finished
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionState {
    /// Its state is opened or rebuilt; records wait in the topic.
    Restoring,
    Running,
    /// A record or a timer is tried again later; the partition is paused until then.
    Retrying,
    /// A record or a timer failed for good; the partition waits for a new version.
    Held,
    /// `--bounded`: everything up to the end found at start is processed.
    Finished,
}

impl PartitionState {
    pub const ALL: [PartitionState; 5] = [
        PartitionState::Restoring,
        PartitionState::Running,
        PartitionState::Retrying,
        PartitionState::Held,
        PartitionState::Finished,
    ];

    pub fn name(self) -> &'static str {
        match self {
            PartitionState::Restoring => "restoring",
            PartitionState::Running => "running",
            PartitionState::Retrying => "retrying",
            PartitionState::Held => "held",
            PartitionState::Finished => "finished",
        }
    }
}

/// One topic partition, as of its worker's last commit or change.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    pub worker: usize,
    pub state: PartitionState,
    /// Kind of the failure that the partition waits for.
    pub failure: Option<&'static str>,
    /// Offset of the next record.
    pub position: i64,
    pub committed: Option<i64>,
    /// The partition's end, where the client has learnt it.
    pub end: Option<i64>,
    /// Restoring: changelog records still to read, where known.
    pub remaining: Option<i64>,
    pub stages: Vec<StageView>,
}

impl View {
    /// Records between the position and the end.
    pub fn lag(&self) -> Option<i64> {
        self.end.map(|end| (end - self.position).max(0))
    }
}

/// One stage of a topic partition.
#[derive(Clone, Debug, Serialize)]
pub struct StageView {
    pub pipeline: String,
    pub stage: String,
    pub plugin: String,
    pub digest: String,
    pub entries: u64,
    pub bytes: u64,
    /// Timers that wait.
    pub timers: u64,
    /// Event time, milliseconds since the Unix epoch; none where no record had a timestamp.
    pub watermark: Option<u64>,
}

impl StageView {
    pub(super) fn of(stage: &Stage) -> StageView {
        let scope = &stage.plan.scope;
        StageView {
            pipeline: scope.pipeline.clone(),
            stage: scope.stage.clone(),
            plugin: scope.plugin.clone(),
            digest: stage.version.digest().to_string(),
            entries: stage.cache.len(),
            bytes: stage.cache.bytes(),
            timers: stage.cache.pending(),
            watermark: stage.cache.watermark(),
        }
    }
}
