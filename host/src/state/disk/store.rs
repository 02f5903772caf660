//! One store: the copy in memory above its log and its tree.

mod records;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use self::records::unreadable;
use super::codec::Mark;
use super::fault::damaged;
use super::hot::Hot;
use super::log::Log;
use super::place::{self, Place};
use crate::state::stamp::{STAMP, Stamp};
use crate::state::store::{Checkpoint, Commit, Entry, Key, Page, StateError, StateStore};
use crate::state::survey::Local;

/// Entries, and their bytes, that `load` gathers for one record.
const LOAD_ENTRIES: usize = 10_000;
const LOAD_BYTES: u64 = 2 << 20;
/// What the tree and the log take: a key's length there has 16 bits.
const MAX_KEY: usize = 60_000;

/// What a store that was opened holds, beside the group's committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was ever written to it.
    Empty,
    /// Everything up to that offset, and nothing after it.
    Whole,
    /// Everything up to an earlier offset. After a restore that was cut off the
    /// position is -1 and what it holds is of no use by itself; with every
    /// changelog record from `changelog` on, it is whole.
    Behind(Checkpoint),
    /// Records beyond that offset, which cannot be taken back.
    Ahead(Checkpoint),
}

/// Entries of one stage for one topic partition, on disk.
pub struct DiskStore {
    place: Arc<Place>,
    generation: u64,
    sync: bool,
    hot: Hot,
    mark: Mark,
    /// Number and bytes of entries as they stand in memory.
    len: u64,
    bytes: u64,
    /// Slots that differ from the last record, and from the tree.
    changed: Vec<u32>,
    pinned: Vec<u32>,
    /// Bytes of values put since the last record.
    added: u64,
    /// Expiries of pinned slots.
    expiries: BTreeSet<(u64, Key)>,
    /// Keys of pinned slots in order, once a scan has asked for them.
    order: Option<BTreeSet<Key>>,
    /// The tree holds no expiry before this time.
    first_expiry: u64,
    /// Something is prepared that is neither finished nor taken back.
    prepared: bool,
    /// The old lines of the last record, for a commit found to have failed; until it is settled.
    undo: Option<Vec<u8>>,
    buffer: Vec<u8>,
    /// Bytes of a record that was not written.
    lacking: usize,
}

impl DiskStore {
    /// Opens the store in `place`; every earlier handle of it is fenced.
    ///
    /// # Errors
    /// When its log is damaged or cannot be read.
    pub(super) fn open(place: Arc<Place>, hot_bytes: u64, sync: bool) -> Result<DiskStore, StateError> {
        let mut writer = place.writer();
        writer.generation += 1;
        writer.log = None;
        let mark = place.mark()?;
        let mut store = DiskStore {
            place: place.clone(),
            generation: writer.generation,
            sync,
            hot: Hot::new(hot_bytes),
            mark,
            len: 0,
            bytes: 0,
            changed: Vec::new(),
            pinned: Vec::new(),
            added: 0,
            expiries: BTreeSet::new(),
            order: None,
            first_expiry: 0,
            prepared: false,
            undo: None,
            buffer: Vec::new(),
            lacking: 0,
        };
        let (log, last) = Log::open(place.dir(), mark.number, sync, |body| store.replay(body))?;
        (store.len, store.bytes) = (store.mark.entries, store.mark.bytes);
        match last {
            Some(body) => store.undo = Some(body),
            // What was taken into the tree without its record cannot be taken back.
            None => store.mark.from = store.mark.to,
        }
        writer.log = Some(log);
        drop(writer);
        Ok(store)
    }

    /// Up to where it is whole.
    pub fn checkpoint(&self) -> Checkpoint {
        self.mark.checkpoint()
    }

