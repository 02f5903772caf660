//! What the control plane asks of a worker, done between two records.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::oneshot;

use super::{Pause, SetBack, Settle};
use crate::state::{Found, Lookup, StateError};
use crate::task::InForce;

pub enum Command {
    /// Replace the version of a plugin in every stage that runs it.
    Swap(Swap),
    /// Pause or resume partitions.
    Pause(Pause),
    /// Set event time back.
    SetWatermarkBack(SetBack),
    /// Carry out what someone decided about state that does not belong to the
    /// group's offset.
    Settle(Settle),
    /// What a stage's state holds in this worker's partitions, as of the last
    /// record that they processed.
    Look { lookup: Arc<Lookup>, answer: oneshot::Sender<Result<Vec<Found>, StateError>> },
    /// Finish the record in work, commit, leave the group and end.
    Stop,
}

/// A version that is to take over, and what it comes after.
pub struct Swap {
    pub to: InForce,
    /// Where the version migrates state: all workers take over, or none.
    pub agreement: Option<Agreement>,
    pub answer: Sender<Swapped>,
}

/// How the workers agree on a swap that migrates state.
pub struct Agreement {
    /// Gets nothing where the worker's partitions are migrated, as far as it
    /// can go back; else why not.
    pub ready: Sender<Option<String>>,
    /// Whether all are; no word, by a hang-up, is no.
    pub go: Receiver<bool>,
}

/// A worker's answer to [`Command::Swap`].
#[derive(Debug)]
pub struct Swapped {
    pub worker: usize,
    /// How long records waited for the swap.
    pub pause: Duration,
    /// Why this worker stays with the old version.
    pub refused: Option<String>,
}
