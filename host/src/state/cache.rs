//! The cache of one stage for one topic partition.

mod interval;
mod notes;
mod parked;
mod seen;
mod stamp;
mod timers;

pub use self::seen::Seen;

use self::notes::Notes;
use super::lookup::{Found, Lookup};
use super::parked::Quarantine;
use super::stamp::Ground;
use super::store::{Entry, Origin, Page, StateError, StateStore};
use super::timers::{Timers, is_reserved};
use crate::plan::CacheLimits;

/// Keys are 1 to this many bytes of UTF-8.
const MAX_KEY: usize = 512;
/// One `scan` returns at most this many entries …
const MAX_SCAN_ENTRIES: usize = 1_000;
/// … and ends after the entry that brings it to this many bytes, so that a host
/// call stays short. A plugin that pages until an empty list sees every entry.
const MAX_SCAN_BYTES: usize = 1 << 20;

/// Why a write was refused; all but the last two are the cases of `cache.error` in the WIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheError {
    QuotaExceeded(u64),
    ValueTooLarge(u64),
    InvalidKey,
    NotANumber,
    /// The call is to end, as it makes the host keep so many bytes.
    CallMemory {
        bytes: u64,
        limit: u64,
    },
    /// The store below failed: the call is to end, whatever the plugin would make of it.
    Store(StateError),
}

impl From<StateError> for CacheError {
    fn from(error: StateError) -> CacheError {
        CacheError::Store(error)
    }
}

/// Entries with staging: what a record writes can be undone until it is kept,
/// what a commit interval wrote until it is finished.
pub struct Cache {
    store: Box<dyn StateStore>,
    limits: CacheLimits,
    /// Time of the record in work, milliseconds since the Unix epoch.
    now: u64,
    /// The key of the source record in work.
    record_key: Option<Vec<u8>>,
    /// A version's `migrate` is in work, and no record.
    migrating: bool,
    /// What stood under each key before the record in work wrote it, oldest first.
    undo: Notes,
    /// Bytes that the writes of the record in work make the host keep …
    kept: u64,
    /// … and those of the commit interval, its own aside.
    kept_before: u64,
    /// Whether the record that wrote an entry is remembered …
    origins: bool,
    /// … and was for every entry.
    all_origins: bool,
    timers: Timers,
    quarantine: Quarantine,
    /// Event time of the stage, in milliseconds since the Unix epoch …
    watermark: Option<u64>,
    /// … and as of the last commit.
    settled_watermark: Option<u64>,
    /// What the stamps of its commits say; none where it is not durable.
    ground: Option<Ground>,
    /// Bytes of the stamp's key and value; 0 without one.
    stamp_bytes: u64,
    /// Counts commit intervals; marks the entries that this one wrote.
    interval: u32,
    /// Counts the records and timers of an interval; marks the entries that this one wrote.
    unit: u32,
    /// What stood under each key before this commit interval wrote it, oldest
    /// first; a key that went and came back may stand there twice.
    changed: Notes,
    /// Every changelog record below this offset is in the store.
    changelog: i64,
    /// The store failed; what it wrote for the record in work is not known.
    failed: Option<StateError>,
    /// What the call in work found, where that is noted.
    seen: Option<Box<Seen>>,
}

impl Cache {
    /// `origins`: for each entry, the key of the record that wrote it is remembered.
    pub fn new(store: Box<dyn StateStore>, limits: CacheLimits, origins: bool) -> Cache {
        Cache {
            store,
            limits,
            now: 0,
            record_key: None,
            migrating: false,
            undo: Notes::default(),
            kept: 0,
            kept_before: 0,
            origins,
            all_origins: origins,
            timers: Timers::default(),
            quarantine: Quarantine::default(),
            watermark: None,
            settled_watermark: None,
            ground: None,
            stamp_bytes: 0,
            interval: 1,
            unit: 0,
            changed: Notes::default(),
            changelog: 0,
            failed: None,
            seen: None,
        }
    }

    /// Whether an entry may stand under `key`.
    pub fn admits(key: &str) -> bool {
        !key.is_empty() && key.len() <= MAX_KEY && !is_reserved(key)
    }

