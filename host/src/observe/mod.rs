//! What others see of a host: its metrics, its health, how each partition is, and the
//! audit log.
//!
//! Workers write it once a commit; the admin server, the demo and an auditor read it.
//! Nothing here asks a worker for anything, and no label or line holds a record's key
//! or value.

pub mod audit;
mod health;
mod metrics;
mod tally;
mod view;
pub mod views;

pub use audit::{Audit, Settled, Who};
pub use health::Health;
pub use metrics::Metrics;
pub use tally::{BUCKETS, CallTimes, Calls, Tally};
pub use view::{PartitionState, StageView, View};
pub use views::Views;
