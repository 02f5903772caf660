//! What a commit interval changed: to be made durable, or taken back.

use hashbrown::HashSet;

use super::Cache;
use crate::state::store::{Commit, Entry, Key, StateError};

/// Expired entries that one commit removes at most, so that it stays short.
const MAX_SWEEP: usize = 10_000;

impl Cache {
    /// Whether the interval changed anything that a commit is to carry.
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Each key that the interval changed, once, with what stands there now.
    /// Expired entries go on the way.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn changes<E: From<StateError>>(
        &mut self,
        now: u64,
        mut take: impl FnMut(&str, Option<&Entry>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.sweep(now)?;
        let mut seen = HashSet::<Key, foldhash::fast::RandomState>::default();
        // The first note of a key is the one that tells what stood there before.
        self.changed.retain(|(key, _)| seen.insert(key.clone()));
        for (key, _) in &self.changed {
            take(key, self.store.get(key)?)?;
        }
        Ok(())
    }

    /// Makes the interval's changes durable in the store, to go either way.
    /// To be called after [`Cache::changes`].
    ///
    /// # Errors
    /// As [`StateStore::prepare`].
    pub fn prepare(&mut self, from: i64, to: i64, now: u64) -> Result<(), StateError> {
        self.store.prepare(&Commit { from, to, changelog: self.changelog, now, changes: &self.changed })
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn ready(&mut self) -> Result<(), StateError> {
        self.store.ready()
    }

    /// Notes `keys` as changed by this interval, so that its commit writes
    /// again what stands there.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn touch(&mut self, keys: Vec<String>) -> Result<(), StateError> {
        for key in keys {
            let entry = self.store.get(&key)?.cloned();
            self.changed.push((key.into(), entry));
        }
        Ok(())
    }

    /// The commit happened.
    pub fn finish(&mut self) {
        self.changed.clear();
        self.interval = self.interval.wrapping_add(1);
        self.settled_watermark = self.watermark;
        if let Err(error) = self.store.finish() {
            tracing::warn!(%error, "state is not finished yet; trying again with the next commit");
        }
    }

    /// The keys that the interval changed.
    pub fn changed_keys(&self) -> Vec<String> {
        self.changed.iter().map(|(key, _)| key.to_string()).collect()
    }

    /// The commit did not happen: back to what stood before the interval.
    ///
    /// # Errors
    /// When the store is to be opened anew.
    pub fn roll_back(&mut self) -> Result<(), StateError> {
        self.undo();
        while let Some((key, previous)) = self.changed.pop() {
            self.put_back(&key, previous);
        }
        self.interval = self.interval.wrapping_add(1);
        self.watermark = self.settled_watermark;
        self.store.abort()?;
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Removes entries that have expired by `now` (milliseconds since the Unix
    /// epoch); between two records.
    ///
    /// # Errors
    /// As [`StateStore::expired`].
    pub fn sweep(&mut self, now: u64) -> Result<(), StateError> {
        for key in self.store.expired(now, MAX_SWEEP)? {
            if let Some((key, entry)) = self.remove(&key)? {
                self.undo.push((key, Some(entry)));
            }
        }
        self.keep();
        Ok(())
    }
}
