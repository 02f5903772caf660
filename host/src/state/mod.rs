//! State of plugins: entries of one stage for one topic partition.
//!
//! [`Cache`] is what a plugin sees through `gregor:plugin/cache`: staging and
//! undo for each record and for each commit interval, expiry, quotas, ordered
//! scans. Below it is a [`StateStore`], one file for each backend.

mod cache;
pub mod changelog;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod conformance;
mod disk;
mod inspect;
mod line;
mod local;
mod lookup;
mod memory;
mod mismatch;
mod noted;
mod open;
mod parked;
mod redis;
mod stamp;
mod standby;
mod store;
mod survey;
mod timers;

pub use self::redis::{Redis, RedisStood, RedisStore};
pub use cache::{Cache, CacheError, Seen};
pub use disk::{Disk, DiskStore, Standing};
pub use line::Line;
pub use lookup::{Found, Looked, Lookup, MAX_ENTRIES, Placed, Wanted};
pub use memory::MemoryStore;
pub use mismatch::{Decision, Held, Mismatch};
pub use noted::{Noted, ordered};
pub use open::{At, DISK_FOLDER, How, OpenError, Opened, Opener, Stores};
pub use parked::{Parked, is_parked};
pub use stamp::{Ground, Log, Point, STAMP, Stamp, is_stamp};
pub use standby::{Copies, Standby};
pub use store::{Checkpoint, Commit, Entry, Key, Origin, Page, StateError, StateStore};
pub use survey::{Local, Place, Survey, Verdict, Whereabouts, adopted};
pub use timers::{Domain, RESERVED, Timer};
