//! Generated steps on a cache and on a plain map beside it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::Backend;
use crate::state::{Cache, StateError};

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
