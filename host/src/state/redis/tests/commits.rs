//! A commit and every point at which it can stop.

use super::*;

#[test]
fn others_see_a_commit_once_it_is_finished() {
    let mut app = App::new();
    let mut store = app.open(0);
    let changes = set(&mut store, &[("anna", "w1"), ("ben", "w2")]);
    assert_eq!(app.read("anna"), None);
    prepare(&mut store, 0, 10, &changes).unwrap();
    assert_eq!((app.read("anna"), app.pending()), (None, 1));
    store.finish().unwrap();
    assert_eq!((app.read("anna"), app.pending()), (Some(b"w1".to_vec()), 0));

    let changes = change(&mut store, [("anna".into(), None), ("ben".into(), Some(entry("w3")))]);
    commit(&mut store, 10, 20, &changes);
    assert_eq!((app.read("anna"), app.read("ben")), (None, Some(b"w3".to_vec())));
    assert_eq!(entries(&mut app.open(20)), of([("ben", "w3")]));
}

#[test]
fn the_committed_offset_decides_over_what_was_prepared() {
    for (committed, kept) in [(10, of([("anna", "w1")])), (20, of([("anna", "w2"), ("ben", "w2")]))] {
        let mut app = App::new();
        let mut store = app.open(0);
        let changes = set(&mut store, &[("anna", "w1")]);
        commit(&mut store, 0, 10, &changes);
        let changes = set(&mut store, &[("anna", "w2"), ("ben", "w2")]);
        prepare(&mut store, 10, 20, &changes).unwrap();
        drop(store);

        let mut store = app.open(committed);
        assert_eq!(entries(&mut store), kept);
        let changes = set(&mut store, &[("cleo", "w9")]);
        commit(&mut store, committed, 30, &changes);
        assert_eq!(app.pending(), 0);
        assert_eq!(entries(&mut app.open(30)).len(), kept.len() + 1);
    }
}

#[test]
fn preparing_again_replaces_what_was_prepared() {
    let mut app = App::new();
    let mut store = app.open(0);
    let mut changes = set(&mut store, &[("anna", "w1")]);
    prepare(&mut store, 0, 10, &changes).unwrap();
    changes.extend(set(&mut store, &[("ben", "w2")]));
    prepare(&mut store, 0, 20, &changes).unwrap();
    assert_eq!(app.pending(), 1);
    assert!(app.refused(10).contains("belongs to offset 0 of the source, and the group has committed 10"));
    assert_eq!(entries(&mut app.open(20)), of([("anna", "w1"), ("ben", "w2")]));
}

#[test]
fn what_was_sealed_stands_until_the_next_is() {
    let mut app = App::new();
    let mut store = app.open(0);
    let changes = set(&mut store, &[("anna", "w1")]);
    prepare(&mut store, 0, 10, &changes).unwrap();
    // The first chunk of a second list, whose last one never comes.
    set(&mut store, &[("anna", "w2")]);
    let half = store.link.run(&STAGE, &store.name, &store.epoch, |args| {
        args.arg(2).arg(0).arg("");
        chunk::write(&store.copy, &["anna"], args);
    });
    assert_eq!((half, app.pending()), (Ok(0), 2));
    assert_eq!(entries(&mut app.open(10)), of([("anna", "w1")]));
    assert_eq!(app.pending(), 0);
}

#[test]
fn an_aborted_commit_leaves_nothing() {
    let mut app = App::new();
    let mut store = app.open(0);
    store.abort().unwrap();
    let changes = set(&mut store, &[("anna", "w1")]);
    prepare(&mut store, 0, 10, &changes).unwrap();
    store.remove("anna").unwrap();
    store.abort().unwrap();
    assert_eq!(app.pending(), 0);
    store.finish().unwrap();
    assert_eq!(entries(&mut app.open(0)), of([]));
    assert!(app.refused(10).contains("the group has committed 10"));
}

