//! Entries in Redis or Valkey, where they survive the host and other programs
//! read them, with a copy in memory that serves reads while a partition is owned.
//!
//! Of one store, with `store` = `<app>:<pipeline>:<stage>:<partition>`:
//!
//! | key | type | what |
//! |---|---|---|
//! | `<store>:<key>` | string | an entry: exactly what the plugin set, its expiry native |
//! | `<store>.index` | hash | each entry's key, its expiry and [`Origin`](super::Origin), see `note` |
//! | `<store>` | hash | `format`, `epoch`, `attempt`, `position`; while a commit is prepared `list.<its epoch>` |
//! | `<store>.pending.<epoch>.0`, `.1` | list | the changes of a prepared commit |
//! | `<app>:<pipeline>:<stage>` | string | how many partitions the source had when the first store was opened |
//!
//! Names hold no `:`, so none of the last four is ever an entry's key.
//!
//! Redis takes no part in Kafka's transaction, so a commit has two phases.
//! [`prepare`](StateStore::prepare) writes the changes to a pending list and seals
//! it with the offset that it leads to; after the commit to Kafka
//! [`finish`](StateStore::finish) promotes them: a script applies the list, takes
//! it off and sets `position`. Long lists go in parts, so that no script holds
//! Redis up for long. Whoever opens the store comes with the group's committed
//! offset: where a list leads there, it is promoted; where the store stands there,
//! nothing is. Every write is a script that checks the epoch, which each opening
//! raises: an owner that was replaced changes nothing any more.
//!
//! Whoever opens may be the one that was replaced: a host that was frozen does not
//! know yet that the group has moved on. It cannot open a store that has moved on
//! as well. One that has not, as its owner is between the commit to Kafka and the
//! promotion, it takes away from the owner, but not the owner's list: lists of
//! others are dropped only when one of them is promoted. The owner finds itself
//! fenced, opens anew at its committed offset, and promotes its list.

mod chunk;
mod link;
mod note;
mod open;
mod refusal;
mod script;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use self::chunk::chunks;
use self::link::Link;
use self::script::{DISCARD, PROMOTE, STAGE};
use super::memory::MemoryStore;
use super::stamp::Stamp;
use super::store::{Checkpoint, Commit, Entry, Key, Page, StateError, StateStore};
use crate::config;
use crate::files::foreign;
use crate::plan::StoreId;

/// One part of a commit, in changes and in bytes: a few milliseconds of Redis' time.
const PART_CHANGES: usize = 1_000;
const PART_BYTES: usize = 1 << 20;
/// What [`STAGE`] answers to a chunk whose turn it is not, [`PROMOTE`] to another list.
const STALE: i64 = -3;
/// Largest file of certificates, in bytes.
const MAX_PEM: u64 = 4 << 20;

/// Where Redis is and how it is reached. Clones share it.
#[derive(Clone)]
pub struct Redis(Arc<Settings>);

struct Settings {
    client: Client,
    timeout: Duration,
    /// For errors: host and port, no user and no password.
    address: String,
}

impl Redis {
    /// Reads the settings; connects nowhere.
    ///
    /// # Errors
    /// [`StateError::Refused`] when the URL or the file of certificates is none.
    pub fn new(config: &config::Redis) -> Result<Redis, StateError> {
        // Told, as rustls would not choose if a second provider were linked in.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refused = |why: String| StateError::Refused(why);
        let no_url = |_| refused("redis.url is not the URL of a Redis: check it with `gregor config check`".into());
        let mut client = Client::open(config.url.expose()).map_err(no_url)?;
        if let Some(path) = &config.ca {
            let unread = |error| refused(format!("redis.ca: {} cannot be read: {error}", path.display()));
            let pem = foreign::read(path, MAX_PEM).map_err(io::Error::from).map_err(unread)?;
            let mut certificates = CertificateDer::pem_slice_iter(&pem);
            if certificates.next().is_none_or(|first| first.is_err()) {
                return Err(refused(format!("redis.ca: {} holds no certificate in PEM", path.display())));
            }
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
            client = Client::build_with_tls(config.url.expose(), certificates)
                .map_err(|_| refused("redis.ca needs a redis.url that begins with rediss://".into()))?;
        }
        let address = client.get_connection_info().addr().to_string();
        Ok(Redis(Arc::new(Settings { client, timeout: config.timeout, address })))
    }

