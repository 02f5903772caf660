//! What every backend of the cache has to show: one suite, run over each.

mod parked;
mod timers;

use std::collections::BTreeMap;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Cache, CacheError, CacheLimits, Checkpoint, Entry, MemoryStore, Origin, Page, StateError, StateStore};

pub use parked::*;
pub use timers::*;

const LIMITS: CacheLimits = CacheLimits { bytes: 10_000, value: 1_000 };
const EVERYTHING: Page<'_> = Page { prefix: "", after: None, now: 0, limit: usize::MAX, bytes: usize::MAX };

/// A fresh store of one backend.
pub struct Backend {
    /// Opens it, as after a crash, for a group whose committed offset is the argument.
    pub open: Box<dyn FnMut(i64) -> Box<dyn StateStore>>,
    /// What was prepared is there when it is opened again.
    pub durable: bool,
    /// How many cases of generated tests are bearable.
    pub cases: u32,
}

impl Backend {
    fn cache(&mut self, position: i64) -> Cache {
        self.cache_with(position, LIMITS)
    }

    fn cache_with(&mut self, position: i64, limits: CacheLimits) -> Cache {
        let mut cache = Cache::new((self.open)(position), limits, true);
        cache.begin(1_000, None);
        cache
    }
}

pub fn memory() -> Backend {
    Backend { open: Box::new(|_| Box::new(MemoryStore::default())), durable: false, cases: 256 }
}

fn keys(found: &[(String, Vec<u8>)]) -> Vec<&str> {
    found.iter().map(|(key, _)| key.as_str()).collect()
}

fn all(cache: &mut Cache) -> Vec<(String, String)> {
    let found = cache.scan("", None, 1_000).unwrap();
    found.into_iter().map(|(key, value)| (key, String::from_utf8(value).unwrap())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn set(cache: &mut Cache, key: &str, value: &str) {
    cache.set(key, value.as_bytes().to_vec(), None).unwrap();
    cache.keep();
}

fn prepare(cache: &mut Cache, from: i64, to: i64) {
    cache.changes(0, |_, _| Ok::<(), StateError>(())).unwrap();
    cache.prepare(from, to, 1_000).unwrap();
}

fn commit(cache: &mut Cache, from: i64, to: i64) {
    prepare(cache, from, to);
    cache.finish();
}

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

pub fn a_scan_pages_in_order_of_bytes(mut backend: Backend) {
    let mut cache = backend.cache(0);
    for key in ["b/2", "b/10", "a/1", "b/ö", "b0", "c"] {
        cache.set(key, key.as_bytes().to_vec(), None).unwrap();
    }
    let first = cache.scan("b/", None, 2).unwrap();
    assert_eq!(keys(&first), ["b/10", "b/2"]);
    assert_eq!(keys(&cache.scan("b/", Some("b/2"), 2).unwrap()), ["b/ö"]);
    assert_eq!(keys(&cache.scan("b/", Some("a"), 1).unwrap()), ["b/10"]);
    assert!(cache.scan("b/", Some("c"), 2).unwrap().is_empty());
    assert!(cache.scan("b/", None, 0).unwrap().is_empty());
}

pub fn a_scan_sees_what_changed_over_what_is_committed(mut backend: Backend) {
    let mut cache = backend.cache(0);
    for key in ["a", "b", "c", "d", "x"] {
        set(&mut cache, key, "old");
    }
    commit(&mut cache, 0, 1);
    set(&mut cache, "b", "new");
    set(&mut cache, "bb", "new");
    cache.delete("c").unwrap();
    set(&mut cache, "e", "new");
    assert_eq!(
        all(&mut cache),
        pairs(&[("a", "old"), ("b", "new"), ("bb", "new"), ("d", "old"), ("e", "new"), ("x", "old")])
    );
    assert_eq!(keys(&cache.scan("", Some("b"), 2).unwrap()), ["bb", "d"]);
    assert_eq!(keys(&cache.scan("b", None, 9).unwrap()), ["b", "bb"]);
    cache.undo();
    assert_eq!(keys(&cache.scan("", Some("b"), 2).unwrap()), ["bb", "d"]);
    cache.roll_back().unwrap();
    assert_eq!(keys(&cache.scan("", None, 9).unwrap()), ["a", "b", "c", "d", "x"]);
}

pub fn a_scan_of_large_values_ends_early_and_goes_on(mut backend: Backend) {
    let mut cache = backend.cache_with(0, CacheLimits { bytes: 1 << 30, value: 1 << 20 });
    for n in 0..5 {
        cache.set(&format!("k{n}"), vec![0; 600 << 10], None).unwrap();
        if n == 2 {
            cache.keep();
            commit(&mut cache, 0, 1);
        }
    }
    let (mut after, mut seen) = (None::<String>, 0);
    loop {
        let page = cache.scan("k", after.as_deref(), 1_000).unwrap();
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        seen += page.len();
        after = Some(last.clone());
    }
    assert_eq!(seen, 5);
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
    assert_eq!(store.expired(1_050, 10).unwrap(), [Arc::from("none")]);
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
    assert_eq!(store.expired(30, 2).unwrap(), [Arc::from("b"), Arc::from("d")]);
    assert_eq!(store.expired(30, 10).unwrap(), [Arc::from("b"), Arc::from("d"), Arc::from("a")]);
    store.remove("b").unwrap();
    store.put("late", entry(1)).unwrap();
    assert_eq!(store.expired(30, 10).unwrap(), [Arc::from("late"), Arc::from("d"), Arc::from("a")]);
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

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, Option<u64>),
    Delete(u8),
    Keep,
    Undo,
    Pass(u64),
    Commit,
    RollBack,
    Prepare,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6u8, any::<u8>(), proptest::option::of(1..40u64)).prop_map(|(k, v, t)| Step::Set(k, v, t)),
        4 => (0..6u8).prop_map(Step::Delete),
        4 => Just(Step::Keep),
        2 => Just(Step::Undo),
        2 => (1..30u64).prop_map(Step::Pass),
        2 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        1 => Just(Step::Prepare),
        1 => Just(Step::Reopen),
    ]
}

