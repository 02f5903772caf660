//! State of plugins: entries of one stage for one topic partition.
//!
//! [`Cache`] is what a plugin sees through `gregor:plugin/cache`: staging and
//! undo for each record and for each commit interval, expiry, quotas, ordered
//! scans. Below it is a [`StateStore`], one file for each backend.

mod cache;
mod memory;
mod store;

pub use cache::{Cache, CacheError, CacheLimits};
pub use memory::MemoryStore;
pub use store::{Checkpoint, Commit, Entry, Origin, Page, StateError, StateStore, StoreId};
