//! Records and timers that are parked, as entries among those of the cache:
//! staging, undo, changelog, disk, Redis and export carry them along, as they
//! do [timers](super::timers).
//!
//! ```text
//! key                            value                   record key
//! U+10FFFF q number - partition  what is parked, and why  its own
//! ```
//!
//! The number has 20 digits and goes up from one that is parked to the next, so
//! the entries stand in that order. It is no offset: timers have none, and those
//! of two partitions may come together in an import. The partition is the
//! source's, so that no two of them are one then.

use std::collections::{BTreeSet, HashMap};

use super::store::Entry;
use crate::state::Key;

/// Begins the key of each.
const PREFIX: &str = "\u{10FFFF}q";
/// Of the number.
const DIGITS: usize = 20;

/// Whether something parked stands under `key`.
pub fn is_parked(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// How much is parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parked {
    /// Records and timers.
    pub records: u64,
    /// Record keys.
    pub keys: u64,
    /// Of keys and values of the entries.
    pub bytes: u64,
}

/// Whose an entry is, and how large, if it is one that is parked.
pub(super) struct Slot {
    record_key: Option<Box<[u8]>>,
    bytes: u64,
}

impl Slot {
    pub fn of(key: &str, entry: &Entry) -> Option<Slot> {
        let record_key = || entry.origin.record_key(key).map(Box::from);
        let bytes = (key.len() + entry.value.len()) as u64;
        is_parked(key).then(|| Slot { record_key: record_key(), bytes })
    }
}

/// What is parked among the entries. It follows every write of the store, so it
/// equals the entries.
#[derive(Default)]
pub(super) struct Quarantine {
    /// Of each record key, in order.
    keys: HashMap<Box<[u8]>, BTreeSet<Key>, foldhash::fast::RandomState>,
    /// Of records without a key, which have no order among them.
    keyless: BTreeSet<Key>,
    records: u64,
    bytes: u64,
    /// The next number.
    next: u64,
}

impl Quarantine {
    /// Whether something of this record key is parked: nothing, on most days.
    pub fn holds(&self, record_key: Option<&[u8]>) -> bool {
        !self.keys.is_empty() && record_key.is_some_and(|key| self.keys.contains_key(key))
    }

    /// The key of the next entry, for one of this source partition.
    pub fn next_key(&self, partition: i32) -> String {
        format!("{PREFIX}{:0DIGITS$}-{partition}", self.next)
    }

    /// The first of each record key, and all of records without one.
    pub fn heads(&self) -> impl Iterator<Item = &Key> {
        self.keys.values().filter_map(BTreeSet::first).chain(&self.keyless)
    }

    /// The first of a record key.
    pub fn head(&self, record_key: &[u8]) -> Option<&Key> {
        self.keys.get(record_key)?.first()
    }

    pub fn parked(&self) -> Parked {
        Parked { records: self.records, keys: self.keys.len() as u64, bytes: self.bytes }
    }

    /// What stood under `key` was `before`, what stands there now is `after`.
    pub fn replace(&mut self, key: &Key, before: Option<Slot>, after: Option<Slot>) {
        if let Some(Slot { record_key, bytes }) = before {
            (self.records, self.bytes) = (self.records - 1, self.bytes - bytes);
            match record_key {
                None => drop(self.keyless.remove(key)),
                Some(record_key) => {
                    if let Some(entries) = self.keys.get_mut(&record_key) {
                        entries.remove(key);
                        if entries.is_empty() {
                            self.keys.remove(&record_key);
                        }
                    }
                }
            }
        }
        if let Some(Slot { record_key, bytes }) = after {
            (self.records, self.bytes) = (self.records + 1, self.bytes + bytes);
            let entries = match record_key {
                None => &mut self.keyless,
                Some(record_key) => self.keys.entry(record_key).or_default(),
            };
            entries.insert(key.clone());
            let number = key.get(PREFIX.len()..PREFIX.len() + DIGITS).and_then(|digits| digits.parse::<u64>().ok());
            self.next = self.next.max(number.map_or(0, |number| number.saturating_add(1)));
        }
    }
}
