//! Records and timers that are parked, which are entries as well.

use super::{Backend, LIMITS, commit, keys};
use crate::plan::CacheLimits;
use crate::state::{Cache, CacheError, Parked};

fn park(cache: &mut Cache, record_key: Option<&[u8]>, value: &str) {
    cache.begin(1_000, record_key);
    cache.park(3, value.as_bytes().to_vec()).unwrap();
    cache.keep();
}

/// What is parked of a record key, in order; it is gone then.
fn take(cache: &mut Cache, record_key: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    while let Some(entry) = cache.head(record_key).cloned() {
        let found = cache.parked_under(&entry).unwrap().unwrap();
        assert_eq!(found.origin.record_key(&entry), Some(record_key));
        values.push(String::from_utf8(found.value.clone()).unwrap());
        cache.unpark(&entry).unwrap();
    }
    values
}

fn counts(cache: &Cache) -> (u64, u64) {
    let Parked { records, keys, .. } = cache.parked();
    (records, keys)
}

pub fn what_is_parked_is_found_by_its_record_key_in_order(mut backend: Backend) {
    let mut cache = backend.cache(0);
    assert!(!cache.is_quarantined(Some(b"a")) && !cache.is_quarantined(None));
    for (record_key, value) in [(&b"a"[..], "1"), (b"", "2"), (b"a", "3"), (b"\xff", "4"), (b"a", "5")] {
        park(&mut cache, Some(record_key), value);
    }
    park(&mut cache, None, "6");
    assert!(cache.is_quarantined(Some(b"a")) && cache.is_quarantined(Some(b"")));
    assert!(!cache.is_quarantined(Some(b"b")) && !cache.is_quarantined(None), "records without a key have no order");
    assert_eq!((counts(&cache), cache.heads().count()), ((6, 3), 4));
    assert_eq!(cache.parked().bytes, cache.bytes());

    let head = cache.head(b"a").cloned().unwrap();
    cache.begin(1_000, Some(b"a"));
    let room = cache.parked().bytes + 2;
    cache.park_again(&head, b"one".to_vec(), room).unwrap();
    assert_eq!(cache.park_again(&head, b"once".to_vec(), room), Err(CacheError::QuotaExceeded(room)));
    assert_eq!((counts(&cache), cache.parked().bytes), ((6, 3), room));
    assert_eq!(take(&mut cache, b"a"), ["one", "3", "5"]);
    assert_eq!(take(&mut cache, b"\xff"), ["4"]);
    assert!(!cache.is_quarantined(Some(b"a")) && cache.is_quarantined(Some(b"")));
    assert_eq!(counts(&cache), (2, 1));
}

pub fn what_is_parked_follows_undo_and_the_interval(mut backend: Backend) {
    let mut cache = backend.cache(0);
    park(&mut cache, Some(b"a"), "1");
    park(&mut cache, Some(b"a"), "2");
    commit(&mut cache, 0, 1);

    cache.begin(1_000, Some(b"b"));
    assert_eq!(take(&mut cache, b"a"), ["1", "2"]);
    cache.park(3, b"3".to_vec()).unwrap();
    assert_eq!((counts(&cache), cache.is_quarantined(Some(b"b"))), ((1, 1), true));
    cache.undo();
    assert_eq!((counts(&cache), cache.is_quarantined(Some(b"b"))), ((2, 1), false));

    assert_eq!(take(&mut cache, b"a"), ["1", "2"]);
    cache.keep();
    park(&mut cache, Some(b"b"), "3");
    cache.roll_back().unwrap();
    assert_eq!((counts(&cache), cache.is_quarantined(Some(b"b"))), ((2, 1), false));
    assert_eq!(take(&mut cache, b"a"), ["1", "2"]);
    assert_eq!(cache.parked(), Parked::default());
}

pub fn what_is_parked_outlives_the_store_in_its_order(mut backend: Backend) {
    let mut cache = backend.cache(0);
    for n in 0..12 {
        park(&mut cache, Some(b"a"), &n.to_string());
    }
    park(&mut cache, None, "without");
    commit(&mut cache, 0, 1);
    if backend.durable {
        drop(cache);
        cache = backend.cache(1);
        cache.find_own().unwrap();
    }
    park(&mut cache, Some(b"a"), "last");
    assert_eq!(counts(&cache), (14, 1));
    let expected: Vec<String> = (0..12).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(take(&mut cache, b"a"), expected);
    assert_eq!((counts(&cache), cache.heads().count()), ((1, 0), 1));
}

pub fn what_is_parked_meets_the_limit_of_a_value_and_no_plugin_sees_it(mut backend: Backend) {
    let mut cache = backend.cache_with(0, CacheLimits { bytes: 1_100, ..LIMITS });
    cache.begin(1_000, Some(b"key"));
    assert_eq!(cache.park(0, vec![0; 998]), Err(CacheError::ValueTooLarge(1_000)), "its record key goes along");
    cache.park(0, vec![0; 997]).unwrap();
    cache.keep();
    let entry = cache.head(b"key").cloned().unwrap();
    assert_eq!(cache.get(&entry).unwrap(), None);
    assert!(!cache.delete(&entry).unwrap());
    assert_eq!(cache.set(&entry, Vec::new(), None), Err(CacheError::InvalidKey));
    assert_eq!(keys(&cache.scan("", None, 9).unwrap()), Vec::<&str>::new());
    cache.begin_migration(1_000);
    assert_eq!(keys(&cache.scan("", None, 9).unwrap()), Vec::<&str>::new());
    assert_eq!(counts(&cache), (1, 1));
}

pub fn what_is_parked_takes_no_room_from_the_plugin(mut backend: Backend) {
    let mut cache = backend.cache_with(0, CacheLimits { bytes: 10, ..LIMITS });
    cache.begin(1_000, Some(b"key"));
    cache.set("a", vec![0; 4], None).unwrap();
    cache.park(0, vec![0; 500]).unwrap();
    cache.park(0, vec![0; 500]).unwrap();
    cache.set("b", vec![0; 4], None).unwrap();
    assert_eq!(cache.set("c", Vec::new(), None), Err(CacheError::QuotaExceeded(10)));
    cache.set("a", vec![1; 4], None).unwrap();
    let entry = cache.head(b"key").cloned().unwrap();
    cache.unpark(&entry).unwrap();
    assert_eq!(cache.set("c", Vec::new(), None), Err(CacheError::QuotaExceeded(10)), "nor does it leave some");
}