    /// Tells that every changelog record below `offset` is in the store.
    pub fn caught_up(&mut self, offset: i64) {
        self.changelog = offset;
    }

    /// Starts a record with `record_key` at `now`, the time at which the host polled it.
    pub fn begin(&mut self, now: u64, record_key: Option<&[u8]>) {
        debug_assert!(self.undo.is_empty(), "the record before was neither kept nor undone");
        self.now = now;
        self.migrating = false;
        if self.origins {
            match (&mut self.record_key, record_key) {
                (Some(key), Some(record_key)) => {
                    key.clear();
                    key.extend_from_slice(record_key);
                }
                (key, record_key) => *key = record_key.map(<[u8]>::to_vec),
            }
        }
    }

    /// Starts a migration at `now`, in milliseconds since the Unix epoch: what
    /// it writes over stays the writing of the record that wrote it.
    pub fn begin_migration(&mut self, now: u64) {
        self.begin(now, None);
        self.migrating = true;
    }

    /// Keeps the record's writes.
    pub fn keep(&mut self) {
        self.unit = self.unit.wrapping_add(1);
        self.kept_before = self.kept_before.saturating_add(std::mem::take(&mut self.kept));
        let Cache { undo, changed, interval, .. } = self;
        undo.drain(|key, previous| {
            if previous.as_ref().is_none_or(|entry| entry.interval != *interval) {
                changed.push(key, previous);
            }
        });
    }

    /// Bytes of the largest entry that the record in work wrote, with the record
    /// key that goes with it; 0 where it wrote none.
    ///
    /// # Errors
    /// When the store failed.
    pub fn largest_written(&mut self) -> Result<u64, StateError> {
        let mut largest = 0;
        for (key, _) in self.undo.as_slice() {
            if let Some(entry) = self.store.get(key)? {
                let record_key = if let Origin::Key(key) = &entry.origin { key.len() } else { 0 };
                largest = largest.max((key.len() + entry.value.len() + record_key) as u64);
            }
        }
        Ok(largest)
    }

    /// Undoes the record's writes.
    pub fn undo(&mut self) {
        self.unit = self.unit.wrapping_add(1);
        self.kept = 0;
        while let Some((key, previous)) = self.undo.pop() {
            self.put_back(&key, previous);
        }
    }

    fn put_back(&mut self, key: &str, previous: Option<Entry>) {
        let outcome = match previous {
            Some(entry) => self.put(key, entry).map(drop),
            None => self.remove(key).map(drop),
        };
        if let Err(error) = outcome {
            self.failed = Some(error);
        }
    }

    /// Why this cache can serve no longer, if so: its store is to be opened anew.
    pub fn failed(&self) -> Option<&StateError> {
        self.failed.as_ref()
    }

    /// What a plugin finds under `key`.
    fn lives(&mut self, key: &str) -> Result<Option<&Entry>, StateError> {
        if is_reserved(key) {
            return Ok(None);
        }
        self.see(key)?;
        let now = self.now;
        Ok(self.store.get(key)?.filter(|entry| !entry.expired(now)))
    }

    /// # Errors
    /// When the store failed.
    pub fn get(&mut self, key: &str) -> Result<Option<&[u8]>, StateError> {
        Ok(self.lives(key)?.map(|entry| entry.value.as_slice()))
    }

    /// # Errors
    /// [`CacheError::InvalidKey`], [`CacheError::ValueTooLarge`],
    /// [`CacheError::QuotaExceeded`], [`CacheError::CallMemory`] or [`CacheError::Store`].
    pub fn set(&mut self, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), CacheError> {
        if !Cache::admits(key) {
            return Err(CacheError::InvalidKey);
        }
        let expires_at = ttl_ms.map(|ttl| self.now.saturating_add(ttl));
        self.write(key, value, expires_at)
    }

    /// Whether there was such an entry.
    ///
    /// # Errors
    /// [`CacheError::CallMemory`] or [`CacheError::Store`].
    pub fn delete(&mut self, key: &str) -> Result<bool, CacheError> {
        let lived = self.lives(key)?.is_some();
        if !is_reserved(key)
            && let Some((key, entry)) = self.remove(key)?
        {
            self.note_before(key, Some(entry));
        }
        self.within_call()?;
        Ok(lived)
    }

