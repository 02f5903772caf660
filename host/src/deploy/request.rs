//! What others ask of the deployer, through its thread.

use tokio::sync::oneshot;

use super::{Flowing, Outcome, Refusal, SetBack, Who};

/// Gets the outcome, or why the running version goes on.
pub type Answer = oneshot::Sender<Result<Outcome, Refusal>>;

#[derive(Debug)]
pub enum Request {
    /// Bring this component into force.
    Deploy {
        plugin: String,
        /// Or why there are none.
        bytes: Result<Vec<u8>, Refusal>,
        /// Let it import more than the version before.
        approved: bool,
        who: Who,
        answer: Answer,
    },
    /// Bring an earlier version back: the one whose digest begins with `to`,
    /// else the one before.
    RollBack { plugin: String, to: Option<String>, who: Who, answer: Answer },
    /// Pause the partitions of a pipeline's source, or one of them, or resume them.
    Flow {
        pipeline: String,
        partition: Option<u32>,
        paused: bool,
        who: Who,
        answer: oneshot::Sender<Result<Flowing, Refusal>>,
    },
    /// Set event time of a pipeline's partitions, or of one of them, back to `to`
    /// (milliseconds since the Unix epoch).
    SetWatermarkBack {
        pipeline: String,
        partition: Option<u32>,
        to: u64,
        who: Who,
        answer: oneshot::Sender<Result<SetBack, Refusal>>,
    },
}