type Map = BTreeMap<String, (Vec<u8>, Option<u64>)>;

/// A plain map, at each of the points that a cache can go back to.
#[derive(Default)]
struct Model {
    now: u64,
    offset: i64,
    prepared: Option<i64>,
    staged: Map,
    kept: Map,
    committed: Map,
}

impl Model {
    fn take(&mut self, step: Step, cache: &mut Cache, backend: &mut Backend) {
        match step {
            Step::Set(k, v, ttl) => {
                cache.set(&k.to_string(), vec![v], ttl).unwrap();
                self.staged.insert(k.to_string(), (vec![v], ttl.map(|ttl| self.now + ttl)));
            }
            Step::Delete(k) => {
                let stood = self.staged.remove(&k.to_string());
                let lived = stood.is_some_and(|(_, at)| at.is_none_or(|at| at > self.now));
                assert_eq!(cache.delete(&k.to_string()).unwrap(), lived);
            }
            Step::Keep => self.keep(cache),
            Step::Undo => {
                cache.undo();
                self.staged = self.kept.clone();
            }
            Step::Pass(ms) => {
                self.keep(cache);
                self.now += ms;
                cache.sweep(self.now).unwrap();
                cache.begin(self.now, None);
            }
            Step::Prepare => {
                self.keep(cache);
                let to = self.prepared.unwrap_or(self.offset) + 10;
                cache.changes(self.now, |_, _| Ok::<(), StateError>(())).unwrap();
                cache.prepare(self.offset, to, self.now).unwrap();
                self.prepared = Some(to);
            }
            Step::Commit => {
                self.take(Step::Prepare, cache, backend);
                cache.finish();
                self.offset = self.prepared.take().unwrap();
                self.committed = self.kept.clone();
            }
            Step::RollBack => {
                cache.roll_back().unwrap();
                self.go_back();
            }
            Step::Reopen if backend.durable => {
                *cache = backend.cache(self.offset);
                cache.begin(self.now, None);
                self.go_back();
            }
            Step::Reopen => (),
        }
    }

