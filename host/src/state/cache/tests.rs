use super::*;
use crate::state::MemoryStore;

fn cache() -> Cache {
    let mut cache = Cache::new(Box::new(MemoryStore::default()), CacheLimits { bytes: 1_000, value: 100 }, false);
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
