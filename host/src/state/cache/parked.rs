//! Records and timers that are parked, kept as entries of the host's own.

use super::{Cache, CacheError};
use crate::state::parked::Parked;
use crate::state::store::{Entry, Key, StateError};

impl Cache {
    /// Whether something of this record key is parked.
    pub fn is_quarantined(&self, record_key: Option<&[u8]>) -> bool {
        self.quarantine.holds(record_key)
    }

    /// Parks the record in work, of this source partition, as `value`: behind
    /// all that is parked. It is the caller's to bound how much that is.
    ///
    /// # Errors
    /// [`CacheError::ValueTooLarge`] or [`CacheError::Store`].
    pub fn park(&mut self, partition: i32, value: Vec<u8>) -> Result<(), CacheError> {
        // Its record key goes along, in the changelog in a header.
        let beside = self.record_key.as_ref().map_or(0, Vec::len);
        if (value.len() + beside) as u64 > self.limits.value {
            return Err(CacheError::ValueTooLarge(self.limits.value));
        }
        Ok(self.insert(&self.quarantine.next_key(partition), value, None)?)
    }

    /// Puts another value in the place of what is parked under `key`, where all
    /// that is parked has `room` bytes.
    ///
    /// # Errors
    /// As [`Cache::park`], and [`CacheError::QuotaExceeded`].
    pub fn park_again(&mut self, key: &str, value: Vec<u8>, room: u64) -> Result<(), CacheError> {
        if value.len() as u64 > self.limits.value {
            return Err(CacheError::ValueTooLarge(self.limits.value));
        }
        let freed = self.store.get(key)?.map_or(0, |entry| entry.value.len() as u64);
        if self.quarantine.parked().bytes.saturating_sub(freed) + value.len() as u64 > room {
            return Err(CacheError::QuotaExceeded(room));
        }
        Ok(self.insert(key, value, None)?)
    }

    /// What is parked under `key`; nothing where it is no more.
    ///
    /// # Errors
    /// When the store failed.
    pub fn parked_under(&mut self, key: &str) -> Result<Option<&Entry>, StateError> {
        self.store.get(key)
    }

    /// Takes away what is parked under `key`, in the record in work.
    ///
    /// # Errors
    /// When the store failed.
    pub fn unpark(&mut self, key: &str) -> Result<(), StateError> {
        if let Some((key, entry)) = self.remove(key)? {
            self.note_before(key, Some(entry));
        }
        Ok(())
    }

    /// The entry of each record key that was parked first, and those of all
    /// records without a key.
    pub fn heads(&self) -> impl Iterator<Item = &Key> {
        self.quarantine.heads()
    }

    /// The entry of a record key that was parked first.
    pub fn head(&self, record_key: &[u8]) -> Option<&Key> {
        self.quarantine.head(record_key)
    }

    /// How much is parked.
    pub fn parked(&self) -> Parked {
        self.quarantine.parked()
    }
}
