//! State with types: entries of the cache as JSON, which another service can
//! read where the stage's `backend` is Redis.
//!
//! ```
//! # use gregor_sdk::{Failure, state::State};
//! const VISITS: State<u64> = State::new("visits");
//!
//! fn visit(patient: &str) -> Result<u64, Failure> {
//!     let visits = VISITS.of(patient);
//!     let number = visits.get()?.unwrap_or(0) + 1;
//!     visits.set(&number)?;
//!     Ok(number)
//! }
//! ```

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, cache, json, reject};

/// One entry of the cache, a `T` as JSON.
pub struct Entry<T> {
    key: String,
    holds: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Entry<T> {
    /// The entry under `key`: 1 to 512 bytes.
    pub fn at(key: impl Into<String>) -> Self {
        Self { key: key.into(), holds: PhantomData }
    }

    /// What is there; `None` also once its time to live is over.
    ///
    /// # Errors
    /// A reject for bytes that are no `T`: another plugin wrote them, or a version
    /// with another layout.
    pub fn get(&self) -> Result<Option<T>, Failure> {
        cache::get(&self.key).map(|value| read(&value)).transpose()
    }

    /// Writes it, to stay until it is deleted.
    ///
    /// # Errors
    /// A reject for what JSON cannot hold and as [`cache::Error`] says.
    pub fn set(&self, value: &T) -> Result<(), Failure> {
        Ok(cache::set(&self.key, &json::write(value)?, None)?)
    }

    /// Writes it, to be gone after `ttl` of processing time.
    ///
    /// # Errors
    /// As [`Entry::set`].
    pub fn set_for(&self, value: &T, ttl: Duration) -> Result<(), Failure> {
        Ok(cache::set(&self.key, &json::write(value)?, Some(millis(ttl)))?)
    }

    /// Whether it was there; it is gone.
    pub fn delete(&self) -> bool {
        cache::delete(&self.key)
    }
}

/// One entry for each key, all under a name: the `ValueState` of Flink, a
/// `KeyValueStore` of Kafka Streams. In the cache the key is `<name>/<key>`.
pub struct State<T> {
    name: &'static str,
    holds: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> State<T> {
    /// # Panics
    /// For an empty name and one with a `/`, where the entries of two names could
    /// be one. As a `const` that is an error of the compiler.
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty(), "state has a name");
        let mut at = 0;
        while at < name.len() {
            assert!(name.as_bytes()[at] != b'/', "a name of state has no `/`");
            at += 1;
        }
        Self { name, holds: PhantomData }
    }

    /// The entry of `key`.
    pub fn of(&self, key: &str) -> Entry<T> {
        Entry::at(format!("{}/{key}", self.name))
    }

    /// Up to `limit` (at most 1,000) keys and what they hold, in the order of the
    /// keys' bytes, after `after`. Fewer may come: go on until none come.
    ///
    /// # Errors
    /// As [`Entry::get`].
    pub fn page(&self, after: Option<&str>, limit: u32) -> Result<Vec<(String, T)>, Failure> {
        let prefix = format!("{}/", self.name);
        let after = after.map(|key| format!("{prefix}{key}"));
        let page = cache::scan(&prefix, after.as_deref(), limit);
        let own = |key: String| key[prefix.len()..].to_owned();
        page.into_iter().map(|(key, value)| Ok((own(key), read(&value)?))).collect()
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value)
        .map_err(|_| reject("a cache entry is not what this version writes: another plugin or version wrote it"))
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
