//! What others see of tasks: written by their worker, read by anyone.

use serde::Serialize;

use crate::kafka::PartitionEnd;

/// ```text
///  assigned                                    a record waits
///  ─▶ waiting-for-version ─▶ restoring ─▶ running ◀──────────────▶ retrying, held,
///                             ▲ ▼           │ ▲                    waiting-for-instance, unreadable
///                         state-mismatch    │ └─▶ no-progress: commits are taken back
///                       bounded end reached │
///                                           ▼
///                                        finished
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionState {
    /// Another host's version of a plugin was the last to process it, and this
    /// one does not know it as an earlier one.
    WaitingForVersion,
    /// Its state is opened or rebuilt; records wait in the topic.
    Restoring,
    /// Its state does not belong to the group's offset; records wait in the topic
    /// until a person decides.
    StateMismatch,
    Running,
    /// Someone has paused it.
    Paused,
    /// A record or a timer is tried again later; the partition is paused until then.
    Retrying,
    /// A record or a timer failed for good; the partition waits for a new version.
    Held,
    /// The host has fewer instances than its partitions need, and none is free.
    WaitingForInstance,
    /// Its records cannot be read; it is tried again.
    Unreadable,
    /// Its work was taken back several times in turn, and nothing was committed
    /// in between.
    NoProgress,
    /// `--bounded`: everything up to the end found at start is processed.
    Finished,
}

impl PartitionState {
    pub const ALL: [PartitionState; 11] = [
        PartitionState::WaitingForVersion,
        PartitionState::Restoring,
        PartitionState::StateMismatch,
        PartitionState::Running,
        PartitionState::Paused,
        PartitionState::Retrying,
        PartitionState::Held,
        PartitionState::WaitingForInstance,
        PartitionState::Unreadable,
        PartitionState::NoProgress,
        PartitionState::Finished,
    ];

    pub fn name(self) -> &'static str {
        match self {
            PartitionState::WaitingForVersion => "waiting-for-version",
            PartitionState::Restoring => "restoring",
            PartitionState::StateMismatch => "state-mismatch",
            PartitionState::Running => "running",
            PartitionState::Paused => "paused",
            PartitionState::Retrying => "retrying",
            PartitionState::Held => "held",
            PartitionState::WaitingForInstance => "waiting-for-instance",
            PartitionState::Unreadable => "unreadable",
            PartitionState::NoProgress => "no-progress",
            PartitionState::Finished => "finished",
        }
    }
}

impl PartitionState {
    /// Whether it stays so until someone does something about it, other than a record.
    pub fn needs_someone(self) -> bool {
        use PartitionState::{Held, StateMismatch, Unreadable, WaitingForVersion};
        matches!(self, WaitingForVersion | StateMismatch | Held | Unreadable)
    }
}

/// One topic partition, as of its worker's last commit or change.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    pub worker: usize,
    pub state: PartitionState,
    /// Kind of the failure that the partition waits for.
    pub failure: Option<&'static str>,
    /// The version that it waits for, as `plugin@digest`.
    pub awaits: Option<String>,
    /// Why its state does not belong to the group's offset, and the ways out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<String>,
    /// Offset of the next record.
    pub position: i64,
    pub committed: Option<i64>,
    /// The partition's end, where it is known: as far as this group may read.
    pub end: Option<i64>,
    /// Offsets behind an open transaction, where the partition is processed up to
    /// it: nobody may read them before it ends.
    pub open_transaction: Option<i64>,
    /// Up to where the client has read, and found nothing after what is processed:
    /// transaction markers take offsets.
    #[serde(skip)]
    pub read_to: i64,
    /// Restoring: changelog records still to read, where known.
    pub remaining: Option<i64>,
    pub stages: Vec<StageView>,
    /// Parked records are on their way, which a bounded run waits for.
    #[serde(skip)]
    pub releasing: bool,
}

impl View {
    /// Offsets between the position and the end: 0 where nothing is left that this
    /// group may read.
    pub fn lag(&self) -> Option<i64> {
        self.end.map(|end| (end - self.read_to.max(self.position)).max(0))
    }

    /// Where the partition ends, as the client or the brokers say.
    pub fn set_end(&mut self, end: Option<PartitionEnd>) {
        self.end = end.map(|end| end.stable);
        let behind = end.filter(|end| self.read_to.max(self.position) >= end.stable && end.high > end.stable);
        self.open_transaction = behind.map(|end| end.high - end.stable);
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
    /// Records and timers that are parked, all of them with the pipeline's first stage …
    pub quarantined_records: u64,
    /// … and record keys of which something is parked.
    pub quarantined_keys: u64,
    /// Event time, milliseconds since the Unix epoch; none where no record had a timestamp.
    pub watermark: Option<u64>,
}
