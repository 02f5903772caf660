//! One store's folder: its log, and the tree that the log is spilled into.
//!
//! It is shared by the handles that were opened for the store one after the
//! other, of which only the last may write, and by the thread that flushes and
//! compacts.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use lsm_tree::compaction::Leveled;
use lsm_tree::{AbstractTree, AnyTree, Config, Guard, SeqNo, SequenceNumberCounter, Slice};

use super::codec::{self, Mark};
use super::fault::{damaged, from_io, from_tree, guarded};
use super::home::Home;
use super::log::Log;
use super::verify::{set_torn_tables_aside, verify_list};
use crate::state::store::{Entry, StateError};

/// The tree's folder in the store's.
const TREE: &str = "tree";
/// Entries are under this byte and their key; keys of the tree keep the order of theirs.
const ENTRY: u8 = b'e';
/// Expiries are under this byte, the time in big-endian bytes, and the key.
const EXPIRY: u8 = b'x';
/// The mark that the tree is spilled up to.
const MARK: &[u8] = b"m";
/// Spills that wait to be flushed before a writer does it itself: each is in memory once more.
const MAX_SEALED: usize = 1;
/// Runs in the tree's first level before a writer compacts itself.
const MAX_RUNS: usize = 20;
/// Runs in the tree's first level that are left alone.
const FEW_RUNS: usize = 4;

pub struct Place {
    dir: PathBuf,
    tree: AnyTree,
    seqno: SequenceNumberCounter,
    log: Mutex<Writer>,
    /// The last record that was spilled, and the last that is in flushed tables.
    spilled: AtomicU64,
    flushed: AtomicU64,
    /// Why the last flush or compaction failed.
    failure: Mutex<Option<StateError>>,
    /// Flushing and compacting hold it for reading; true when the folder is being removed.
    gone: RwLock<bool>,
    /// Dropped last: its lock keeps others away until the tree is closed.
    home: Arc<Home>,
}

/// The log, and who may write to it.
#[derive(Default)]
pub struct Writer {
    pub generation: u64,
    pub log: Option<Log>,
}

impl Place {
    /// Opens the folder, which is made when there is none.
    ///
    /// # Errors
    /// When what is in it is damaged or cannot be read.
    pub fn open(home: Arc<Home>, dir: &Path) -> Result<Place, StateError> {
        let new = !dir.exists();
        std::fs::create_dir_all(dir).map_err(from_io)?;
        if new && let Some(parent) = dir.parent() {
            std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(from_io)?;
        }
        verify_list(&dir.join(TREE))?;
        let torn = set_torn_tables_aside(&dir.join(TREE))?;
        let seqno = SequenceNumberCounter::default();
        let config = Config::new(dir.join(TREE), seqno.clone(), SequenceNumberCounter::default())
            .use_cache(home.cache())
            .use_descriptor_table(Some(home.descriptors()));
        let tree = guarded(|| config.open().map_err(from_tree))?;
        for table in torn {
            std::fs::remove_file(table).map_err(from_io)?;
        }
        seqno.fetch_max(tree.get_highest_seqno().map_or(1, |highest| highest + 1));
        let place = Place {
            home,
            dir: dir.to_owned(),
            tree,
            seqno,
            log: Mutex::default(),
            spilled: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            failure: Mutex::default(),
            gone: RwLock::new(false),
        };
        let held = place.mark()?.number;
        place.spilled.store(held, SeqCst);
        place.flushed.store(held, SeqCst);
        Ok(place)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn writer(&self) -> MutexGuard<'_, Writer> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mark that the tree is spilled up to.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn mark(&self) -> Result<Mark, StateError> {
        match guarded(|| self.tree.get(MARK, SeqNo::MAX).map_err(from_tree))? {
            None => Ok(Mark::NONE),
            Some(sealed) => codec::open_mark(&sealed).ok_or_else(|| damaged("its mark has a wrong checksum")),
        }
    }

    /// The record up to which everything is in flushed tables.
    pub fn flushed(&self) -> u64 {
        self.flushed.load(SeqCst)
    }

    /// Why the last flush or compaction failed, if it did.
    pub fn failure(&self) -> Option<StateError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The entry that the tree holds under `key`.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn entry(&self, key: &str) -> Result<Option<Entry>, StateError> {
        let place = entry_place(key);
        match guarded(|| self.tree.get(&place, SeqNo::MAX).map_err(from_tree))? {
            None => Ok(None),
            Some(sealed) => decode(key, &sealed).map(Some),
        }
    }

    /// Entries of the tree from `start` on, in order, each given to `take`
    /// until it wants no more.
    ///
    /// # Errors
    /// When they cannot be read, and those of `take`.
    pub fn entries(
        &self,
        start: Bound<&str>,
        take: impl FnMut(&[u8], Slice) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        self.items(start.map(entry_place), vec![ENTRY + 1], take)
    }

