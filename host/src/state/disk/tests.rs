use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::state::conformance::{Backend, conforms};
use crate::state::{Checkpoint, Commit, Entry, Origin, Page, StateStore};

mod damage;

conforms!(of_disk, || backend(SPILL, 1 << 20));
// Every commit goes on into the tree, and nearly nothing stays in memory.
conforms!(of_disk_that_spills, || backend(1, 1));

fn backend(spill: u64, hot_bytes: u64) -> Backend {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_with(dir.path(), spill).unwrap();
    let open = move |position: i64| -> Box<dyn StateStore> {
        let _kept = &dir;
        let mut store = disk.store(&id(0), hot_bytes, false).unwrap();
        let standing = store.standing(position).unwrap();
        assert!(matches!(standing, Standing::Whole | Standing::Empty), "{standing:?}");
        Box::new(store)
    };
    Backend { open: Box::new(open), durable: true, cases: if spill == 1 { 24 } else { 64 } }
}

fn id(partition: i32) -> StoreId {
    StoreId { pipeline: "patients".into(), stage: "last/place".into(), partition }
}

fn entry(value: &str) -> Entry {
    Entry::durable(value.into(), None, Origin::Null)
}

fn value(store: &mut DiskStore, key: &str) -> Option<String> {
    store.get(key).unwrap().map(|entry| String::from_utf8(entry.value.clone()).unwrap())
}

/// Puts `value` under each key and commits.
fn write(store: &mut DiskStore, from: i64, to: i64, keys: impl IntoIterator<Item = String>, value: &str) {
    let changes: Vec<_> = keys.into_iter().map(|key| store.put(&key, entry(value)).unwrap()).collect();
    store.prepare(&Commit { from, to, changelog: 0, now: 7, changes: &changes }).unwrap();
    store.finish().unwrap();
}

fn everything(store: &mut DiskStore) -> Result<Vec<(String, Entry)>, StateError> {
    store.scan(&Page { prefix: "", after: None, now: 0, limit: usize::MAX, bytes: usize::MAX })
}

/// Files below `dir`, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn with_little_memory_entries_come_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_with(dir.path(), 10_000).unwrap();
    let mut store = disk.store(&id(0), 2_000, false).unwrap();
    for round in 0..10 {
        let keys = (0..500).map(|n| format!("{n}"));
        write(&mut store, round, round + 1, keys, &format!("value {round}"));
    }
    for n in 0..500 {
        assert_eq!(value(&mut store, &n.to_string()).unwrap(), "value 9");
    }
    assert_eq!((store.len(), everything(&mut store).unwrap().len()), (500, 500));
    drop((store, disk));
    let disk = Disk::open(dir.path()).unwrap();
    let mut store = disk.store(&id(0), 2_000, false).unwrap();
    assert_eq!(store.standing(10).unwrap(), Standing::Whole);
    for n in 0..500 {
        assert_eq!(value(&mut store, &n.to_string()).unwrap(), "value 9");
    }
}