    fn keep(&mut self, cache: &mut Cache) {
        cache.keep();
        self.kept = self.staged.clone();
    }

    fn go_back(&mut self) {
        self.kept = self.committed.clone();
        self.staged = self.committed.clone();
        self.prepared = None;
    }

    fn lives(&self) -> Vec<(String, Vec<u8>)> {
        let lives = self.staged.iter().filter(|(_, (_, at))| at.is_none_or(|at| at > self.now));
        lives.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }
}

/// `backend` makes a fresh store for each case.
pub fn a_cache_equals_a_sorted_map(backend: fn() -> Backend) {
    let mut runner = TestRunner::new(Config { cases: backend().cases, failure_persistence: None, ..Config::default() });
    let steps = proptest::collection::vec(step(), 1..200);
    let outcome = runner.run(&steps, |steps| {
        let mut backend = backend();
        let mut cache = backend.cache(0);
        let mut model = Model { now: 1_000, ..Model::default() };
        for step in steps {
            model.take(step, &mut cache, &mut backend);
            prop_assert_eq!(cache.scan("", None, 1_000).unwrap(), model.lives());
            for (key, value) in model.lives() {
                prop_assert_eq!(cache.get(&key).unwrap(), Some(&value[..]));
            }
            prop_assert!(cache.len() >= model.lives().len() as u64);
        }
        cache.keep();
        cache.sweep(model.now).unwrap();
        let bytes = model.lives().iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
        prop_assert_eq!((cache.len(), cache.bytes()), (model.lives().len() as u64, bytes));
        Ok(())
    });
    outcome.unwrap();
}

/// Runs the suite over the backend that `$make`, a `fn() -> Backend`, makes.
macro_rules! conforms {
    ($name:ident, $make:expr) => {
        $crate::state::conformance::conforms! { @ $name, $make;
            writes_of_a_failed_record_are_undone
            an_entry_past_its_time_to_live_is_gone
            sweeping_frees_expired_entries_only
            a_scan_pages_in_order_of_bytes
            a_scan_sees_what_changed_over_what_is_committed
            a_scan_of_large_values_ends_early_and_goes_on
            quotas_name_their_limit_and_replacing_frees
            keys_are_1_to_512_bytes
            increment_counts_from_nothing_and_refuses_what_is_no_number
            an_interval_is_taken_back_whole
            changes_name_each_key_once_with_what_stands_there
            a_store_that_is_opened_again_stands_where_the_group_does
            expiry_and_record_keys_outlive_the_store
            what_expired_is_named_the_earliest_first
            what_is_restored_is_there
            timers_are_due_by_time_then_name_and_one_of_a_name_replaces
            timers_follow_undo_and_the_interval
            no_plugin_sees_or_writes_what_is_the_host_s
            timers_count_as_bytes_of_the_cache
            timers_outlive_the_store_with_their_record_and_the_watermark
            what_is_parked_is_found_by_its_record_key_in_order
            what_is_parked_follows_undo_and_the_interval
            what_is_parked_outlives_the_store_in_its_order
            what_is_parked_meets_the_limits_and_no_plugin_sees_it
        }
    };
    (@ $name:ident, $make:expr; $($test:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            use $crate::state::conformance;

            $(#[test]
            fn $test() {
                conformance::$test($make());
            })*

            #[test]
            fn a_cache_equals_a_sorted_map() {
                conformance::a_cache_equals_a_sorted_map($make);
            }
        }
    };
}
pub(crate) use conforms;

conforms!(of_memory, memory);
