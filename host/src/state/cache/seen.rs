//! What one call finds in a cache, noted for a capsule.

use std::collections::BTreeMap;

use super::Cache;
use crate::state::store::{Entry, StateError};

/// Bytes of what a call found that are kept for a capsule, which is no larger.
const MAX_SEEN_BYTES: u64 = 16 << 20;

/// What one call found in a cache: enough to let it happen again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What stood under each key that the call touched, before it did.
    pub entries: BTreeMap<String, Option<Entry>>,
    /// Bytes of all keys and values when it began, but of what is parked.
    pub bytes: u64,
    /// Event time of the stage, in milliseconds since the Unix epoch.
    pub watermark: Option<u64>,
    /// Bytes of `entries`.
    noted: u64,
}

impl Seen {
    pub(super) fn note(&mut self, key: &str, entry: Option<Entry>) {
        self.noted += (key.len() + entry.as_ref().map_or(0, |entry| entry.value.len())) as u64;
        self.entries.insert(key.to_owned(), entry);
    }
}

impl Cache {
    /// Notes what the next call finds, in place of what was noted before.
    pub fn note(&mut self) {
        let (bytes, watermark) = (self.own_bytes(), self.watermark);
        self.seen = Some(Box::new(Seen { bytes, watermark, ..Seen::default() }));
    }

    /// What the call found, if that was noted; to be taken before its writes are undone.
    pub fn take_seen(&mut self) -> Option<Seen> {
        self.seen.take().map(|seen| *seen)
    }

    /// As it stands before the call writes it.
    pub(super) fn see(&mut self, key: &str) -> Result<(), StateError> {
        if let Some(seen) = &mut self.seen
            && !seen.entries.contains_key(key)
        {
            let entry = self.store.get(key)?.cloned();
            seen.note(key, entry);
        }
        self.forget_seen();
        Ok(())
    }

    /// What a capsule would not take is not kept either.
    pub(super) fn forget_seen(&mut self) {
        self.seen.take_if(|seen| seen.noted > MAX_SEEN_BYTES);
    }
}
