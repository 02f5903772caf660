//! Versions of plugins: found, checked off the record's path, handed to every
//! worker. Whatever fails leaves the running version as it is.
//!
//! ```text
//! Watch ──── a file changed ───┐
//! admin API ── a Request ──────┼─► Deployer ─► Loader: outline, signature, capabilities, code, init
//! Probation ── too many fail ──┘       └─────► History, Audit, then every worker: Command::Swap
//! ```
//!
//! Each plugin has a [`Watch`] and a [`Deployer`] of its own, on a thread: a slow
//! compilation keeps no other plugin waiting, and no pause ([`Flows`]).

mod arrival;
mod capabilities;
mod deployer;
mod error;
mod flow;
mod history;
mod loader;
mod probation;
mod refusal;
mod request;
pub mod signature;
mod start;
mod status;
mod watch;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

pub use deployer::Deployer;
pub use error::StartError;
pub use flow::Flows;
pub use history::{History, Kept};
pub use loader::Loader;
pub use refusal::Refusal;
pub use request::{Answer, Request};
pub use start::{Records, Started};
pub use status::PluginStatus;
pub use watch::Watch;
pub use workers::Workers;

use crate::plugin::Digest;
use crate::worker::SetBackTo;

/// Plugins as the admin API shows them, by name.
pub type PluginStatuses = Arc<DashMap<String, PluginStatus>>;

/// Partitions that were paused or resumed.
#[derive(Debug, PartialEq, Eq)]
pub struct Flowing {
    pub topic: Arc<str>,
    /// None for all of the topic's.
    pub partition: Option<i32>,
    pub paused: bool,
}

/// Partitions whose event time was set back.
#[derive(Debug, PartialEq, Eq)]
pub struct SetBack {
    pub topic: Arc<str>,
    /// By partition; those that were not past the time are not there.
    pub partitions: Vec<SetBackTo>,
}

/// Partitions that were held as `state-mismatch` and are opened as someone decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    pub topic: Arc<str>,
    /// In order; those of this host.
    pub partitions: Vec<i32>,
}

/// What a deployment came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Activated {
        digest: Digest,
        /// The longest of any worker's records.
        pause: Duration,
    },
    /// The same bytes as the running version.
    Unchanged(Digest),
}
