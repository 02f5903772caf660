//! Entries in memory: a hash map for reads and writes, and the keys once more
//! in order, touched only when a key comes or goes, for scans and expiry.

use std::collections::BTreeSet;
use std::ops::Bound;

use hashbrown::HashMap;

use super::store::{Checkpoint, Commit, Entry, Key, Page, StateError, StateStore};

#[derive(Default)]
pub struct MemoryStore {
    entries: HashMap<Key, Entry, foldhash::fast::RandomState>,
    order: BTreeSet<Key>,
    expiries: BTreeSet<(u64, Key)>,
    bytes: u64,
}

impl MemoryStore {
    fn forget_expiry(&mut self, key: &Key, expires_at: Option<u64>) {
        if let Some(at) = expires_at {
            self.expiries.remove(&(at, key.clone()));
        }
    }

    /// As [`StateStore::get`], which cannot fail here.
    pub fn find(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// As [`StateStore::put`], which cannot fail here.
    pub fn replace(&mut self, key: &str, entry: Entry) -> (Key, Option<Entry>) {
        let expires_at = entry.expires_at;
        let added = entry.value.len() as u64;
        let (shared, previous) = match self.entries.get_key_value_mut(key) {
            Some((shared, stood)) => (shared.clone(), Some(std::mem::replace(stood, entry))),
            None => {
                let shared: Key = key.into();
                self.order.insert(shared.clone());
                self.entries.insert(shared.clone(), entry);
                self.bytes += key.len() as u64;
                (shared, None)
            }
        };
        self.bytes += added;
        if let Some(previous) = &previous {
            self.bytes -= previous.value.len() as u64;
            self.forget_expiry(&shared, previous.expires_at);
        }
        if let Some(at) = expires_at {
            self.expiries.insert((at, shared.clone()));
        }
        (shared, previous)
    }

    /// As [`StateStore::remove`], which cannot fail here.
    pub fn take(&mut self, key: &str) -> Option<(Key, Entry)> {
        let (shared, entry) = self.entries.remove_entry(key)?;
        self.order.remove(&shared);
        self.forget_expiry(&shared, entry.expires_at);
        self.bytes -= (shared.len() + entry.value.len()) as u64;
        Some((shared, entry))
    }

    /// Living entries of `page`'s prefix after its start, by their keys' bytes.
    pub fn range<'a>(&'a self, page: &Page<'a>) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let Page { prefix, now, .. } = *page;
        let from = match page.after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.order
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(move |key| key.starts_with(prefix))
            .filter_map(move |key| self.find(key).filter(|entry| !entry.expired(now)).map(|entry| (&**key, entry)))
    }
}

impl StateStore for MemoryStore {
    fn get(&mut self, key: &str) -> Result<Option<&Entry>, StateError> {
        Ok(self.find(key))
    }

    fn put(&mut self, key: &str, entry: Entry) -> Result<(Key, Option<Entry>), StateError> {
        Ok(self.replace(key, entry))
    }

    fn remove(&mut self, key: &str) -> Result<Option<(Key, Entry)>, StateError> {
        Ok(self.take(key))
    }

    fn scan(&mut self, page: &Page<'_>) -> Result<Vec<(String, Entry)>, StateError> {
        let mut bytes = 0;
        let fits = |(key, entry): &(&str, &Entry)| {
            let more = bytes < page.bytes;
            bytes += key.len() + entry.value.len();
            more
        };
        let found = self.range(page).take(page.limit).take_while(fits);
        Ok(found.map(|(key, entry)| (key.to_owned(), entry.clone())).collect())
    }

    fn expired(&mut self, now: u64, limit: usize) -> Result<Vec<Key>, StateError> {
        let due = self.expiries.iter().take_while(|(at, _)| *at <= now).take(limit);
        Ok(due.map(|(_, key)| key.clone()).collect())
    }

    fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn prepare(&mut self, _: &Commit<'_>) -> Result<(), StateError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    fn abort(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    fn load(&mut self, key: &str, entry: Option<Entry>) -> Result<(), StateError> {
        match entry {
            Some(entry) => drop(self.replace(key, entry)),
            None => drop(self.take(key)),
        }
        Ok(())
    }

    fn restored(&mut self, _: Checkpoint) -> Result<(), StateError> {
        Ok(())
    }
}
