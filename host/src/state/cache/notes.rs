//! What stood under keys before they were written, so that writes can be undone: at
//! most twice as many notes as keys, and bounded for one call.

use hashbrown::HashSet;

use super::{Cache, CacheError};
use crate::state::store::{Entry, Key};

/// Bytes that a note takes besides its key and value, and about what the host needs
/// for an entry that is new.
const BESIDE: u64 = 128;
/// So many notes are made before it is looked for two of one key.
const FEW: usize = 1_024;

/// Notes, the oldest first. The first one of a key tells what stood there at first.
pub(super) struct Notes {
    all: Vec<(Key, Option<Entry>)>,
    /// How many there may be before later notes of a key are taken out.
    most: usize,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes { all: Vec::new(), most: FEW }
    }
}

impl Notes {
    /// Bytes of later notes that were taken out meanwhile, as [`cost`] counts them.
    pub fn push(&mut self, key: Key, previous: Option<Entry>) -> u64 {
        let freed = if self.all.len() >= self.most { self.keep_first() } else { 0 };
        self.all.push((key, previous));
        freed
    }

    /// Takes out all but the first note of each key; the bytes of the others.
    pub fn keep_first(&mut self) -> u64 {
        let (mut seen, mut freed) = (HashSet::<Key, foldhash::fast::RandomState>::default(), 0);
        self.all.retain(|(key, previous)| {
            let first = seen.insert(key.clone());
            if !first {
                freed += cost(key, previous.as_ref());
            }
            first
        });
        self.most = FEW.max(2 * self.all.len());
        freed
    }

    /// The newest note, taken out.
    pub fn pop(&mut self) -> Option<(Key, Option<Entry>)> {
        let note = self.all.pop();
        if note.is_none() {
            self.clear();
        }
        note
    }

    /// Gives each note to `take`, the oldest first.
    pub fn drain(&mut self, mut take: impl FnMut(Key, Option<Entry>)) {
        self.all.drain(..).for_each(|(key, previous)| take(key, previous));
        self.clear();
    }

    /// What a call that wrote much has used is given back.
    pub fn clear(&mut self) {
        self.all.clear();
        self.all.shrink_to(FEW);
        self.most = FEW;
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn as_slice(&self) -> &[(Key, Option<Entry>)] {
        &self.all
    }
}

fn cost(key: &str, previous: Option<&Entry>) -> u64 {
    BESIDE + key.len() as u64 + previous.map_or(0, |entry| entry.value.len() as u64)
}

impl Cache {
    /// Notes what stood under `key` before the record in work wrote it, unless that
    /// was written by the record itself.
    pub(super) fn note_before(&mut self, key: Key, previous: Option<Entry>) {
        if let Some(own) = previous.as_ref().filter(|entry| self.wrote(entry)) {
            self.kept = self.kept.saturating_sub(own.value.len() as u64);
            return;
        }
        self.kept = self.kept.saturating_add(cost(&key, previous.as_ref()));
        let freed = self.undo.push(key, previous);
        self.kept = self.kept.saturating_sub(freed);
    }

    /// Whether the record in work wrote it.
    fn wrote(&self, entry: &Entry) -> bool {
        (entry.interval, entry.unit) == (self.interval, self.unit)
    }

    /// Whether the call makes the host keep no more than it may. A migration writes
    /// the whole state, which has bounds of its own.
    pub(super) fn within_call(&self) -> Result<(), CacheError> {
        match self.kept > self.limits.call && !self.migrating {
            true => Err(CacheError::CallMemory { bytes: self.kept, limit: self.limits.call }),
            false => Ok(()),
        }
    }

    /// Bytes that the writes of this commit interval make the host keep until its end.
    pub fn kept(&self) -> u64 {
        self.kept_before.saturating_add(self.kept)
    }
}