    /// Adds to a decimal integer, absent as 0; keeps the entry's expiry.
    ///
    /// # Errors
    /// [`CacheError::NotANumber`] when the value is none or the sum leaves 64
    /// bits; else as [`Cache::set`].
    pub fn increment(&mut self, key: &str, delta: i64) -> Result<i64, CacheError> {
        if !Cache::admits(key) {
            return Err(CacheError::InvalidKey);
        }
        let (current, expires_at) = match self.lives(key)? {
            None => (0, None),
            Some(entry) => {
                let number = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<i64>().ok());
                (number.ok_or(CacheError::NotANumber)?, entry.expires_at)
            }
        };
        let sum = current.checked_add(delta).ok_or(CacheError::NotANumber)?;
        self.write(key, sum.to_string().into_bytes(), expires_at)?;
        Ok(sum)
    }

    /// Entries whose key starts with `prefix`, by key's bytes, after `after`,
    /// at most `limit` (and 1,000, and about 1 MiB).
    ///
    /// # Errors
    /// When the store failed.
    pub fn scan(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let limit = limit.min(MAX_SCAN_ENTRIES);
        let mut found = self.store.scan(&Page { prefix, after, now: self.now, limit, bytes: MAX_SCAN_BYTES })?;
        // They are the last of all.
        found.truncate(found.partition_point(|(key, _)| !is_reserved(key)));
        if let Some(seen) = &mut self.seen {
            for (key, entry) in &found {
                // What the call has written itself was seen then.
                if !seen.entries.contains_key(key) {
                    seen.note(key, Some(entry.clone()));
                }
            }
        }
        self.forget_seen();
        Ok(found.into_iter().map(|(key, entry)| (key, entry.value)).collect())
    }

    /// What someone outside of plugins asks for, between two records.
    ///
    /// # Errors
    /// When the store failed.
    pub fn look(&mut self, partition: i32, lookup: &Lookup) -> Result<Found, StateError> {
        lookup.ask(partition, &mut *self.store, self.all_origins)
    }

    fn write(&mut self, key: &str, value: Vec<u8>, expires_at: Option<u64>) -> Result<(), CacheError> {
        if value.len() as u64 > self.limits.value {
            return Err(CacheError::ValueTooLarge(self.limits.value));
        }
        self.see(key)?;
        let added = (key.len() + value.len()) as u64;
        // Replacing a value frees its bytes; asked only near the limit.
        if self.own_bytes() + added > self.limits.bytes && self.bytes_after(key, added)? > self.limits.bytes {
            return Err(CacheError::QuotaExceeded(self.limits.bytes));
        }
        self.insert(key, value, expires_at)?;
        self.within_call()
    }

    /// Puts an entry that the record in work writes, whatever the limits are.
    fn insert(&mut self, key: &str, value: Vec<u8>, expires_at: Option<u64>) -> Result<(), StateError> {
        let origin = match self.origins {
            true if self.migrating => self.store.get(key)?.map_or(Origin::Null, |entry| entry.origin.clone()),
            true => Origin::of(self.record_key.as_deref(), key),
            false => Origin::Same,
        };
        self.kept = self.kept.saturating_add(value.len() as u64);
        let entry = Entry { value, expires_at, origin, interval: self.interval, unit: self.unit };
        let (key, previous) = self.put(key, entry)?;
        self.note_before(key, previous);
        Ok(())
    }

    fn bytes_after(&mut self, key: &str, added: u64) -> Result<u64, StateError> {
        // An expired entry that was not removed still stands there.
        let freed = self.store.get(key)?.map_or(0, |entry| key.len() + entry.value.len());
        Ok(self.own_bytes() + added - freed as u64)
    }

    /// What counts against the quota: healthy records are not to fail for those
    /// that are parked, which have bounds of their own.
    fn own_bytes(&self) -> u64 {
        self.bytes().saturating_sub(self.quarantine.parked().bytes)
    }

    /// Number of entries, expired ones not yet swept included; the stamp is none.
    pub fn len(&self) -> u64 {
        self.store.len().saturating_sub(u64::from(self.stamp_bytes > 0))
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.store.bytes().saturating_sub(self.stamp_bytes)
    }
}

#[cfg(test)]
mod tests;
