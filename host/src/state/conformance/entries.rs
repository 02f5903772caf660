//! One entry: undo, expiry, quotas, keys, counters.

use super::{Backend, commit, keys};
use crate::state::{CacheError, Checkpoint, Entry, Origin};

pub fn writes_of_a_failed_record_are_undone(mut backend: Backend) {
    let mut cache = backend.cache(0);
    cache.set("kept", b"1".to_vec(), Some(50)).unwrap();
    cache.keep();
    cache.begin(1_001, None);
    cache.set("kept", b"2".to_vec(), None).unwrap();
    cache.set("kept", b"3".to_vec(), None).unwrap();
    cache.set("new", b"x".to_vec(), None).unwrap();
    assert!(cache.delete("kept").unwrap());
    cache.undo();
    assert_eq!(cache.get("kept").unwrap(), Some(&b"1"[..]));
    assert_eq!(cache.get("new").unwrap(), None);
    assert_eq!((cache.len(), cache.bytes()), (1, 5));
    cache.begin(1_050, None);
    assert_eq!(cache.get("kept").unwrap(), None, "the expiry is back as well");
}

pub fn an_entry_past_its_time_to_live_is_gone(mut backend: Backend) {
    let mut cache = backend.cache(0);
    cache.set("a", b"1".to_vec(), Some(10)).unwrap();
    cache.keep();
    cache.begin(1_009, None);
    assert!(cache.get("a").unwrap().is_some());
    cache.begin(1_010, None);
    assert_eq!(cache.get("a").unwrap(), None);
    assert!(cache.scan("", None, 10).unwrap().is_empty());
    assert!(!cache.delete("a").unwrap(), "no entry that lives");
    cache.keep();
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
}

pub fn sweeping_frees_expired_entries_only(mut backend: Backend) {
    let mut cache = backend.cache(0);
    cache.set("a", b"1".to_vec(), Some(10)).unwrap();
    cache.set("b", b"1".to_vec(), Some(20)).unwrap();
    cache.set("a", b"1".to_vec(), None).unwrap();
    cache.keep();
    commit(&mut cache, 0, 1);
    cache.sweep(1_020).unwrap();
    cache.begin(1_020, None);
    assert_eq!(keys(&cache.scan("", None, 10).unwrap()), ["a"]);
    assert_eq!(cache.len(), 1);
}

pub fn quotas_name_their_limit_and_replacing_frees(mut backend: Backend) {
    let mut cache = backend.cache(0);
    assert_eq!(cache.set("k", vec![0; 1_001], None), Err(CacheError::ValueTooLarge(1_000)));
    for n in 0..9 {
        cache.set(&format!("k{n}"), vec![0; 1_000], None).unwrap();
    }
    assert_eq!(cache.set("k9", vec![0; 1_000], None), Err(CacheError::QuotaExceeded(10_000)));
    cache.set("k8", vec![1; 1_000], None).unwrap();
    cache.undo();
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
}

pub fn keys_are_1_to_512_bytes(mut backend: Backend) {
    let mut cache = backend.cache(0);
    assert_eq!(cache.set("", vec![], None), Err(CacheError::InvalidKey));
    assert_eq!(cache.set(&"é".repeat(257), vec![], None), Err(CacheError::InvalidKey));
    cache.set(&"é".repeat(256), vec![], None).unwrap();
    assert_eq!(cache.get(&"é".repeat(256)).unwrap(), Some(&[][..]), "an empty value is a value");
    assert_eq!(cache.get("").unwrap(), None);
}

pub fn increment_counts_from_nothing_and_refuses_what_is_no_number(mut backend: Backend) {
    let mut cache = backend.cache(0);
    assert_eq!(cache.increment("n", 5), Ok(5));
    assert_eq!(cache.increment("n", -7), Ok(-2));
    assert_eq!(cache.get("n").unwrap(), Some(&b"-2"[..]));
    cache.set("x", b"12a".to_vec(), None).unwrap();
    assert_eq!(cache.increment("x", 1), Err(CacheError::NotANumber));
    cache.set("max", i64::MAX.to_string().into_bytes(), None).unwrap();
    assert_eq!(cache.increment("max", 1), Err(CacheError::NotANumber));
    cache.set("ttl", b"1".to_vec(), Some(10)).unwrap();
    cache.increment("ttl", 1).unwrap();
    cache.keep();
    cache.begin(1_010, None);
    assert_eq!(cache.get("ttl").unwrap(), None, "increment keeps the expiry");
}

pub fn what_expired_is_named_the_earliest_first(mut backend: Backend) {
    let mut store = (backend.open)(0);
    let entry = |at| Entry::durable(b"v".to_vec(), Some(at), Origin::Same);
    for (key, at) in [("c", 30), ("a", 20), ("b", 10), ("late", 99)] {
        store.load(key, Some(entry(at))).unwrap();
    }
    store.restored(Checkpoint { position: 1, changelog: 0, at: 0 }).unwrap();
    assert!(store.expired(9, 10).unwrap().is_empty());
    store.put("d", entry(15)).unwrap();
    store.put("c", entry(98)).unwrap();
    assert_eq!(store.expired(30, 2).unwrap(), ["b", "d"]);
    assert_eq!(store.expired(30, 10).unwrap(), ["b", "d", "a"]);
    store.remove("b").unwrap();
    store.put("late", entry(1)).unwrap();
    assert_eq!(store.expired(30, 10).unwrap(), ["late", "d", "a"]);
}