#[test]
fn logs_go_once_the_tree_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_with(dir.path(), 1_000).unwrap();
    let mut store = disk.store(&id(0), 1 << 20, false).unwrap();
    for round in 0..200 {
        write(&mut store, round, round + 1, (0..20).map(|n| format!("{n}")), &"x".repeat(100));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    for round in 200.. {
        let logs = files(dir.path()).iter().filter(|path| path.extension().is_some_and(|end| end == "log")).count();
        if logs <= 2 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{logs} logs");
        write(&mut store, round, round + 1, ["k".to_owned()], "x");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_later_handle_fences_the_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let mut first = disk.store(&id(0), 1 << 20, false).unwrap();
    write(&mut first, 0, 1, ["k".into()], "first");
    let mut second = disk.store(&id(0), 1 << 20, false).unwrap();
    assert_eq!(second.standing(1).unwrap(), Standing::Whole);
    assert_eq!(value(&mut second, "k").unwrap(), "first");
    first.put("k", entry("zombie")).unwrap();
    let commit = Commit { from: 1, to: 2, changelog: 0, now: 0, changes: &[] };
    assert_eq!(first.prepare(&commit), Err(StateError::Fenced));
    assert_eq!(first.restored(Checkpoint { position: 1, changelog: 0, at: 0 }), Err(StateError::Fenced));
    write(&mut second, 1, 2, ["k".into()], "second");
    assert_eq!(value(&mut disk.store(&id(0), 1, false).unwrap(), "k").unwrap(), "second");
}

#[test]
fn standing_tells_behind_from_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    for n in [0, 1] {
        let mut store = disk.store(&id(n), 1 << 20, false).unwrap();
        assert_eq!(store.standing(5).unwrap(), Standing::Empty);
        write(&mut store, 5, 10, ["k".into()], "old");
        let changes = [store.put("k", entry("new")).unwrap()];
        store.prepare(&Commit { from: 10, to: 20, changelog: 3, now: 9, changes: &changes }).unwrap();
    }
    let open = |n, position| {
        let mut store = disk.store(&id(n), 1 << 20, false).unwrap();
        let standing = store.standing(position).unwrap();
        (standing, value(&mut store, "k").unwrap())
    };
    let at = |position| Checkpoint { position, changelog: 3, at: 9 };
    assert_eq!(open(0, 9), (Standing::Ahead(at(20)), "new".into()));
    assert_eq!(open(0, 20), (Standing::Whole, "new".into()));
    assert_eq!(open(0, 15), (Standing::Behind(at(10)), "old".into()), "in between: back to what is certain");
    assert_eq!(open(0, 10), (Standing::Whole, "old".into()));
    assert_eq!(open(0, 20), (Standing::Behind(at(10)), "old".into()), "what was taken back is gone");
    let past = (Standing::Behind(at(10)), "old".into());
    assert_eq!(open(1, 21), past, "others went on, perhaps from before: the changelog tells");
}

#[test]
fn a_restore_that_is_cut_off_is_not_whole() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_with(dir.path(), 100_000).unwrap();
    let mut store = disk.store(&id(0), 100_000, false).unwrap();
    store.load("k", Some(entry("v"))).unwrap();
    store.restored(Checkpoint { position: 50, changelog: 40, at: 3 }).unwrap();
    for n in 0..25_000 {
        store.load(&n.to_string(), Some(entry("v"))).unwrap();
    }
    drop((store, disk));
    let disk = Disk::open(dir.path()).unwrap();
    let mut store = disk.store(&id(0), 100_000, false).unwrap();
    let behind = Standing::Behind(Checkpoint { position: -1, changelog: 40, at: 3 });
    assert_eq!(store.standing(50).unwrap(), behind);
    for n in 0..25_000 {
        store.load(&n.to_string(), Some(entry("v"))).unwrap();
    }
    store.restored(Checkpoint { position: 60, changelog: 90, at: 4 }).unwrap();
    drop((store, disk));
    let disk = Disk::open(dir.path()).unwrap();
    let mut store = disk.store(&id(0), 100_000, false).unwrap();
    assert_eq!(store.standing(60).unwrap(), Standing::Whole);
    assert_eq!((store.len(), everything(&mut store).unwrap().len()), (25_001, 25_001));
}

#[test]
fn a_wiped_store_is_empty_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_with(dir.path(), 1).unwrap();
    let mut stores: Vec<_> = (0..3).map(|n| disk.store(&id(n), 1, false).unwrap()).collect();
    for store in &mut stores {
        write(store, 0, 1, ["k".into()], "v");
    }
    disk.wipe(&id(1)).unwrap();
    assert_eq!(disk.list().unwrap(), [id(0), id(2)]);
    assert_eq!(
        stores[1].prepare(&Commit { from: 1, to: 2, changelog: 0, now: 0, changes: &[] }),
        Err(StateError::Fenced)
    );
    let mut store = disk.store(&id(1), 1, false).unwrap();
    assert_eq!(store.standing(1).unwrap(), Standing::Empty);
    assert_eq!((store.len(), value(&mut store, "k")), (0, None));
    write(&mut store, 1, 2, ["k".into()], "again");
    drop((store, stores, disk));
    let disk = Disk::open(dir.path()).unwrap();
    assert_eq!(disk.list().unwrap(), [id(0), id(1), id(2)]);
    for (n, wanted) in [(0, "v"), (1, "again"), (2, "v")] {
        assert_eq!(value(&mut disk.store(&id(n), 1, false).unwrap(), "k").unwrap(), wanted);
    }
}

#[test]
fn a_folder_belongs_to_one_process_and_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("state");
    let disk = Disk::open(&home).unwrap();
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    let error = Disk::discard(&home).unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
    drop(disk);
    Disk::discard(&home).unwrap();
    assert!(!home.exists());
    fs::write(dir.path().join("letter"), "not ours").unwrap();
    assert!(matches!(Disk::open(dir.path()), Err(StateError::Unavailable(_))));
    assert!(matches!(Disk::discard(dir.path()), Err(StateError::Unavailable(_))));
    assert!(dir.path().join("letter").exists());
}

