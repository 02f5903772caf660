//! Against a real Redis or Valkey, which `cargo xtask test` starts.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Commands, Connection};

use super::*;
use crate::state::Key;
use crate::state::store::Origin;

mod commits;
mod conformance;
mod opening;
mod server;
mod servers;

/// A store's changes as [`Commit`] wants them.
type Changes = Vec<(Key, Option<Entry>)>;

/// An application of a test's own, whose keys go when it is dropped.
struct App {
    name: String,
    redis: Redis,
    raw: Connection,
}

impl App {
    fn new() -> App {
        let url = env::var("REDIS_URL").expect("REDIS_URL is not set: run the tests with `cargo xtask test`");
        App::at(&url)
    }

    fn at(url: &str) -> App {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let raw = Client::open(url).unwrap().get_connection_with_timeout(Duration::from_secs(5)).unwrap();
        App { name, redis: Redis::new(&settings(url)).unwrap(), raw }
    }

    fn open(&self, position: i64) -> RedisStore {
        self.redis.store(&self.name, &id(0), position).unwrap()
    }

    #[track_caller]
    fn refused(&self, position: i64) -> String {
        match self.redis.store(&self.name, &id(0), position) {
            Err(StateError::Refused(why)) => why,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("opened at {position}"),
        }
    }

    /// The name of the store of partition 0.
    fn store(&self) -> String {
        format!("{}:locations:last:0", self.name)
    }

    /// What any other program gets.
    fn read(&mut self, key: &str) -> Option<Vec<u8>> {
        self.raw.get(format!("{}:{key}", self.store())).unwrap()
    }

    /// How many lists of prepared commits there are, sealed or not.
    fn pending(&mut self) -> usize {
        let lists: Vec<String> = self.raw.keys(format!("{}.pending.*", self.store())).unwrap();
        lists.len()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let keys: Vec<Vec<u8>> = match self.raw.scan_match(format!("{}:*", self.name)) {
            Ok(keys) => keys.filter_map(Result::ok).collect(),
            Err(_) => return,
        };
        for keys in keys.chunks(1_000) {
            let _ = self.raw.del::<_, u64>(keys);
        }
    }
}

fn settings(url: &str) -> config::Redis {
    config::Redis { url: url.to_owned().into(), ca: None, timeout: Duration::from_secs(2) }
}

fn id(partition: i32) -> StoreId {
    StoreId { pipeline: "locations".into(), stage: "last".into(), partition }
}

fn entry(value: &str) -> Entry {
    Entry::durable(value.into(), None, Origin::Same)
}

/// Milliseconds since the Unix epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Puts entries, or takes them away, and notes what stood there.
fn change(store: &mut RedisStore, entries: impl IntoIterator<Item = (String, Option<Entry>)>) -> Changes {
    let entries = entries.into_iter().map(|(key, entry)| match entry {
        Some(entry) => store.put(&key, entry).unwrap(),
        None => store.remove(&key).unwrap().map_or((key.into(), None), |(key, entry)| (key, Some(entry))),
    });
    entries.collect()
}

fn set(store: &mut RedisStore, pairs: &[(&str, &str)]) -> Changes {
    change(store, pairs.iter().map(|(key, value)| (key.to_string(), Some(entry(value)))))
}

fn prepare(store: &mut RedisStore, from: i64, to: i64, changes: &Changes) -> Result<(), StateError> {
    store.prepare(&Commit { from, to, changelog: 0, now: now(), changes })
}

fn commit(store: &mut RedisStore, from: i64, to: i64, changes: &Changes) {
    prepare(store, from, to, changes).unwrap();
    store.finish().unwrap();
}

/// All entries of a store.
fn entries(store: &mut RedisStore) -> BTreeMap<String, String> {
    let page = Page { prefix: "", after: None, now: 0, limit: usize::MAX, bytes: usize::MAX };
    let found = store.scan(&page).unwrap();
    found.into_iter().map(|(key, entry)| (key, String::from_utf8(entry.value).unwrap())).collect()
}

fn of<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