    /// Whether Redis answers, and is one that keeps state: no cluster, no evictions.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] when it does not answer or lets nobody in,
    /// [`StateError::Refused`] when it would not keep state.
    pub fn ping(&self) -> Result<(), StateError> {
        Link::new(self.clone()).check()
    }

    /// How many partitions the source of a stage had when its first store was
    /// opened, which is with this call if there was none: then `count`.
    ///
    /// # Errors
    /// As [`Redis::ping`].
    pub fn partitions(&self, app: &str, pipeline: &str, stage: &str, count: i32) -> Result<i32, StateError> {
        let (mut link, key) = (Link::new(self.clone()), format!("{app}:{pipeline}:{stage}"));
        link.call::<()>(redis::cmd("SET").arg(&key).arg(count).arg("NX"))?;
        link.call(redis::cmd("GET").arg(&key))
    }

    /// Notes how many partitions the source of a stage has now.
    ///
    /// # Errors
    /// As [`Redis::ping`].
    pub fn remember_partitions(&self, app: &str, pipeline: &str, stage: &str, count: i32) -> Result<(), StateError> {
        let key = format!("{app}:{pipeline}:{stage}");
        Link::new(self.clone()).call(redis::cmd("SET").arg(key).arg(count))
    }

    /// Where a store stands, without opening it: its owner, if it has one, keeps it.
    ///
    /// # Errors
    /// As [`Redis::ping`].
    pub fn stood(&self, app: &str, id: &StoreId) -> Result<RedisStood, StateError> {
        open::stood(self, app, id)
    }

    /// Opens a store: takes the next epoch, promotes what was prepared if the
    /// group's committed offset `position` says so, and reads all entries. Where
    /// Redis holds nothing of the store, it begins empty at `position`.
    ///
    /// # Errors
    /// As [`Redis::ping`]; [`StateError::Refused`] too when the state does not
    /// belong to `position`: its owner, if it has one, keeps it then.
    pub fn store(&self, app: &str, id: &StoreId, position: i64) -> Result<RedisStore, StateError> {
        open::open(self, app, id, position)
    }
}

/// Where a store in Redis stands.
#[derive(Clone, Debug, Default)]
pub struct RedisStood {
    /// The position that its entries are of; none where Redis holds nothing of it.
    pub position: Option<i64>,
    /// Positions that commits lead to which are prepared and not promoted.
    pub ends: Vec<i64>,
    /// That of its entries.
    pub stamp: Option<Stamp>,
}

/// What is known of the pending list.
#[derive(Clone, Copy)]
enum Pending {
    /// There is none.
    None,
    /// There may be one, whole or not, which ends at this source offset.
    Prepared(i64),
    /// Its offsets are committed: nothing but promotion is left.
    Committed(i64),
}

/// The entries of one partition's stage: written to Redis, read from the copy.
pub struct RedisStore {
    link: Link,
    /// `<app>:<pipeline>:<stage>:<partition>`.
    name: String,
    epoch: String,
    copy: MemoryStore,
    pending: Pending,
    /// Counts what was sent to the pending list since the store was opened.
    attempt: u64,
    /// Keys taken with [`StateStore::load`] that Redis does not have yet.
    loaded: Vec<Key>,
}

impl RedisStore {
    /// Writes what stands under `keys` to the pending list and seals it.
    fn stage(&mut self, to: i64, keys: &[&str]) -> Result<(), StateError> {
        let chunks = chunks(&self.copy, keys);
        for _ in 0..2 {
            self.attempt += 1;
            let mut sent = 0;
            let mut status = 0;
            for (number, chunk) in chunks.iter().enumerate() {
                let last = number + 1 == chunks.len();
                status = self.link.run(&STAGE, &self.name, &self.epoch, |args| {
                    args.arg(self.attempt).arg(sent);
                    if last {
                        args.arg(to);
                    } else {
                        args.arg("");
                    }
                    chunk::write(&self.copy, chunk, args);
                })?;
                sent += chunk.len() * chunk::ITEMS;
                if status == STALE {
                    break;
                }
            }
            if status != STALE {
                return Ok(());
            }
            // A connection broke and a chunk was sent twice: all of them once more.
        }
        Err(StateError::Unavailable("the connection to Redis breaks off again and again".into()))
    }

