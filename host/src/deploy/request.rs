//! What others ask of the deployer, through its plugin's thread.

use tokio::sync::oneshot;

use super::{Outcome, Refusal};
use crate::observe::Who;

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
}
