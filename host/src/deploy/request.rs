//! What others ask of the deployer, through its thread.

use tokio::sync::oneshot;

use super::{Decided, Flowing, Outcome, Refusal, Who};
use crate::state::Decision;

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
    /// Carry out what someone decided about state that does not belong to the
    /// group's offset: of a pipeline's partitions, or one of them.
    Settle {
        pipeline: String,
        partition: Option<u32>,
        decision: Decision,
        who: Who,
        answer: oneshot::Sender<Result<Decided, Refusal>>,
    },
}
