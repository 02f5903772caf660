//! The cache of one stage for one topic partition.

use std::sync::Arc;

use super::memory::{Entry, MemoryStore};

/// Keys are 1 to this many bytes of UTF-8.
const MAX_KEY: usize = 512;
/// One `scan` returns at most this many entries …
const MAX_SCAN_ENTRIES: usize = 1_000;
/// … and ends after the entry that brings it to this many bytes, so that a host
/// call stays short. A plugin that pages until an empty list sees every entry.
const MAX_SCAN_BYTES: usize = 1 << 20;

/// Bounds of one cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// Bytes of one value.
    pub value: u64,
}

/// Why a write was refused; the cases of `cache.error` in the WIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheError {
    QuotaExceeded(u64),
    ValueTooLarge(u64),
    InvalidKey,
    NotANumber,
}

/// Entries with staging: what a record writes can be undone until it is kept.
pub struct Cache {
    store: MemoryStore,
    limits: CacheLimits,
    /// Time of the record in work, milliseconds since the Unix epoch.
    now: u64,
    /// What stood under each key before the record in work wrote it, oldest first.
    undo: Vec<(Arc<str>, Option<Entry>)>,
}

impl Cache {
    pub fn new(limits: CacheLimits) -> Cache {
        Cache { store: MemoryStore::default(), limits, now: 0, undo: Vec::new() }
    }

    /// Starts a record at `now`, the time at which the host polled it.
    pub fn begin(&mut self, now: u64) {
        debug_assert!(self.undo.is_empty(), "the record before was neither kept nor undone");
        self.now = now;
    }

    /// Keeps the record's writes.
    pub fn keep(&mut self) {
        self.undo.clear();
    }

    /// Undoes the record's writes.
    pub fn undo(&mut self) {
        while let Some((key, previous)) = self.undo.pop() {
            match previous {
                Some(entry) => {
                    self.store.put(&key, entry);
                }
                None => {
                    self.store.remove(&key);
                }
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.store.get(key, self.now).map(|entry| entry.value.as_slice())
    }

    /// # Errors
    /// [`CacheError::InvalidKey`], [`CacheError::ValueTooLarge`] or [`CacheError::QuotaExceeded`].
    pub fn set(&mut self, key: &str, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), CacheError> {
        let expires_at = ttl_ms.map(|ttl| self.now.saturating_add(ttl));
        self.write(key, Entry { value, expires_at })
    }

    /// Whether there was such an entry.
    pub fn delete(&mut self, key: &str) -> bool {
        let lived = self.store.get(key, self.now).is_some();
        if let Some((key, entry)) = self.store.remove(key) {
            self.undo.push((key, Some(entry)));
        }
        lived
    }

    /// Adds to a decimal integer, absent as 0; keeps the entry's expiry.
    ///
    /// # Errors
    /// [`CacheError::NotANumber`] when the value is none or the sum leaves 64
    /// bits; else as [`Cache::set`].
    pub fn increment(&mut self, key: &str, delta: i64) -> Result<i64, CacheError> {
        let (current, expires_at) = match self.store.get(key, self.now) {
            None => (0, None),
            Some(entry) => {
                let number = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<i64>().ok());
                (number.ok_or(CacheError::NotANumber)?, entry.expires_at)
            }
        };
        let sum = current.checked_add(delta).ok_or(CacheError::NotANumber)?;
        self.write(key, Entry { value: sum.to_string().into_bytes(), expires_at })?;
        Ok(sum)
    }

    /// Entries whose key starts with `prefix`, by key's bytes, after `after`,
    /// at most `limit` (and 1,000, and about 1 MiB).
    pub fn scan(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(String, Vec<u8>)> {
        let mut bytes = 0;
        self.store
            .scan(prefix, after, self.now)
            .take(limit.min(MAX_SCAN_ENTRIES))
            .take_while(|(key, entry)| {
                let more = bytes < MAX_SCAN_BYTES;
                bytes += key.len() + entry.value.len();
                more
            })
            .map(|(key, entry)| (key.to_owned(), entry.value.clone()))
            .collect()
    }

    fn write(&mut self, key: &str, entry: Entry) -> Result<(), CacheError> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(CacheError::InvalidKey);
        }
        if entry.value.len() as u64 > self.limits.value {
            return Err(CacheError::ValueTooLarge(self.limits.value));
        }
        let added = (key.len() + entry.value.len()) as u64;
        // Replacing a value frees its bytes; asked only near the limit.
        if self.store.bytes() + added > self.limits.bytes && self.bytes_after(key, added) > self.limits.bytes {
            return Err(CacheError::QuotaExceeded(self.limits.bytes));
        }
        let (key, previous) = self.store.put(key, entry);
        self.undo.push((key, previous));
        Ok(())
    }