#[test]
fn a_commit_that_waits_for_the_device_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_with(dir.path(), 1).unwrap();
    let mut store = disk.store(&id(0), 1 << 20, true).unwrap();
    for round in 0..5 {
        write(&mut store, round, round + 1, ["k".into()], &round.to_string());
    }
    drop((store, disk));
    let disk = Disk::open(dir.path()).unwrap();
    let mut store = disk.store(&id(0), 1 << 20, true).unwrap();
    assert_eq!((store.standing(5).unwrap(), value(&mut store, "k").unwrap()), (Standing::Whole, "4".into()));
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_flushed_waits_in_the_log() {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_with(dir.path(), 20_000).unwrap();
    let mut store = disk.store(&id(0), 1 << 20, false).unwrap();
    let keys = || (0..100).map(|n| format!("{n}"));
    write(&mut store, 0, 1, keys(), &"x".repeat(100));
    let tables = dir.path().join("stores/patients/last%2Fplace/0-1/tree/tables");
    let aside = tables.with_extension("aside");
    fs::write(&aside, "no folder").unwrap();
    // In one step: a folder that is gone would be damage.
    let exchange = || renameat2(AT_FDCWD, &tables, AT_FDCWD, &aside, RenameFlags::RENAME_EXCHANGE).unwrap();
    exchange();
    for round in 1..30 {
        write(&mut store, round, round + 1, keys(), &"y".repeat(100));
    }
    exchange();
    for round in 30..60 {
        write(&mut store, round, round + 1, keys(), &"z".repeat(100));
    }
    drop((store, disk));
    let disk = Disk::open(dir.path()).unwrap();
    let mut store = disk.store(&id(0), 1, false).unwrap();
    assert_eq!(store.standing(60).unwrap(), Standing::Whole);
    assert!(everything(&mut store).unwrap().iter().all(|(_, entry)| entry.value == [b'z'; 100]));
}

const FULL: &str = "GREGOR_TEST_FULL_DISK";

/// A file may not grow past 2 MiB, as if the disk were full.
#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"trap "" XFSZ; ulimit -f 4096; exec "$0" --ignored --exact "$1""#;
    let module = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new("sh");
    child.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg(format!("{module}::full_disk"));
    let done = child.env(FULL, dir.path()).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
    let committed: i64 = fs::read_to_string(dir.path().join("committed")).unwrap().parse().unwrap();
    let disk = Disk::open(&dir.path().join("state")).unwrap();
    let mut store = disk.store(&id(0), 1 << 20, false).unwrap();
    assert_eq!(store.standing(committed).unwrap(), Standing::Whole);
    assert_eq!(value(&mut store, "last").unwrap(), committed.to_string());
    write(&mut store, committed, committed + 1, ["last".into()], "there is room");
}

#[test]
#[ignore = "run by another test, under a limit"]
fn full_disk() {
    let Some(dir) = std::env::var_os(FULL).map(PathBuf::from) else { return };
    let disk = Disk::open(&dir.join("state")).unwrap();
    let mut store = disk.store(&id(0), 1 << 20, false).unwrap();
    for to in 1.. {
        let mut changes = vec![store.put("last", entry(&to.to_string())).unwrap()];
        for n in 0..100 {
            changes.push(store.put(&n.to_string(), entry(&"x".repeat(1_000))).unwrap());
        }
        match store.prepare(&Commit { from: to - 1, to, changelog: 0, now: 0, changes: &changes }) {
            Ok(()) => store.finish().unwrap(),
            Err(error) => {
                assert!(matches!(error, StateError::Full(_)), "{error}");
                for (key, previous) in changes.into_iter().rev() {
                    match previous {
                        Some(entry) => drop(store.put(&key, entry).unwrap()),
                        None => drop(store.remove(&key).unwrap()),
                    }
                }
                store.abort().unwrap();
                assert!(matches!(store.ready(), Err(StateError::Full(_))), "there is no room yet");
                assert_eq!(value(&mut store, "last").unwrap(), (to - 1).to_string());
                fs::write(dir.join("committed"), (to - 1).to_string()).unwrap();
                return;
            }
        }
        assert!(to < 100, "the limit does not hold");
    }
}
