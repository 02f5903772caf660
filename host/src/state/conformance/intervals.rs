//! Commit intervals: taken back, committed, and what is there when it is opened again.

use super::{Backend, EVERYTHING, all, commit, pairs, prepare, set};
use crate::state::{Checkpoint, Entry, Origin, StateError};

pub fn an_interval_is_taken_back_whole(mut backend: Backend) {
    let mut cache = backend.cache(0);
    cache.set("expires", b"1".to_vec(), Some(50)).unwrap();
    cache.keep();
    set(&mut cache, "goes", "1");
    set(&mut cache, "stays", "1");
    commit(&mut cache, 0, 3);
    let sizes = (cache.len(), cache.bytes());

    set(&mut cache, "expires", "2");
    cache.delete("goes").unwrap();
    cache.keep();
    set(&mut cache, "goes", "2");
    set(&mut cache, "new", "2");
    cache.set("unfinished", b"2".to_vec(), None).unwrap();
    cache.roll_back().unwrap();

    assert_eq!(all(&mut cache), pairs(&[("expires", "1"), ("goes", "1"), ("stays", "1")]));
    assert_eq!((cache.len(), cache.bytes()), sizes);
    cache.begin(1_050, None);
    assert_eq!(cache.get("expires").unwrap(), None, "the expiry is back as well");
    assert!(!cache.is_changed());
}

pub fn changes_name_each_key_once_with_what_stands_there(mut backend: Backend) {
    let mut cache = backend.cache(0);
    set(&mut cache, "kept", "0");
    commit(&mut cache, 0, 1);
    set(&mut cache, "b", "1");
    set(&mut cache, "b", "2");
    cache.delete("b").unwrap();
    cache.keep();
    set(&mut cache, "b", "3");
    cache.delete("kept").unwrap();
    cache.keep();
    let mut seen = Vec::new();
    let note = |key: &str, entry: Option<&Entry>| {
        seen.push((key.to_owned(), entry.map(|entry| entry.value.clone())));
        Ok::<(), StateError>(())
    };
    cache.changes(0, note).unwrap();
    assert_eq!(seen, [("b".to_owned(), Some(b"3".to_vec())), ("kept".to_owned(), None)]);
}

pub fn a_store_that_is_opened_again_stands_where_the_group_does(mut backend: Backend) {
    if !backend.durable {
        return;
    }
    let (old, new) = (pairs(&[("a", "1"), ("b", "1")]), pairs(&[("a", "2"), ("b", "1"), ("c", "2")]));
    let mut cache = backend.cache(0);
    set(&mut cache, "a", "1");
    set(&mut cache, "b", "1");
    prepare(&mut cache, 0, 10);
    drop(cache);
    let mut cache = backend.cache(0);
    assert_eq!(all(&mut cache), [], "the first commit did not happen");
    set(&mut cache, "a", "1");
    set(&mut cache, "b", "1");
    prepare(&mut cache, 0, 10);
    drop(cache);
    let mut cache = backend.cache(10);
    assert_eq!(all(&mut cache), old, "it happened");
    assert_eq!((cache.len(), cache.bytes()), (2, 4));

    set(&mut cache, "a", "2");
    set(&mut cache, "c", "2");
    drop(cache);
    let mut cache = backend.cache(10);
    assert_eq!(all(&mut cache), old, "nothing was prepared");

    set(&mut cache, "a", "2");
    set(&mut cache, "c", "2");
    prepare(&mut cache, 10, 20);
    cache.roll_back().unwrap();
    assert_eq!(all(&mut cache), old);
    drop(cache);
    let mut cache = backend.cache(10);
    assert_eq!(all(&mut cache), old, "it was taken back");
    assert_eq!((cache.len(), cache.bytes()), (2, 4));

    set(&mut cache, "a", "2");
    prepare(&mut cache, 10, 15);
    set(&mut cache, "c", "2");
    prepare(&mut cache, 10, 20);
    drop(cache);
    let mut cache = backend.cache(10);
    assert_eq!(all(&mut cache), old, "prepared twice, taken back as one");

    set(&mut cache, "a", "2");
    prepare(&mut cache, 10, 15);
    set(&mut cache, "c", "2");
    commit(&mut cache, 10, 20);
    drop(cache);
    let mut cache = backend.cache(20);
    assert_eq!(all(&mut cache), new);

    cache.delete("a").unwrap();
    cache.keep();
    commit(&mut cache, 20, 30);
    commit(&mut cache, 30, 40);
    drop(cache);
    let mut cache = backend.cache(40);
    assert_eq!(all(&mut cache), new[1..], "an interval without changes moves on, too");
    assert_eq!((cache.len(), cache.bytes()), (2, 4));
}

pub fn expiry_and_record_keys_outlive_the_store(mut backend: Backend) {
    if !backend.durable {
        return;
    }
    let mut cache = backend.cache(0);
    for (record_key, key) in [(None, "none"), (Some("same"), "same"), (Some("other"), "ö")] {
        cache.begin(1_000, record_key.map(str::as_bytes));
        cache.set(key, b"".to_vec(), (key == "none").then_some(50)).unwrap();
        cache.keep();
    }
    commit(&mut cache, 0, 1);
    drop(cache);
    let mut store = (backend.open)(1);
    let found = store.scan(&EVERYTHING).unwrap();
    let entry = |expires_at, origin| Entry::durable(Vec::new(), expires_at, origin);
    let wanted = [
        ("none".to_owned(), entry(Some(1_050), Origin::Null)),
        ("same".to_owned(), entry(None, Origin::Same)),
        ("ö".to_owned(), entry(None, Origin::Key(Box::from(b"other".as_slice())))),
    ];
    assert_eq!(found, wanted);
    assert!(store.expired(1_049, 10).unwrap().is_empty());
    assert_eq!(store.expired(1_050, 10).unwrap(), ["none"]);
}

pub fn what_is_restored_is_there(mut backend: Backend) {
    let mut store = (backend.open)(0);
    let entry = |value: &str| Entry::durable(value.into(), None, Origin::Null);
    for n in 0..20 {
        store.load(&format!("k{n}"), Some(entry("first"))).unwrap();
    }
    store.load("k3", None).unwrap();
    store.load("k5", Some(entry("second"))).unwrap();
    store.load("never", None).unwrap();
    store.restored(Checkpoint { position: 70, changelog: 22, at: 5 }).unwrap();
    if backend.durable {
        drop(store);
        store = (backend.open)(70);
    }
    assert_eq!(store.len(), 19);
    let found = store.scan(&EVERYTHING).unwrap();
    assert_eq!(store.bytes(), found.iter().map(|(key, entry)| (key.len() + entry.value.len()) as u64).sum::<u64>());
    assert_eq!(store.get("k3").unwrap(), None);
    assert_eq!(store.get("k5").unwrap(), Some(&entry("second")));
    assert_eq!(store.get("k19").unwrap(), Some(&entry("first")));
}
