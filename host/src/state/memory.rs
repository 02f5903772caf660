//! Entries in memory: a hash map for reads and writes, and the keys once more
//! in order, touched only when a key comes or goes, for scans and expiry.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::HashMap;

/// A value and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Vec<u8>,
    /// Milliseconds since the Unix epoch; from then on the entry is gone.
    pub expires_at: Option<u64>,
}

impl Entry {
    fn expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

#[derive(Default)]
pub struct MemoryStore {
    entries: HashMap<Arc<str>, Entry, foldhash::fast::RandomState>,
    order: BTreeSet<Arc<str>>,
    expiries: BTreeSet<(u64, Arc<str>)>,
    bytes: u64,
}

impl MemoryStore {
    pub fn get(&self, key: &str, now: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| !entry.expired(now))
    }

    /// Puts `entry` under `key`; what stood there, expired or not, and the
    /// store's own copy of the key.
    pub fn put(&mut self, key: &str, entry: Entry) -> (Arc<str>, Option<Entry>) {
        let expires_at = entry.expires_at;
        let added = entry.value.len() as u64;
        let (shared, previous) = match self.entries.get_key_value_mut(key) {
            Some((shared, stood)) => (shared.clone(), Some(std::mem::replace(stood, entry))),
            None => {
                let shared: Arc<str> = key.into();
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

    /// Takes the entry away; what stood there, expired or not.
    pub fn remove(&mut self, key: &str) -> Option<(Arc<str>, Entry)> {
        let (shared, entry) = self.entries.remove_entry(key)?;
        self.order.remove(&shared);
        self.forget_expiry(&shared, entry.expires_at);
        self.bytes -= (shared.len() + entry.value.len()) as u64;
        Some((shared, entry))
    }

    fn forget_expiry(&mut self, key: &Arc<str>, expires_at: Option<u64>) {
        if let Some(at) = expires_at {
            self.expiries.remove(&(at, key.clone()));
        }
    }

    /// Living entries whose key starts with `prefix`, by key's bytes, after `after`.
    pub fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        now: u64,
    ) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.order
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(move |key| key.starts_with(prefix))
            .filter_map(move |key| self.get(key, now).map(|entry| (&**key, entry)))
    }

    /// Removes what has expired by `now` (milliseconds since the Unix epoch).
    pub fn sweep(&mut self, now: u64) {
        while let Some((at, key)) = self.expiries.first() {
            if *at > now {
                return;
            }
            let key = key.clone();
            self.remove(&key);
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all keys and values, expired ones not yet swept included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
