//! What a store finds when it is opened.

use super::*;

#[test]
fn an_entry_comes_back_as_it_was() {
    let mut app = App::new();
    let mut store = app.open(0);
    let later = now() + 60_000;
    let put = [
        ("Zoë 🏥:1", Entry::durable(vec![], None, Origin::Same)),
        ("bytes", Entry::durable(vec![0, 255, 13, 10], Some(later), Origin::Null)),
        ("other", Entry::durable(b"v".to_vec(), Some(later), Origin::Key((*b"12\xff").into()))),
        ("ever", Entry::durable(b"v".to_vec(), Some(u64::MAX - 1), Origin::Key((*b"").into()))),
    ];
    let changes = change(&mut store, put.iter().map(|(key, entry)| (key.to_string(), Some(entry.clone()))));
    commit(&mut store, 0, 10, &changes);
    assert_eq!(app.read("Zoë 🏥:1"), Some(vec![]));
    assert_eq!(app.read("bytes"), Some(vec![0, 255, 13, 10]));

    let mut store = app.open(10);
    assert_eq!(store.len(), 4);
    for (key, entry) in &put[..3] {
        assert_eq!(store.get(key).unwrap(), Some(entry));
    }
    assert!(store.get("ever").unwrap().unwrap().expires_at > Some(253_402_300_000_000));
}

#[test]
fn redis_ends_an_entry_by_itself() {
    let mut app = App::new();
    let mut store = app.open(0);
    let short = Entry::durable(b"v".to_vec(), Some(now() + 400), Origin::Same);
    let long = Entry::durable(b"v".to_vec(), Some(now() + 90_000), Origin::Same);
    let changes = change(&mut store, [("short".into(), Some(short.clone())), ("long".into(), Some(long))]);
    commit(&mut store, 0, 10, &changes);
    let left: i64 = app.raw.pttl(format!("{}:long", app.store())).unwrap();
    assert!((80_000..=90_000).contains(&left), "{left}");
    // A value without an expiry takes the old one's away.
    let changes = change(&mut store, [("long".into(), Some(entry("w")))]);
    commit(&mut store, 10, 20, &changes);
    assert_eq!(app.raw.pttl::<_, i64>(format!("{}:long", app.store())), Ok(-1));

    std::thread::sleep(Duration::from_millis(450));
    assert_eq!(app.read("short"), None);
    // While the partition is owned, the copy tells by the entry's own expiry.
    assert_eq!(store.expired(now(), 10).unwrap(), ["short"]);
    assert_eq!(store.get("short").unwrap(), Some(&short));

    assert_eq!(entries(&mut app.open(20)), of([("long", "w")]));
    let index: Vec<String> = app.raw.hkeys(format!("{}.index", app.store())).unwrap();
    assert_eq!(index, ["long"]);
}

#[test]
fn entries_that_others_deleted_are_gone_and_others_keys_are_left_alone() {
    let mut app = App::new();
    let mut store = app.open(0);
    let changes = set(&mut store, &[("anna", "w1"), ("ben", "w2")]);
    commit(&mut store, 0, 10, &changes);
    let () = app.raw.del(format!("{}:anna", app.store())).unwrap();
    let () = app.raw.set(format!("{}:foreign", app.store()), "x").unwrap();
    assert_eq!(entries(&mut app.open(10)), of([("ben", "w2")]));
    assert_eq!(app.read("foreign"), Some(b"x".to_vec()));
}

#[test]
fn stores_are_apart_by_partition() {
    let app = App::new();
    for partition in [1, 10, 100] {
        let mut store = app.redis.store(&app.name, &id(partition), 0).unwrap();
        let changes = set(&mut store, &[("key", &partition.to_string()), ("0:key", "x")]);
        commit(&mut store, 0, 10, &changes);
    }
    for partition in [1, 10, 100] {
        let mut store = app.redis.store(&app.name, &id(partition), 10).unwrap();
        assert_eq!(entries(&mut store), of([("key", &partition.to_string()), ("0:key", "x")]));
    }
}

#[test]
fn many_entries_are_all_read() {
    let app = App::new();
    let mut store = app.open(0);
    let changes = change(&mut store, (0..50_000).map(|n| (format!("patient-{n}"), Some(entry(&n.to_string())))));
    commit(&mut store, 0, 50_000, &changes);
    let mut again = app.open(50_000);
    assert_eq!((again.len(), again.bytes()), (50_000, store.bytes()));
    assert_eq!(entries(&mut again), entries(&mut store));
}

#[test]
fn state_of_another_offset_is_refused() {
    let app = App::new();
    assert_eq!(app.open(-1).len(), 0);
    let mut store = app.open(-1);
    let changes = set(&mut store, &[("anna", "w1")]);
    commit(&mut store, -1, 10, &changes);
    for position in [-1, 0, 9, 11] {
        let why = app.refused(position);
        let told = format!(
            "the state under `{}` in Redis belongs to offset 10 of the source, and the group has committed {position}: ",
            app.store()
        );
        assert!(why.starts_with(&told), "{why}");
    }
    assert_eq!(app.open(10).len(), 1);
}

#[test]
fn another_format_is_refused_and_its_owner_is_left_alone() {
    let mut app = App::new();
    let mut store = app.open(0);
    let () = app.raw.hset(app.store(), "format", "2").unwrap();
    assert!(app.refused(0).contains("has format \"2\", and this version reads 1"));
    commit(&mut store, 0, 10, &Changes::new());
}

#[test]
fn lost_state_is_told_from_another_owner() {
    let mut app = App::new();
    let mut store = app.open(0);
    let changes = set(&mut store, &[("anna", "w1")]);
    let () = app.raw.del(app.store()).unwrap();
    let error = prepare(&mut store, 0, 10, &changes).unwrap_err();
    assert!(matches!(&error, StateError::Refused(why) if why.contains("has lost the state")), "{error}");
    // Its epoch does not come back with the next owner.
    app.open(0);
    assert_eq!(prepare(&mut store, 0, 10, &changes), Err(StateError::Fenced));
}
