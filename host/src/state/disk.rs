//! Entries on disk, for state larger than memory or without a changelog.
//!
//! Reads are served from a bounded copy in memory. A commit appends one
//! checksummed record to the store's own log: the new entries, and the old
//! ones to go back to. When the log has grown to some megabytes, what it led
//! to is spilled, each key once, into a log-structured tree (`lsm-tree`, the
//! engine of fjall), and the log begins anew. Each store has its own folder,
//! so that damage or a full disk concern one store.
//!
//! Why this engine: in a trial with 5 million random inserts of 200 bytes it took
//! 27 s and 1.1 GB where redb, a copy-on-write B-tree, took 98 s and 4.3 GB;
//! redb is ahead at rewriting hot keys, which here only touch memory and the log. Why not
//! all of fjall: its journal is shared by all keyspaces, at least 64 MB long,
//! and took 2.7 s to replay; it is cut off without an error where a bit has
//! flipped, even when later journals go on; and one write that fails ends
//! writing for all keyspaces until the process restarts.

mod codec;
mod fault;
mod home;
mod hot;
mod log;
mod place;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod verify;

use std::path::Path;
use std::sync::Arc;

pub use store::{DiskStore, Standing};

use self::home::Home;
use self::place::Place;
use super::store::StateError;
use crate::plan::StoreId;

/// Bytes of a store's log from which it is spilled: few, so that reading it
/// again after a crash is short.
const SPILL: u64 = 4 << 20;

/// All stores of a host, in one folder that one process uses at a time.
#[derive(Clone)]
pub struct Disk {
    home: Arc<Home>,
}

impl Disk {
    /// Opens `dir`, which only its owner may read; makes it where there is none.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] when another process has it, or it holds
    /// something else, or is not accessible.
    pub fn open(dir: &Path) -> Result<Disk, StateError> {
        Disk::open_with(dir, SPILL)
    }

    fn open_with(dir: &Path, spill: u64) -> Result<Disk, StateError> {
        Home::open(dir, spill).map(|home| Disk { home: Arc::new(home) })
    }

    /// Removes a folder that [`Disk::open`] made, with all stores in it.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] when it is something else or in use.
    pub fn discard(dir: &Path) -> Result<(), StateError> {
        Home::discard(dir)
    }

    /// Opens a store, or makes it. Every earlier handle of it is fenced.
    /// At most about `hot_bytes` of its entries are kept in memory, beside what
    /// was changed last. With `sync` a commit waits until it is on the device;
    /// without, it outlives the process but perhaps not a loss of power, after
    /// which [`DiskStore::standing`] tells.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when it is to be wiped and rebuilt.
    pub fn store(&self, id: &StoreId, hot_bytes: u64, sync: bool) -> Result<DiskStore, StateError> {
        let mut places = self.home.places();
        let known = places.entry(id.clone()).or_default();
        let place = match known.place.upgrade() {
            Some(place) => place,
            None => {
                let dir = self.home.folder(id, known)?;
                let place = Arc::new(Place::open(self.home.clone(), &dir)?);
                known.place = Arc::downgrade(&place);
                place
            }
        };
        drop(places);
        DiskStore::open(place, hot_bytes, sync)
    }

    /// Removes a store with everything in it; its handles are fenced.
    ///
    /// # Errors
    /// When its folder cannot be removed.
    pub fn wipe(&self, id: &StoreId) -> Result<(), StateError> {
        let mut places = self.home.places();
        let known = places.entry(id.clone()).or_default();
        if let Some(place) = std::mem::take(&mut known.place).upgrade() {
            place.close();
        }
        self.home.remove(id, known)
    }

    /// How many partitions the source of a stage had when its stores were made, if that is known.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn partitions(&self, pipeline: &str, stage: &str) -> Result<Option<i32>, StateError> {
        self.home.partitions(pipeline, stage)
    }

    /// Notes how many partitions the source of a stage has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember_partitions(&self, pipeline: &str, stage: &str, count: i32) -> Result<(), StateError> {
        self.home.remember_partitions(pipeline, stage, count)
    }

    /// The stores that are here, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<StoreId>, StateError> {
        self.home.list()
    }
}