    /// Expiries of the tree from time `from` to its end, the earliest first,
    /// each given to `take` until it wants no more.
    ///
    /// # Errors
    /// When they cannot be read, and those of `take`.
    pub fn expiries(
        &self,
        from: u64,
        mut take: impl FnMut(u64, &str) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        self.items(Bound::Included(expiry_place(from, "")), vec![EXPIRY + 1], |item, _| {
            let (at, key) = item.split_first_chunk().ok_or_else(|| damaged("an expiry is cut off"))?;
            let key = std::str::from_utf8(key).map_err(|_| damaged("an expiry has no key"))?;
            take(u64::from_be_bytes(*at), key)
        })
    }

    fn items(
        &self,
        start: Bound<Vec<u8>>,
        end: Vec<u8>,
        mut take: impl FnMut(&[u8], Slice) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        guarded(|| {
            for item in self.tree.range((start, Bound::Excluded(end)), SeqNo::MAX, None) {
                let (key, value) = item.into_inner().map_err(from_tree)?;
                if !take(&key[1..], value)? {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Whether a log of so many bytes is to be spilled: what cannot be flushed
    /// is not to pile up in memory.
    pub fn takes_spill(&self, len: u64) -> bool {
        len > self.home.spill && (self.failure().is_none() || self.tree.sealed_memtable_count() < MAX_SEALED)
    }

    /// Starts to spill what the log led to into the tree. Until
    /// [`Spill::finish`] nothing of it outlives this process.
    pub fn spill(&self) -> Spill<'_> {
        Spill { place: self, seqno: self.seqno.next() }
    }

    /// Flushes what was spilled, and compacts.
    pub fn work(&self) {
        let gone = self.gone.read().unwrap_or_else(PoisonError::into_inner);
        if *gone {
            return;
        }
        let mut outcome = self.flush();
        let mut rounds = 0;
        while outcome.is_ok() && (rounds == 0 || (rounds < MAX_RUNS && self.tree.l0_run_count() > FEW_RUNS)) {
            outcome = self.compact();
            rounds += 1;
        }
        // Former versions keep what was flushed in memory and what was compacted on disk.
        let folder = self.dir.join(TREE);
        let outcome = outcome.and_then(|()| {
            guarded(|| self.tree.get_version_history_lock().maintenance(&folder, self.seqno.get()).map_err(from_tree))
        });
        if let Err(error) = &outcome {
            tracing::warn!(%error, dir = %self.dir.display(), "state on disk could not be flushed and compacted");
        }
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = outcome.err();
    }

    fn flush(&self) -> Result<(), StateError> {
        let held = self.spilled.load(SeqCst);
        guarded(|| {
            let one = self.tree.get_flush_lock();
            self.tree.flush(&one, self.seqno.get()).map_err(from_tree)
        })?;
        self.flushed.fetch_max(held, SeqCst);
        Ok(())
    }

    fn compact(&self) -> Result<(), StateError> {
        guarded(|| self.tree.compact(Arc::new(Leveled::default()), self.seqno.get()).map_err(from_tree))
    }

    /// Waits for work under way, and lets none begin.
    pub fn close(&self) {
        self.writer().generation += 1;
        *self.gone.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// The entry under `key` in its sealed form.
///
/// # Errors
/// When it is damaged.
pub fn decode(key: &str, sealed: &[u8]) -> Result<Entry, StateError> {
    codec::open_entry(key, sealed).ok_or_else(|| damaged("an entry has a wrong checksum"))
}

fn entry_place(key: &str) -> Vec<u8> {
    [&[ENTRY], key.as_bytes()].concat()
}

fn expiry_place(at: u64, key: &str) -> Vec<u8> {
    [&[EXPIRY], &at.to_be_bytes()[..], key.as_bytes()].concat()
}

/// Entries on their way from the log into the tree.
pub struct Spill<'a> {
    place: &'a Place,
    seqno: SeqNo,
}

impl Spill<'_> {
    /// The tree holds `entry` under `key` from now on, after one that expired at `former`.
    pub fn write(&self, key: &str, entry: Option<&Entry>, former: Option<u64>) {
        let tree = &self.place.tree;
        let expires_at = entry.and_then(|entry| entry.expires_at);
        if let Some(at) = former.filter(|_| former != expires_at) {
            tree.remove(expiry_place(at, key), self.seqno);
        }
        if let Some(at) = expires_at.filter(|_| former != expires_at) {
            tree.insert(expiry_place(at, key), b"".as_slice(), self.seqno);
        }
        match entry {
            Some(entry) => tree.insert(entry_place(key), codec::seal_entry(key, entry), self.seqno),
            None => tree.remove(entry_place(key), self.seqno),
        };
    }

    /// The tree holds everything up to `mark`, and is to be flushed.
    pub fn finish(self, mark: &Mark) {
        let place = self.place;
        place.tree.insert(MARK, codec::seal_mark(mark), self.seqno);
        // Waits for the flush under way, or does it.
        if place.tree.sealed_memtable_count() >= MAX_SEALED
            && let Err(error) = place.flush()
        {
            *place.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        if place.tree.l0_run_count() >= MAX_RUNS {
            place.work();
        }
        place.tree.rotate_memtable();
        place.spilled.store(mark.number, SeqCst);
    }
}

/// Asks the home's thread to flush and compact.
pub fn wake(place: &Arc<Place>) {
    place.home.work_on(place);
}