    /// Promotes what is committed, if anything is.
    fn promote(&mut self) -> Result<(), StateError> {
        if let Pending::Committed(to) = self.pending {
            promote(&mut self.link, &self.name, &self.epoch, &self.epoch, to)?;
            self.pending = Pending::None;
        }
        Ok(())
    }
}

/// Applies the list that was sealed in the epoch `owner` and leads to `to`, part by part.
fn promote(link: &mut Link, name: &str, epoch: &str, owner: &str, to: i64) -> Result<(), StateError> {
    loop {
        let left = link.run(&PROMOTE, name, epoch, |args| {
            args.arg(owner).arg(to).arg(PART_CHANGES).arg(PART_BYTES);
        })?;
        match left {
            0 => return Ok(()),
            STALE => {
                return Err(StateError::Refused(format!(
                    "what stands under `{name}` in Redis was changed by another program: restart the host"
                )));
            }
            _ => {}
        }
    }
}

impl StateStore for RedisStore {
    fn get(&mut self, key: &str) -> Result<Option<&Entry>, StateError> {
        Ok(self.copy.find(key))
    }

    fn put(&mut self, key: &str, entry: Entry) -> Result<(Key, Option<Entry>), StateError> {
        Ok(self.copy.replace(key, entry))
    }

    fn remove(&mut self, key: &str) -> Result<Option<(Key, Entry)>, StateError> {
        Ok(self.copy.take(key))
    }

    fn scan(&mut self, page: &Page<'_>) -> Result<Vec<(String, Entry)>, StateError> {
        self.copy.scan(page)
    }

    fn expired(&mut self, now: u64, limit: usize) -> Result<Vec<Key>, StateError> {
        self.copy.expired(now, limit)
    }

    fn len(&self) -> u64 {
        self.copy.len()
    }

    fn bytes(&self) -> u64 {
        self.copy.bytes()
    }

    fn prepare(&mut self, commit: &Commit<'_>) -> Result<(), StateError> {
        self.promote()?;
        self.pending = Pending::Prepared(commit.to);
        let changed = commit.changes.iter();
        // What came and went within the interval was never in Redis.
        let changed = changed.filter(|(key, before)| before.is_some() || self.copy.find(key).is_some());
        let keys: Vec<&str> = changed.map(|(key, _)| &**key).collect();
        self.stage(commit.to, &keys)
    }

    fn finish(&mut self) -> Result<(), StateError> {
        if let Pending::Prepared(to) = self.pending {
            self.pending = Pending::Committed(to);
        }
        self.promote()
    }

    fn abort(&mut self) -> Result<(), StateError> {
        // What is committed stays: it is an earlier interval's.
        if let Pending::Prepared(_) = self.pending {
            self.link.run(&DISCARD, &self.name, &self.epoch, |args| {
                args.arg(self.attempt);
            })?;
            self.pending = Pending::None;
        }
        Ok(())
    }

    /// Redis answers, and has what is committed.
    fn ready(&mut self) -> Result<(), StateError> {
        self.promote()?;
        self.link.call(&redis::cmd("PING"))
    }

    fn load(&mut self, key: &str, entry: Option<Entry>) -> Result<(), StateError> {
        let shared = match entry {
            Some(entry) => self.copy.replace(key, entry).0,
            None => self.copy.take(key).map_or_else(|| key.into(), |(key, _)| key),
        };
        self.loaded.push(shared);
        Ok(())
    }

    /// What was loaded becomes durable all at once, as a commit that moves no offset.
    fn restored(&mut self, checkpoint: Checkpoint) -> Result<(), StateError> {
        self.promote()?;
        let loaded = std::mem::take(&mut self.loaded);
        let keys: Vec<&str> = loaded.iter().map(|key| &**key).collect();
        self.pending = Pending::Prepared(checkpoint.position);
        self.stage(checkpoint.position, &keys)?;
        self.finish()
    }
}