    fn bytes_after(&self, key: &str, added: u64) -> u64 {
        // An expired entry that was not swept still stands there: `now` 0 sees it.
        let freed = self.store.get(key, 0).map_or(0, |entry| key.len() + entry.value.len());
        self.store.bytes() + added - freed as u64
    }

    /// Removes expired entries; between two records.
    pub fn sweep(&mut self, now: u64) {
        self.store.sweep(now);
    }

    /// Number of entries, expired ones not yet swept included.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.store.bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache() -> Cache {
        let mut cache = Cache::new(CacheLimits { bytes: 10_000, value: 1_000 });
        cache.begin(1_000);
        cache
    }

    fn keys(found: &[(String, Vec<u8>)]) -> Vec<&str> {
        found.iter().map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn writes_of_a_failed_record_are_undone() {
        let mut cache = cache();
        cache.set("kept", b"1".to_vec(), Some(50)).unwrap();
        cache.keep();
        cache.begin(1_001);
        cache.set("kept", b"2".to_vec(), None).unwrap();
        cache.set("kept", b"3".to_vec(), None).unwrap();
        cache.set("new", b"x".to_vec(), None).unwrap();
        assert!(cache.delete("kept"));
        cache.undo();
        assert_eq!(cache.get("kept"), Some(&b"1"[..]));
        assert_eq!(cache.get("new"), None);
        assert_eq!((cache.len(), cache.bytes()), (1, 5));
        cache.begin(1_050);
        assert_eq!(cache.get("kept"), None, "the expiry is back as well");
    }

    #[test]
    fn an_entry_past_its_time_to_live_is_gone() {
        let mut cache = cache();
        cache.set("a", b"1".to_vec(), Some(10)).unwrap();
        cache.keep();
        cache.begin(1_009);
        assert!(cache.get("a").is_some());
        cache.begin(1_010);
        assert_eq!(cache.get("a"), None);
        assert!(cache.scan("", None, 10).is_empty());
        assert!(!cache.delete("a"), "no entry that lives");
        cache.keep();
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn sweeping_frees_expired_entries_only() {
        let mut cache = cache();
        cache.set("a", b"1".to_vec(), Some(10)).unwrap();
        cache.set("b", b"1".to_vec(), Some(20)).unwrap();
        cache.set("a", b"1".to_vec(), None).unwrap();
        cache.keep();
        cache.sweep(1_020);
        cache.begin(1_020);
        assert_eq!(keys(&cache.scan("", None, 10)), ["a"]);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn a_scan_pages_in_order_of_bytes() {
        let mut cache = cache();
        for key in ["b/2", "b/10", "a/1", "b/ö", "b0", "c"] {
            cache.set(key, key.as_bytes().to_vec(), None).unwrap();
        }
        let first = cache.scan("b/", None, 2);
        assert_eq!(keys(&first), ["b/10", "b/2"]);
        assert_eq!(keys(&cache.scan("b/", Some("b/2"), 2)), ["b/ö"]);
        assert_eq!(keys(&cache.scan("b/", Some("a"), 1)), ["b/10"]);
        assert!(cache.scan("b/", Some("c"), 2).is_empty());
        assert!(cache.scan("b/", None, 0).is_empty());
    }

    #[test]
    fn a_scan_of_large_values_ends_early_and_goes_on() {
        let mut cache = Cache::new(CacheLimits { bytes: 1 << 30, value: 1 << 20 });
        for n in 0..5 {
            cache.set(&format!("k{n}"), vec![0; 600 << 10], None).unwrap();
        }
        let (mut after, mut seen) = (None::<String>, 0);
        loop {
            let page = cache.scan("k", after.as_deref(), 1_000);
            assert!(page.len() <= 2);
            let Some((last, _)) = page.last() else { break };
            seen += page.len();
            after = Some(last.clone());
        }
        assert_eq!(seen, 5);
    }

    #[test]
    fn quotas_name_their_limit_and_replacing_frees() {
        let mut cache = cache();
        assert_eq!(cache.set("k", vec![0; 1_001], None), Err(CacheError::ValueTooLarge(1_000)));
        for n in 0..9 {
            cache.set(&format!("k{n}"), vec![0; 1_000], None).unwrap();
        }
        assert_eq!(cache.set("k9", vec![0; 1_000], None), Err(CacheError::QuotaExceeded(10_000)));
        cache.set("k8", vec![1; 1_000], None).unwrap();
        cache.undo();
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn keys_are_1_to_512_bytes() {
        let mut cache = cache();
        assert_eq!(cache.set("", vec![], None), Err(CacheError::InvalidKey));
        assert_eq!(cache.set(&"é".repeat(257), vec![], None), Err(CacheError::InvalidKey));
        cache.set(&"é".repeat(256), vec![], None).unwrap();
        assert_eq!(cache.get(&"é".repeat(256)), Some(&[][..]), "an empty value is a value");
        assert_eq!(cache.get(""), None);
    }

    #[test]
    fn increment_counts_from_nothing_and_refuses_what_is_no_number() {
        let mut cache = cache();
        assert_eq!(cache.increment("n", 5), Ok(5));
        assert_eq!(cache.increment("n", -7), Ok(-2));
        assert_eq!(cache.get("n"), Some(&b"-2"[..]));
        cache.set("x", b"12a".to_vec(), None).unwrap();
        assert_eq!(cache.increment("x", 1), Err(CacheError::NotANumber));
        cache.set("max", i64::MAX.to_string().into_bytes(), None).unwrap();
        assert_eq!(cache.increment("max", 1), Err(CacheError::NotANumber));
        cache.set("ttl", b"1".to_vec(), Some(10)).unwrap();
        cache.increment("ttl", 1).unwrap();
        cache.keep();
        cache.begin(1_010);
        assert_eq!(cache.get("ttl"), None, "increment keeps the expiry");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, u8, Option<u64>),
        Delete(u8),
        Keep,
        Undo,
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..6u8, any::<u8>(), proptest::option::of(1..40u64)).prop_map(|(k, v, t)| Step::Set(k, v, t)),
            2 => (0..6u8).prop_map(Step::Delete),
            2 => Just(Step::Keep),
            2 => Just(Step::Undo),
            1 => (1..30u64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// Against a plain sorted map of what lives.
        #[test]
        fn a_cache_equals_a_sorted_map(steps in proptest::collection::vec(step(), 1..200)) {
            let mut cache = cache();
            let mut now = 1_000;
            let mut staged = std::collections::BTreeMap::<String, (Vec<u8>, Option<u64>)>::new();
            let mut kept = staged.clone();
            for step in steps {
                match step {
                    Step::Set(k, v, ttl) => {
                        cache.set(&k.to_string(), vec![v], ttl).unwrap();
                        staged.insert(k.to_string(), (vec![v], ttl.map(|ttl| now + ttl)));
                    }
                    Step::Delete(k) => {
                        let lived = staged.remove(&k.to_string()).is_some_and(|(_, at)| at.is_none_or(|at| at > now));
                        prop_assert_eq!(cache.delete(&k.to_string()), lived);
                    }
                    Step::Keep => { cache.keep(); kept = staged.clone(); }
                    Step::Undo => { cache.undo(); staged = kept.clone(); }
                    Step::Pass(ms) => { now += ms; cache.keep(); cache.sweep(now); cache.begin(now); kept = staged.clone(); }
                }
                let lives: Vec<_> = staged.iter()
                    .filter(|(_, (_, at))| at.is_none_or(|at| at > now))
                    .map(|(k, (v, _))| (k.clone(), v.clone())).collect();
                prop_assert_eq!(cache.scan("", None, 1_000), lives);
            }
        }
    }
}
