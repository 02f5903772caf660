//! What the control plane asks of a worker, done between two records.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::plugin::Version;
use crate::state::{Found, Lookup, StateError};

pub enum Command {
    /// Replace the version of a plugin in every stage that runs it.
    Swap { version: Arc<Version>, answer: Sender<Swapped> },
    /// What a stage's state holds in this worker's partitions, as of the last
    /// record that they processed.
    Look { lookup: Arc<Lookup>, answer: oneshot::Sender<Result<Vec<Found>, StateError>> },
    /// Finish the record in work, commit, leave the group and end.
    Stop,
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