    /// Where the store stands, before anything of it is settled; none where
    /// nothing was ever written to it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stood(&mut self) -> Result<Option<Local>, StateError> {
        if self.mark.number == 0 {
            return Ok(None);
        }
        let Mark { from, .. } = self.mark;
        let checkpoint = self.mark.checkpoint();
        let stamp = self.get(STAMP)?.and_then(Stamp::read);
        Ok(Some(Local { from, checkpoint, stamp }))
    }

    /// Compares the store with the group's committed offset, and settles what
    /// was prepared: with its end the commit happened, with its start it did
    /// not. To be called once after opening, before anything else.
    ///
    /// # Errors
    /// When what did not happen cannot be taken back.
    pub fn standing(&mut self, position: i64) -> Result<Standing, StateError> {
        let undo = self.undo.take();
        let Mark { from, to, .. } = self.mark;
        // Past `to` others have gone on, perhaps from `from`: the changelog
        // tells what happened, and what is taken back here is read there.
        if (0..to).contains(&from) && from <= position && position != to {
            let lines = undo.ok_or_else(unreadable)?;
            self.take_back(&lines)?;
        }
        Ok(match self.mark.to {
            _ if self.mark.number == 0 => Standing::Empty,
            -1 => Standing::Behind(self.mark.checkpoint()),
            to if to == position => Standing::Whole,
            to if to < position => Standing::Behind(self.mark.checkpoint()),
            _ => Standing::Ahead(self.mark.checkpoint()),
        })
    }

    /// The slot of `key`, from the tree if need be.
    fn slot(&mut self, key: &str) -> Result<u32, StateError> {
        if let Some(at) = self.hot.find(key) {
            return Ok(at);
        }
        let entry = self.place.entry(key)?;
        let former = entry.as_ref().and_then(|entry| entry.expires_at);
        Ok(self.hot.insert(key, entry, Some(former)))
    }

    /// Replaces what stands in a slot; what stood there.
    fn exchange(&mut self, at: u32, entry: Option<Entry>) -> Option<Entry> {
        let expires_at = entry.as_ref().and_then(|entry| entry.expires_at);
        let previous = self.hot.replace(at, entry);
        let slot = self.hot.slot_mut(at);
        if !std::mem::replace(&mut slot.changed, true) {
            self.changed.push(at);
        }
        if !std::mem::replace(&mut slot.pinned, true) {
            self.pinned.push(at);
            if let Some(order) = &mut self.order {
                order.insert(slot.key.clone());
            }
        }
        let before = previous.as_ref().and_then(|entry| entry.expires_at);
        if let Some(before) = before.filter(|_| before != expires_at) {
            self.expiries.remove(&(before, slot.key.clone()));
        }
        if let Some(expires_at) = expires_at {
            self.expiries.insert((expires_at, slot.key.clone()));
        }
        previous
    }

    fn set(&mut self, key: &str, entry: Option<Entry>) -> Result<(u32, Option<Entry>), StateError> {
        let at = self.slot(key)?;
        if entry.is_none() && self.hot.slot(at).entry.is_none() {
            return Ok((at, None));
        }
        let size = |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| (key.len() + entry.value.len()) as u64);
        let added = size(&entry);
        self.added += added;
        self.bytes += added;
        self.len += u64::from(entry.is_some());
        let previous = self.exchange(at, entry);
        self.bytes -= size(&previous);
        self.len -= u64::from(previous.is_some());
        Ok((at, previous))
    }
}

impl StateStore for DiskStore {
    fn get(&mut self, key: &str) -> Result<Option<&Entry>, StateError> {
        let at = self.slot(key)?;
        Ok(self.hot.slot(at).entry.as_ref())
    }

    fn put(&mut self, key: &str, entry: Entry) -> Result<(Key, Option<Entry>), StateError> {
        let (at, previous) = self.set(key, Some(entry))?;
        Ok((self.hot.slot(at).key.clone(), previous))
    }

    fn remove(&mut self, key: &str) -> Result<Option<(Key, Entry)>, StateError> {
        let (at, previous) = self.set(key, None)?;
        Ok(previous.map(|entry| (self.hot.slot(at).key.clone(), entry)))
    }

