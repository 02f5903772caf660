//! State of plugins: entries of one stage for one topic partition.
//!
//! [`Cache`] is what a plugin sees through `gregor:plugin/cache`: staging and
//! undo for each record, expiry, quotas, ordered scans. Below it is a store;
//! `memory` is the only one so far.

mod cache;
mod memory;

pub use cache::{Cache, CacheError, CacheLimits};
