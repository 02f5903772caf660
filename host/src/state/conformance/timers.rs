//! Timers, which are entries as well.

use super::{Backend, commit, keys, set};
use crate::plan::CacheLimits;
use crate::state::{Cache, CacheError, Domain, Entry, StateError};

const EVENT: Domain = Domain::EventTime;
const CLOCK: Domain = Domain::ProcessingTime;

fn schedule(cache: &mut Cache, timers: &[(Domain, &str, u64)]) {
    for (domain, name, at) in timers {
        cache.schedule(*domain, name, *at).unwrap();
    }
}

/// Each timer of a domain by its time and name, up to a time.
fn due(cache: &mut Cache, domain: Domain, until: u64) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut last = None;
    while let Some(timer) = cache.due(domain, until, last.as_ref()).unwrap() {
        found.push((timer.at, timer.name().to_owned()));
        last = Some(timer);
    }
    found
}

fn named(timers: &[(u64, &str)]) -> Vec<(u64, String)> {
    timers.iter().map(|(at, name)| (*at, (*name).to_owned())).collect()
}

pub fn timers_are_due_by_time_then_name_and_one_of_a_name_replaces(mut backend: Backend) {
    let mut cache = backend.cache(0);
    schedule(&mut cache, &[(EVENT, "b", 20), (EVENT, "a", 20), (EVENT, "é", 7), (CLOCK, "a", 5), (EVENT, "b", 9)]);
    assert_eq!(due(&mut cache, EVENT, u64::MAX), named(&[(7, "é"), (9, "b"), (20, "a")]));
    assert_eq!(due(&mut cache, EVENT, 9), named(&[(7, "é"), (9, "b")]));
    assert_eq!(due(&mut cache, EVENT, 6), []);
    assert_eq!(due(&mut cache, CLOCK, 5), named(&[(5, "a")]));
    assert_eq!((cache.earliest(EVENT), cache.earliest(CLOCK), cache.pending()), (Some(7), Some(5), 4));
    assert!(cache.cancel(EVENT, "é").unwrap());
    assert!(!cache.cancel(EVENT, "é").unwrap());
    assert!(!cache.cancel(CLOCK, "b").unwrap(), "a name belongs to its domain");
    assert_eq!(cache.earliest(EVENT), Some(9));
    for name in ["", &"x".repeat(257)] {
        assert_eq!(cache.schedule(EVENT, name, 1), Err(CacheError::InvalidKey));
    }
    cache.schedule(EVENT, &"x".repeat(256), 1).unwrap();
}

pub fn timers_follow_undo_and_the_interval(mut backend: Backend) {
    let mut cache = backend.cache(0);
    schedule(&mut cache, &[(EVENT, "a", 10), (EVENT, "b", 20)]);
    cache.keep();
    commit(&mut cache, 0, 1);
    let before = named(&[(10, "a"), (20, "b")]);

    schedule(&mut cache, &[(EVENT, "a", 30), (EVENT, "c", 5)]);
    cache.cancel(EVENT, "b").unwrap();
    assert_eq!(due(&mut cache, EVENT, u64::MAX), named(&[(5, "c"), (30, "a")]));
    cache.undo();
    assert_eq!(due(&mut cache, EVENT, u64::MAX), before);

    let timer = cache.due(EVENT, 10, None).unwrap().unwrap();
    cache.take_timer(&timer).unwrap();
    cache.keep();
    schedule(&mut cache, &[(EVENT, "b", 2)]);
    cache.keep();
    assert_eq!(due(&mut cache, EVENT, u64::MAX), named(&[(2, "b")]));
    cache.take_timer(&timer).unwrap();
    assert_eq!(cache.pending(), 1, "what fired is not there any more");
    cache.advance(Some(77));
    cache.roll_back().unwrap();
    assert_eq!(due(&mut cache, EVENT, u64::MAX), before);
    assert_eq!(cache.watermark(), None);
}

pub fn no_plugin_sees_or_writes_what_is_the_host_s(mut backend: Backend) {
    let mut cache = backend.cache(0);
    set(&mut cache, "a", "1");
    set(&mut cache, "\u{10FFFE}", "2");
    schedule(&mut cache, &[(EVENT, "t", 10), (CLOCK, "t", 10)]);
    cache.advance(Some(5));
    cache.keep();
    cache.note_watermark().unwrap();
    assert_eq!(cache.len(), 5);
    assert_eq!(keys(&cache.scan("", None, 9).unwrap()), ["a", "\u{10FFFE}"]);
    assert!(cache.scan("\u{10FFFF}", None, 9).unwrap().is_empty());
    assert!(cache.scan("", Some("\u{10FFFE}"), 9).unwrap().is_empty());
    for key in ["\u{10FFFF}et", "\u{10FFFF}w", "\u{10FFFF}"] {
        assert_eq!(cache.get(key).unwrap(), None);
        assert!(!cache.delete(key).unwrap());
        assert_eq!(cache.set(key, Vec::new(), None), Err(CacheError::InvalidKey));
        assert_eq!(cache.increment(key, 1), Err(CacheError::InvalidKey));
    }
    assert_eq!((cache.len(), cache.pending()), (5, 2));
}

pub fn timers_count_as_bytes_of_the_cache(mut backend: Backend) {
    let mut cache = backend.cache_with(0, CacheLimits { bytes: 30, value: 30, ..super::LIMITS });
    cache.schedule(EVENT, "0123456789", 1_000).unwrap();
    assert_eq!(cache.bytes(), 4 + 1 + 10 + 4);
    assert_eq!(cache.schedule(EVENT, "9876543210", 1_000), Err(CacheError::QuotaExceeded(30)));
    cache.schedule(EVENT, "0123456789", 2_000).unwrap();
}

pub fn timers_outlive_the_store_with_their_record_and_the_watermark(mut backend: Backend) {
    let mut cache = backend.cache(0);
    cache.begin(1_000, Some(b"patient"));
    schedule(&mut cache, &[(EVENT, "a", 10), (CLOCK, "a", 20)]);
    cache.keep();
    cache.begin(1_000, None);
    schedule(&mut cache, &[(EVENT, "of-none", 30)]);
    cache.keep();
    cache.advance(Some(9));
    cache.note_watermark().unwrap();
    commit(&mut cache, 0, 1);
    if backend.durable {
        drop(cache);
        cache = backend.cache(1);
        assert_eq!(cache.pending(), 0, "not looked for yet");
        cache.find_own().unwrap();
    }
    assert_eq!((cache.pending(), cache.watermark()), (3, Some(9)));
    assert_eq!(due(&mut cache, EVENT, u64::MAX), named(&[(10, "a"), (30, "of-none")]));
    let keys = [10, 30].map(|until| {
        let mut last = None;
        while let Some(timer) = cache.due(EVENT, until, last.as_ref()).unwrap() {
            last = Some(timer);
        }
        last.and_then(|timer| timer.record_key)
    });
    assert_eq!(keys, [Some(b"patient".to_vec()), None]);
    let mut written = Vec::new();
    schedule(&mut cache, &[(CLOCK, "a", 25)]);
    cache.keep();
    let take = |key: &str, entry: Option<&Entry>| {
        written.push((key.to_owned(), entry.map(|entry| String::from_utf8(entry.value.clone()).unwrap())));
        Ok::<(), StateError>(())
    };
    cache.changes(0, take).unwrap();
    assert_eq!(written, [("\u{10FFFF}pa".to_owned(), Some("25".to_owned()))]);
}