    fn scan(&mut self, page: &Page<'_>) -> Result<Vec<(String, Entry)>, StateError> {
        if page.limit == 0 {
            return Ok(Vec::new());
        }
        let start = match page.after {
            Some(after) if after >= page.prefix => Bound::Excluded(after),
            _ => Bound::Included(page.prefix),
        };
        let hot = &self.hot;
        let order = self.order.get_or_insert_with(|| self.pinned.iter().map(|at| hot.slot(*at).key.clone()).collect());
        let mut found = Vec::new();
        let mut bytes = 0;
        // Whether the page goes on after this entry.
        let mut take = |key: &str, entry: Entry| {
            if found.len() < page.limit && bytes < page.bytes && !entry.expired(page.now) {
                bytes += key.len() + entry.value.len();
                found.push((key.to_owned(), entry));
            }
            found.len() < page.limit && bytes < page.bytes
        };
        let entry_of = |key: &str| hot.peek(key).and_then(|slot| slot.entry.clone());
        let mut pinned = order.range::<str, _>((start, Bound::Unbounded)).peekable();
        let mut goes_on = true;
        self.place.entries(start, |stored, sealed| {
            let stored = std::str::from_utf8(stored).map_err(|_| damaged("a key is no text"))?;
            let within = stored.starts_with(page.prefix);
            while let Some(key) = pinned.next_if(|key| !within || &***key <= stored) {
                if !goes_on || !key.starts_with(page.prefix) {
                    return Ok(false);
                }
                goes_on = entry_of(key).is_none_or(|entry| take(key, entry));
            }
            if goes_on && within && !hot.pinned(stored) {
                goes_on = take(stored, place::decode(stored, &sealed)?);
            }
            Ok(goes_on && within)
        })?;
        for key in pinned.take_while(|key| key.starts_with(page.prefix)) {
            goes_on = goes_on && entry_of(key).is_none_or(|entry| take(key, entry));
            if !goes_on {
                break;
            }
        }
        Ok(found)
    }

    fn expired(&mut self, now: u64, limit: usize) -> Result<Vec<Key>, StateError> {
        let due = self.expiries.range(..(now.saturating_add(1), Key::default()));
        let mut found: Vec<(u64, Key)> = due.take(limit).cloned().collect();
        if self.first_expiry <= now && limit > 0 {
            let mut stored = Vec::new();
            let mut first = u64::MAX;
            let hot = &self.hot;
            self.place.expiries(self.first_expiry, |at, key| {
                first = first.min(at);
                if at > now {
                    return Ok(false);
                }
                if !hot.pinned(key) {
                    stored.push((at, Key::from(key)));
                }
                Ok(stored.len() < limit)
            })?;
            self.first_expiry = first;
            found.append(&mut stored);
            found.sort();
            found.truncate(limit);
        }
        Ok(found.into_iter().map(|(_, key)| key).collect())
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn prepare(&mut self, commit: &Commit<'_>) -> Result<(), StateError> {
        let Commit { from, to, changelog, now, changes } = *commit;
        self.record(Mark { from, to, changelog, at: now, ..self.mark }, changes)?;
        self.prepared = true;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StateError> {
        self.prepared = false;
        Ok(())
    }

    fn abort(&mut self) -> Result<(), StateError> {
        if self.prepared {
            self.record(Mark { to: self.mark.from, ..self.mark }, &[])?;
            self.prepared = false;
        }
        // What was put back is what the last record led to.
        for at in self.changed.drain(..) {
            self.hot.slot_mut(at).changed = false;
        }
        Ok(())
    }

    /// The log takes a record as large as the one that it did not take.
    fn ready(&mut self) -> Result<(), StateError> {
        if self.lacking > 0 {
            let mut writer = self.place.writer();
            if writer.generation != self.generation {
                return Err(StateError::Fenced);
            }
            writer.log.as_mut().ok_or(StateError::Fenced)?.has_room(self.lacking)?;
            self.lacking = 0;
        }
        Ok(())
    }

    fn load(&mut self, key: &str, entry: Option<Entry>) -> Result<(), StateError> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(damaged("a key that is restored is empty or too long"));
        }
        self.set(key, entry)?;
        if self.changed.len() >= LOAD_ENTRIES || self.added >= LOAD_BYTES {
            self.record(Mark { from: -1, to: -1, ..self.mark }, &[])?;
        }
        Ok(())
    }

    fn restored(&mut self, checkpoint: Checkpoint) -> Result<(), StateError> {
        let Checkpoint { position, changelog, at } = checkpoint;
        self.record(Mark { from: position, to: position, changelog, at, ..self.mark }, &[])
    }
}
