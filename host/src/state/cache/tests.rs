use super::*;
use crate::state::MemoryStore;

fn with_limits(limits: CacheLimits, tracks: bool) -> Cache {
    Cache::new(Box::new(MemoryStore::default()), limits, tracks)
}

fn cache() -> Cache {
    let mut cache = with_limits(CacheLimits { bytes: 1_000, value: 100, call: u64::MAX }, false);
    cache.begin(10, None);
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("gone", "4")] {
        let ttl = (key == "gone").then_some(5);
        cache.set(key, value.into(), ttl).unwrap();
    }
    cache.keep();
    cache.begin(20, None);
    cache
}

/// Key and value of what was noted; expired entries stand there too.
fn seen(cache: &mut Cache) -> Vec<(String, Option<String>)> {
    let text = |entry: Entry| String::from_utf8(entry.value).unwrap();
    let seen = cache.take_seen().unwrap();
    seen.entries.into_iter().map(|(key, entry)| (key, entry.map(text))).collect()
}

fn stood(key: &str, value: Option<&str>) -> (String, Option<String>) {
    (key.to_owned(), value.map(str::to_owned))
}

#[test]
fn what_a_call_found_is_noted_as_it_stood_before_the_call_wrote_it() {
    let mut cache = cache();
    cache.note();
    cache.set("a", b"new".to_vec(), None).unwrap();
    assert_eq!(cache.get("a").unwrap(), Some(&b"new"[..]));
    cache.set("own", b"x".to_vec(), None).unwrap();
    cache.increment("b", 1).unwrap();
    assert!(!cache.delete("missing").unwrap());
    assert_eq!(cache.get("gone").unwrap(), None);
    let scanned = cache.scan("", None, 3).unwrap();
    assert_eq!(scanned.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["a", "b", "c"]);
    cache.undo();
    let expected = [
        stood("a", Some("1")),
        stood("b", Some("2")),
        stood("c", Some("3")),
        stood("gone", Some("4")),
        stood("missing", None),
        stood("own", None),
    ];
    assert_eq!(seen(&mut cache), expected);
    assert_eq!(cache.take_seen(), None, "it is taken once");
}

#[test]
fn nothing_is_noted_unless_asked_for_and_each_call_begins_anew() {
    let mut cache = cache();
    cache.get("a").unwrap();
    assert_eq!(cache.take_seen(), None);
    cache.note();
    cache.get("a").unwrap();
    cache.note();
    cache.get("b").unwrap();
    assert_eq!(seen(&mut cache), [stood("b", Some("2"))]);
}

const BUDGET: CacheLimits = CacheLimits { bytes: 1 << 30, value: 1 << 20, call: 10_000 };

#[test]
fn a_key_is_noted_once_for_a_record_and_once_for_an_interval() {
    let mut cache = with_limits(BUDGET, true);
    cache.begin(1, None);
    cache.set("k", b"first".to_vec(), None).unwrap();
    cache.keep();
    cache.finish();
    for round in 0..3 {
        cache.begin(2, None);
        for n in 0..1_000 {
            cache.set("k", format!("{round} {n}").into_bytes(), None).unwrap();
        }
        assert_eq!(cache.undo.as_slice().len(), 1);
        cache.keep();
    }
    assert_eq!(cache.changed.as_slice().len(), 1);
    cache.begin(3, None);
    cache.set("k", b"failed".to_vec(), None).unwrap();
    cache.undo();
    assert_eq!(cache.get("k").unwrap(), Some(&b"2 999"[..]), "back to the record before");
    cache.roll_back().unwrap();
    assert_eq!(cache.get("k").unwrap(), Some(&b"first"[..]), "back to the interval before");
}

#[test]
fn a_key_that_comes_and_goes_has_few_notes() {
    for stood in [None, Some(b"old".to_vec())] {
        let mut cache = with_limits(CacheLimits { call: 1 << 20, ..BUDGET }, true);
        cache.begin(1, None);
        if let Some(stood) = &stood {
            cache.set("k", stood.clone(), None).unwrap();
        }
        cache.keep();
        cache.finish();
        for _ in 0..3 {
            cache.begin(2, None);
            for _ in 0..100_000 {
                cache.set("k", b"new".to_vec(), None).unwrap();
                assert!(cache.delete("k").unwrap());
            }
            assert!(cache.undo.as_slice().len() < 3_000, "{} notes", cache.undo.as_slice().len());
            cache.keep();
        }
        assert!(cache.changed.as_slice().len() < 3_000, "{} notes", cache.changed.as_slice().len());
        cache.begin(3, None);
        cache.set("k", b"failed".to_vec(), None).unwrap();
        cache.undo();
        assert_eq!(cache.get("k").unwrap(), None);
        cache.roll_back().unwrap();
        assert_eq!(cache.get("k").unwrap(), stood.as_deref());
    }
}

#[test]
fn a_record_may_make_the_host_keep_so_much_and_the_next_one_as_much_again() {
    let mut cache = with_limits(BUDGET, true);
    for _ in 0..3 {
        cache.begin(1, None);
        let refused = (0..100).find_map(|n| cache.set(&n.to_string(), vec![0; 1_000], None).err());
        let Some(CacheError::CallMemory { bytes, limit: 10_000 }) = refused else { panic!("{refused:?}") };
        assert!((10_001..12_300).contains(&bytes), "{bytes}");
        cache.undo();
        assert_eq!((cache.len(), cache.kept()), (0, 0));
    }
    // What was there before counts too, be it by a delete.
    for n in 0..100 {
        cache.begin(1, None);
        cache.set(&n.to_string(), vec![0; 1_000], None).unwrap();
        cache.keep();
    }
    assert!(cache.kept() > 100_000, "the interval keeps {}", cache.kept());
    cache.finish();
    assert_eq!(cache.kept(), 0);
    cache.begin(2, None);
    let refused = (0..100).find_map(|n| cache.delete(&n.to_string()).err());
    assert!(matches!(refused, Some(CacheError::CallMemory { .. })), "{refused:?}");
    cache.undo();
    assert_eq!(cache.len(), 100);
    let schedule = |cache: &mut Cache, n: u64| cache.schedule(crate::state::Domain::EventTime, &n.to_string(), n);
    cache.begin(3, None);
    let refused = (0..1_000).find_map(|n| schedule(&mut cache, n).err());
    assert!(matches!(refused, Some(CacheError::CallMemory { .. })), "{refused:?}");
    cache.undo();
    // A migration writes everything.
    cache.begin_migration(4);
    assert!((0..100).all(|n| cache.set(&n.to_string(), vec![1; 1_000], None).is_ok()));
}

#[test]
fn what_is_found_beyond_a_capsules_size_is_not_kept() {
    let mut cache = with_limits(CacheLimits { call: u64::MAX, ..BUDGET }, false);
    cache.begin(1, None);
    (0..20).for_each(|n| cache.set(&n.to_string(), vec![0; 1 << 20], None).unwrap());
    cache.keep();
    cache.note();
    (0..10).for_each(|n| assert!(cache.get(&n.to_string()).unwrap().is_some()));
    assert_eq!(cache.take_seen().map(|seen| seen.entries.len()), Some(10));
    cache.note();
    (0..20).for_each(|n| assert!(cache.get(&n.to_string()).unwrap().is_some()));
    assert_eq!(cache.take_seen(), None);
}
