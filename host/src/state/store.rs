//! What every backend of the cache offers.

use smol_str::SmolStr;

/// An entry's key. A short one, as most are, lies in the map itself: a look-up
/// reads no further memory for it.
pub type Key = SmolStr;

/// A value, when it ends, and whose record wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Vec<u8>,
    /// Milliseconds since the Unix epoch; from then on the entry is gone.
    pub expires_at: Option<u64>,
    pub origin: Origin,
    /// The commit interval that wrote it, counted by the cache. Not durable.
    pub interval: u32,
    /// The record or timer of that interval, likewise.
    pub unit: u32,
}

impl Entry {
    /// An entry as it comes out of a durable store or a changelog.
    pub fn durable(value: Vec<u8>, expires_at: Option<u64>, origin: Origin) -> Entry {
        Entry { value, expires_at, origin, interval: 0, unit: 0 }
    }

    /// `now` is in milliseconds since the Unix epoch.
    pub fn expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// The key of the source record that wrote an entry: it tells the entry's
/// partition when the source has another number of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The record's key is the entry's key.
    #[default]
    Same,
    /// The record had no key.
    Null,
    Key(Box<[u8]>),
}

impl Origin {
    pub fn of(record_key: Option<&[u8]>, key: &str) -> Origin {
        match record_key {
            None => Origin::Null,
            Some(record_key) if record_key == key.as_bytes() => Origin::Same,
            Some(record_key) => Origin::Key(record_key.into()),
        }
    }

    /// The record's key, for the entry under `key`.
    pub fn record_key<'a>(&'a self, key: &'a str) -> Option<&'a [u8]> {
        match self {
            Origin::Same => Some(key.as_bytes()),
            Origin::Null => None,
            Origin::Key(record_key) => Some(record_key),
        }
    }
}

/// Which entries a scan wants.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    pub prefix: &'a str,
    /// Only keys after this one, by their bytes.
    pub after: Option<&'a str>,
    /// Milliseconds since the Unix epoch: entries that have expired by then are left out.
    pub now: u64,
    /// At most this many entries.
    pub limit: usize,
    /// The page ends after the entry that brings its keys and values to this many bytes.
    pub bytes: usize,
}

/// What a commit interval changed, and the offsets around it.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The source offset that the store's last finished commit belongs to.
    pub from: i64,
    /// The source offset that this one belongs to: the next record's.
    pub to: i64,
    /// Every changelog record below this offset is in the store as of `from`.
    pub changelog: i64,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
    /// Each changed key once, with the entry that stood there at `from`. What
    /// stands there now is the store's own.
    pub changes: &'a [(Key, Option<Entry>)],
}

/// Up to where a store is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The next source offset.
    pub position: i64,
    /// Every changelog record below this offset is in the store; 0 where there is no changelog.
    pub changelog: i64,
    /// When the store was last written, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// Why a store cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// What it holds cannot be trusted: it is to be wiped and rebuilt.
    #[error("the state is damaged: {0}")]
    Damaged(String),
    /// To be tried again.
    #[error("the state store does not answer: {0}")]
    Unavailable(String),
    #[error("no room for the state: {0}")]
    Full(String),
    /// Not to be served until someone has done what the text says.
    #[error("{0}")]
    Refused(String),
    /// Another owner has opened the same partition's state since.
    #[error("the state was opened by another owner")]
    Fenced,
}

impl StateError {
    /// Whether the same may be done later by itself: the store is away or has no room.
    pub fn is_retriable(&self) -> bool {
        matches!(self, StateError::Unavailable(_) | StateError::Full(_))
    }
}

/// Entries of one stage for one topic partition, as the last write left them.
/// Staging, undo and limits are the cache's, above it.
///
/// A commit interval goes [`prepare`](StateStore::prepare), the commit to
/// Kafka, [`finish`](StateStore::finish); or, when the commit is known not to
/// have happened, the cache puts the old entries back and calls
/// [`abort`](StateStore::abort). A store that is opened after a crash compares
/// the group's committed offset with `from` and `to` of what was prepared, and
/// takes one side or the other.
pub trait StateStore: Send {
    /// What stands under `key`, expired or not.
    ///
    /// # Errors
    /// When what is not in memory cannot be read.
    fn get(&mut self, key: &str) -> Result<Option<&Entry>, StateError>;

    /// Puts `entry` under `key`; what stood there, expired or not, and the
    /// store's own copy of the key.
    ///
    /// # Errors
    /// As [`StateStore::get`].
    fn put(&mut self, key: &str, entry: Entry) -> Result<(Key, Option<Entry>), StateError>;

    /// Takes the entry away; what stood there, expired or not.
    ///
    /// # Errors
    /// As [`StateStore::get`].
    fn remove(&mut self, key: &str) -> Result<Option<(Key, Entry)>, StateError>;

    /// Entries of a page, by their keys' bytes.
    ///
    /// # Errors
    /// As [`StateStore::get`].
    fn scan(&mut self, page: &Page<'_>) -> Result<Vec<(String, Entry)>, StateError>;

    /// At most `limit` keys whose entries have expired by `now`, the earliest first.
    ///
    /// # Errors
    /// As [`StateStore::get`].
    fn expired(&mut self, now: u64, limit: usize) -> Result<Vec<Key>, StateError>;

    /// Number of entries, expired ones not yet removed included.
    fn len(&self) -> u64;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values.
    fn bytes(&self) -> u64;

    /// Makes the interval's changes durable in a way that can still go either
    /// way. Called again before `finish`, with all changes since `from`, it
    /// replaces what was prepared before.
    ///
    /// # Errors
    /// When it is not durable: the commit must not go on.
    fn prepare(&mut self, commit: &Commit<'_>) -> Result<(), StateError>;

    /// The offsets of the prepared commit are committed.
    ///
    /// # Errors
    /// When that could not be noted; the store does so before it prepares the next.
    fn finish(&mut self) -> Result<(), StateError>;

    /// The prepared commit did not happen; the old entries have been put back
    /// with [`StateStore::put`] and [`StateStore::remove`].
    ///
    /// # Errors
    /// When that could not be noted: the store is to be opened anew.
    fn abort(&mut self) -> Result<(), StateError>;

    /// Whether a commit could be prepared now, as far as that can be told cheaply.
    ///
    /// # Errors
    /// When it does not answer.
    fn ready(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// Takes an entry, or its end, from a changelog or another store, past
    /// staging. Durable with [`StateStore::restored`] at the latest.
    ///
    /// # Errors
    /// When it cannot be written.
    fn load(&mut self, key: &str, entry: Option<Entry>) -> Result<(), StateError>;

    /// Everything up to `checkpoint` has been loaded.
    ///
    /// # Errors
    /// When that cannot be written.
    fn restored(&mut self, checkpoint: Checkpoint) -> Result<(), StateError>;
}