#[test]
fn a_promotion_that_stopped_half_way_is_ended_by_the_next_owner() {
    let mut app = App::new();
    let mut store = app.open(0);
    let many = |value: &'static str| (0..2_500).map(move |n| (format!("p{n}"), Some(entry(value))));
    let changes = change(&mut store, many("w1"));
    commit(&mut store, 0, 10, &changes);
    let changes = change(&mut store, many("w2"));
    prepare(&mut store, 10, 20, &changes).unwrap();
    let part = store.link.run(&PROMOTE, &store.name, &store.epoch, |args| {
        args.arg(&store.epoch).arg(20).arg(1_000).arg(PART_BYTES);
    });
    assert_eq!(part, Ok(1));

    // Begun, it is decided, whatever the group says.
    assert!(app.refused(10).contains("belongs to offset 20"));
    let mut store = app.open(20);
    assert_eq!(store.len(), 2_500);
    assert!(entries(&mut store).values().all(|value| value == "w2"));
    assert_eq!(app.pending(), 0);
}

#[test]
fn an_owner_that_was_replaced_changes_nothing() {
    let mut app = App::new();
    let mut old = app.open(0);
    let changes = set(&mut old, &[("anna", "old")]);
    prepare(&mut old, 0, 10, &changes).unwrap();

    let mut new = app.open(0);
    assert_eq!(old.finish(), Err(StateError::Fenced));
    assert_eq!(prepare(&mut old, 0, 10, &changes), Err(StateError::Fenced));
    let changes = set(&mut new, &[("anna", "new")]);
    prepare(&mut new, 0, 10, &changes).unwrap();
    assert_eq!(old.finish(), Err(StateError::Fenced));
    let mut zombie = RedisStore { pending: Pending::Prepared(10), ..old };
    assert_eq!(zombie.abort(), Err(StateError::Fenced));
    let restored = zombie.restored(Checkpoint { position: 10, changelog: 0, at: 0 });
    assert_eq!(restored, Err(StateError::Fenced));

    new.finish().unwrap();
    assert_eq!(app.read("anna"), Some(b"new".to_vec()));
    assert_eq!(entries(&mut app.open(10)), of([("anna", "new")]));
}

#[test]
fn a_host_that_was_frozen_does_not_undo_what_its_successor_committed() {
    let mut app = App::new();
    let mut owner = app.open(0);
    let changes = set(&mut owner, &[("anna", "w1")]);
    prepare(&mut owner, 0, 10, &changes).unwrap();
    // The group has committed 10. Before the owner promotes, a host that owned
    // the partition earlier wakes and opens it at the offset it remembers.
    let mut zombie = app.open(0);
    assert_eq!(owner.finish(), Err(StateError::Fenced));
    let changes = set(&mut zombie, &[("anna", "zombie")]);
    prepare(&mut zombie, 0, 7, &changes).unwrap();

    let mut owner = app.open(10);
    assert_eq!(entries(&mut owner), of([("anna", "w1")]));
    assert_eq!((app.read("anna"), app.pending()), (Some(b"w1".to_vec()), 0));
    assert_eq!(zombie.finish(), Err(StateError::Fenced));
}

#[test]
fn an_offset_that_the_group_has_left_behind_fences_nobody() {
    let mut app = App::new();
    let mut owner = app.open(0);
    let changes = set(&mut owner, &[("anna", "w1")]);
    commit(&mut owner, 0, 10, &changes);
    assert!(app.refused(0).contains("belongs to offset 10 of the source, and the group has committed 0"));
    let changes = set(&mut owner, &[("anna", "w2")]);
    commit(&mut owner, 10, 20, &changes);
    assert_eq!(app.read("anna"), Some(b"w2".to_vec()));
}

#[test]
fn an_owner_takes_back_its_own_list_and_leaves_those_of_others() {
    let mut app = App::new();
    let mut owner = app.open(0);
    let changes = set(&mut owner, &[("anna", "w1")]);
    prepare(&mut owner, 0, 10, &changes).unwrap();
    let mut zombie = app.open(0);
    let changes = set(&mut zombie, &[("anna", "zombie")]);
    prepare(&mut zombie, 0, 10, &changes).unwrap();
    assert_eq!(app.pending(), 2);
    zombie.abort().unwrap();
    assert_eq!(app.pending(), 1);
    assert_eq!(entries(&mut app.open(10)), of([("anna", "w1")]));
}

