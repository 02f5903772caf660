//! Timers and event time, kept as entries of the host's own; what finds all of them.

use std::ops::Bound;

use super::{Cache, CacheError, MAX_SCAN_BYTES, MAX_SCAN_ENTRIES};
use crate::state::parked::Slot;
use crate::state::stamp::is_stamp;
use crate::state::store::{Entry, Key, Origin, Page, StateError};
use crate::state::timers::{self, Domain, MAX_NAME, RESERVED_PREFIX, Timer, WATERMARK};

impl Cache {
    /// Finds the timers, the watermark and what is parked among the entries of a
    /// store that was opened; to be called before anything else.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find_own(&mut self) -> Result<(), StateError> {
        let mut after: Option<String> = None;
        loop {
            let (limit, bytes) = (MAX_SCAN_ENTRIES, MAX_SCAN_BYTES);
            let page = Page { prefix: RESERVED_PREFIX, after: after.as_deref(), now: 0, limit, bytes };
            let found = self.store.scan(&page)?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, entry) in found {
                if is_stamp(&key) {
                    self.stamp_bytes = (key.len() + entry.value.len()) as u64;
                }
                if key == WATERMARK {
                    self.watermark = timers::time(&entry);
                    self.settled_watermark = self.watermark;
                }
                let (key, slot) = (Key::from(&*key), Slot::of(&key, &entry));
                self.timers.replace(&key, None, timers::time(&entry));
                self.quarantine.replace(&key, None, slot);
            }
        }
    }

    /// Remembers which record scheduled a timer even where nothing else needs it.
    pub fn keep_origins(&mut self) {
        self.origins = true;
    }

    /// Every write of the store goes through here or [`Cache::remove`]: the
    /// indexes of timers and of what is parked follow.
    pub(super) fn put(&mut self, key: &str, entry: Entry) -> Result<(Key, Option<Entry>), StateError> {
        if !timers::is_reserved(key) {
            return self.store.put(key, entry);
        }
        if is_stamp(key) {
            self.stamp_bytes = (key.len() + entry.value.len()) as u64;
            return self.store.put(key, entry);
        }
        let (after, slot) = (timers::time(&entry), Slot::of(key, &entry));
        let (key, previous) = self.store.put(key, entry)?;
        self.timers.replace(&key, previous.as_ref().and_then(timers::time), after);
        self.quarantine.replace(&key, previous.as_ref().and_then(|entry| Slot::of(&key, entry)), slot);
        Ok((key, previous))
    }

    pub(super) fn remove(&mut self, key: &str) -> Result<Option<(Key, Entry)>, StateError> {
        let removed = self.store.remove(key)?;
        if let Some((key, entry)) = &removed
            && timers::is_reserved(key)
        {
            if is_stamp(key) {
                self.stamp_bytes = 0;
            }
            self.timers.replace(key, timers::time(entry), None);
            self.quarantine.replace(key, Slot::of(key, entry), None);
        }
        Ok(removed)
    }

    /// Schedules a timer in the record in work, in place of an earlier one of
    /// its domain and name. `at` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`CacheError::InvalidKey`] unless the name has 1 to 256 bytes;
    /// [`CacheError::QuotaExceeded`], [`CacheError::CallMemory`] or [`CacheError::Store`].
    pub fn schedule(&mut self, domain: Domain, name: &str, at: u64) -> Result<(), CacheError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(CacheError::InvalidKey);
        }
        self.write(&domain.key(name), at.to_string().into_bytes(), None)
    }

    /// Whether there was such a timer.
    ///
    /// # Errors
    /// As [`Cache::delete`].
    pub fn cancel(&mut self, domain: Domain, name: &str) -> Result<bool, CacheError> {
        let key = domain.key(name);
        self.see(&key)?;
        let Some((key, entry)) = self.remove(&key)? else { return Ok(false) };
        self.note_before(key, Some(entry));
        self.within_call()?;
        Ok(true)
    }

    /// The first timer of `domain` that is due at `until` (milliseconds since
    /// the Unix epoch), and comes after `after`: by time, then by name.
    ///
    /// # Errors
    /// When the store failed.
    pub fn due(&mut self, domain: Domain, until: u64, after: Option<&Timer>) -> Result<Option<Timer>, StateError> {
        let from = after.map_or(Bound::Unbounded, |timer| Bound::Excluded((timer.at, timer.key.clone())));
        let next = self.timers.of(domain).range((from, Bound::Unbounded)).next();
        let Some((at, key)) = next.filter(|(at, _)| *at <= until).cloned() else { return Ok(None) };
        let entry = self.store.get(&key)?;
        let record_key = entry.and_then(|entry| entry.origin.record_key(&key)).map(<[u8]>::to_vec);
        Ok(Some(Timer { domain, at, record_key, key }))
    }

    /// The time of the first timer of `domain`, in milliseconds since the Unix epoch.
    pub fn earliest(&self, domain: Domain) -> Option<u64> {
        self.timers.of(domain).first().map(|(at, _)| *at)
    }

    /// Takes a timer away in the record in work: it fires. One of the same name
    /// for another time stays.
    ///
    /// # Errors
    /// When the store failed.
    pub fn take_timer(&mut self, timer: &Timer) -> Result<(), StateError> {
        if !self.timers.of(timer.domain).contains(&(timer.at, timer.key.clone())) {
            return Ok(());
        }
        if let Some((key, entry)) = self.remove(&timer.key)? {
            self.note_before(key, Some(entry));
        }
        Ok(())
    }

    /// Timers that wait.
    pub fn pending(&self) -> u64 {
        self.timers.len()
    }

    /// Event time of the stage, in milliseconds since the Unix epoch.
    pub fn watermark(&self) -> Option<u64> {
        self.watermark
    }

    /// Moves the stage's event time on; it goes back by [`Cache::set_watermark_back`] alone.
    pub fn advance(&mut self, watermark: Option<u64>) {
        self.watermark = self.watermark.max(watermark);
    }

    /// Sets the stage's event time back where it is past `to`, milliseconds since the
    /// Unix epoch: for someone who knows that a record moved it too far.
    pub fn set_watermark_back(&mut self, to: u64) {
        self.watermark = self.watermark.map(|watermark| watermark.min(to));
    }

    /// Puts the watermark among the entries, for the commit of this interval;
    /// between two records.
    ///
    /// # Errors
    /// When the store failed.
    pub fn note_watermark(&mut self) -> Result<(), StateError> {
        let Some(watermark) = self.watermark else { return Ok(()) };
        if self.store.get(WATERMARK)?.and_then(timers::time) == Some(watermark) {
            return Ok(());
        }
        let value = watermark.to_string().into_bytes();
        let (interval, unit) = (self.interval, self.unit);
        let entry = Entry { value, expires_at: None, origin: Origin::Null, interval, unit };
        let (key, previous) = self.put(WATERMARK, entry)?;
        self.undo.push(key, previous);
        self.keep();
        Ok(())
    }
}
