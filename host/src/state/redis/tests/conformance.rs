//! The suite that every backend runs.

use super::*;
use crate::state::Key;
use crate::state::conformance::{Backend, conforms};

/// The suite's clock starts in 1970, and Redis would end its entries at once:
/// in 2096, in milliseconds since the Unix epoch, it does not.
const LATER: u64 = 4_000_000_000_000;

/// A store whose entries expire [`LATER`] than its caller says.
struct Later {
    store: RedisStore,
    /// What was asked for last.
    got: Option<Entry>,
}

fn later(entry: Entry) -> Entry {
    Entry { expires_at: entry.expires_at.map(|at| at.saturating_add(LATER)), ..entry }
}

fn sooner(entry: Entry) -> Entry {
    Entry { expires_at: entry.expires_at.map(|at| at - LATER), ..entry }
}

impl StateStore for Later {
    fn get(&mut self, key: &str) -> Result<Option<&Entry>, StateError> {
        self.got = self.store.get(key)?.cloned().map(sooner);
        Ok(self.got.as_ref())
    }

    fn put(&mut self, key: &str, entry: Entry) -> Result<(Key, Option<Entry>), StateError> {
        let (key, before) = self.store.put(key, later(entry))?;
        Ok((key, before.map(sooner)))
    }

    fn remove(&mut self, key: &str) -> Result<Option<(Key, Entry)>, StateError> {
        Ok(self.store.remove(key)?.map(|(key, entry)| (key, sooner(entry))))
    }

    fn scan(&mut self, page: &Page<'_>) -> Result<Vec<(String, Entry)>, StateError> {
        let found = self.store.scan(&Page { now: page.now + LATER, ..*page })?;
        Ok(found.into_iter().map(|(key, entry)| (key, sooner(entry))).collect())
    }

    fn expired(&mut self, now: u64, limit: usize) -> Result<Vec<Key>, StateError> {
        self.store.expired(now + LATER, limit)
    }

    fn len(&self) -> u64 {
        self.store.len()
    }

    fn bytes(&self) -> u64 {
        self.store.bytes()
    }

    fn prepare(&mut self, commit: &Commit<'_>) -> Result<(), StateError> {
        self.store.prepare(commit)
    }

    fn finish(&mut self) -> Result<(), StateError> {
        self.store.finish()
    }

    fn abort(&mut self) -> Result<(), StateError> {
        self.store.abort()
    }

    fn ready(&mut self) -> Result<(), StateError> {
        self.store.ready()
    }

    fn load(&mut self, key: &str, entry: Option<Entry>) -> Result<(), StateError> {
        self.store.load(key, entry.map(later))
    }

    fn restored(&mut self, checkpoint: Checkpoint) -> Result<(), StateError> {
        self.store.restored(checkpoint)
    }
}

fn fresh() -> Backend {
    let app = App::new();
    Backend {
        open: Box::new(move |position| Box::new(Later { store: app.open(position), got: None })),
        durable: true,
        cases: 32,
    }
}

conforms!(suite, fresh);