#[test]
fn of_two_that_prepared_up_to_the_same_offset_the_later_is_committed() {
    let mut app = App::new();
    for (host, value) in [("first", "w1"), ("second", "w2")] {
        let mut store = app.open(0);
        let changes = set(&mut store, &[("anna", value), (host, value)]);
        prepare(&mut store, 0, 10, &changes).unwrap();
    }
    assert_eq!(entries(&mut app.open(10)), of([("anna", "w2"), ("second", "w2")]));
    assert_eq!(app.pending(), 0);
}

#[test]
fn a_command_that_comes_late_or_twice_does_no_harm() {
    let mut app = App::new();
    let mut store = app.open(0);
    let first = set(&mut store, &[("anna", "w1")]);
    prepare(&mut store, 0, 10, &first).unwrap();
    let late = |store: &mut RedisStore| {
        store.link.run(&STAGE, &store.name, &store.epoch, |args| {
            args.arg(1).arg(0).arg(10);
            chunk::write(&store.copy, &["anna"], args);
        })
    };
    assert_eq!(late(&mut store), Ok(STALE));
    let both = [first, set(&mut store, &[("ben", "w2")])].concat();
    prepare(&mut store, 0, 20, &both).unwrap();
    assert_eq!(late(&mut store), Ok(STALE));
    let discarded = store.link.run(&DISCARD, &store.name, &store.epoch, |args| {
        args.arg(1);
    });
    assert_eq!((discarded, app.pending()), (Ok(0), 1));
    store.finish().unwrap();
    // Promoted, and the answer lost.
    store.pending = Pending::Committed(20);
    store.finish().unwrap();
    assert_eq!(entries(&mut app.open(20)), of([("anna", "w1"), ("ben", "w2")]));
}

#[test]
fn a_commit_without_changes_moves_the_offset() {
    let app = App::new();
    let mut store = app.open(0);
    commit(&mut store, 0, 10, &Changes::new());
    // What came and went within the interval is none.
    set(&mut store, &[("anna", "w1")]);
    store.remove("anna").unwrap();
    commit(&mut store, 10, 20, &vec![("anna".into(), None)]);
    assert_eq!(app.open(20).len(), 0);
}

#[test]
fn large_commits_go_in_parts() {
    let mut app = App::new();
    let mut store = app.open(0);
    let large = "x".repeat(PART_BYTES * 3 / 2);
    let mut changes = change(&mut store, (0..5).map(|n| (format!("large{n}"), Some(entry(&large)))));
    changes.extend(change(&mut store, (0..3_500).map(|n| (format!("small{n}"), Some(entry("w"))))));
    commit(&mut store, 0, 10, &changes);
    assert_eq!(app.read("large4").map(|value| value.len()), Some(large.len()));
    assert_eq!(entries(&mut app.open(10)), entries(&mut store));
}

#[test]
fn what_is_loaded_is_there_once_restored() {
    let mut app = App::new();
    let mut store = app.open(7);
    let changes = set(&mut store, &[("anna", "w1"), ("ben", "w1")]);
    commit(&mut store, 7, 9, &changes);
    store.load("anna", Some(entry("w2"))).unwrap();
    store.load("ben", None).unwrap();
    store.load("cleo", Some(entry("w3"))).unwrap();
    store.load("nobody", None).unwrap();
    assert_eq!(app.read("cleo"), None);
    store.restored(Checkpoint { position: 9, changelog: 0, at: now() }).unwrap();
    assert_eq!(app.read("cleo"), Some(b"w3".to_vec()));
    assert_eq!(entries(&mut app.open(9)), of([("anna", "w2"), ("cleo", "w3")]));
}
