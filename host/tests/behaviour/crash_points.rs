//! A host that aborts at each step of a commit, as GREGOR_CRASH_AT tells a
//! build with debug assertions.

use crate::support::{Backend, Guarantee, Settings, Trial};

const STEPS: [&str; 5] = ["outputs-sent", "changelog-sent", "state-prepared", "committed", "state-finished"];
/// Only a transaction has its offsets before it is committed.
const OF_TRANSACTIONS: [&str; 1] = ["offsets-sent"];
/// Seconds from one crash to the next.
const ROUND: u64 = 6;

#[test]
fn a_crash_at_any_step_of_a_commit_is_made_good_from_memory_and_a_changelog() {
    survives_crashes(Backend::Memory, Guarantee::ExactlyOnce);
}

#[test]
fn a_crash_at_any_step_of_a_commit_is_made_good_from_a_disk_and_a_changelog() {
    survives_crashes(Backend::Disk, Guarantee::ExactlyOnce);
}

#[test]
fn a_crash_at_any_step_of_a_commit_is_made_good_from_redis() {
    survives_crashes(Backend::Redis, Guarantee::ExactlyOnce);
}

#[test]
fn a_crash_at_any_step_of_a_commit_at_least_once_counts_nothing_twice_in_memory() {
    survives_crashes(Backend::Memory, Guarantee::AtLeastOnce);
}

#[test]
fn a_crash_at_any_step_of_a_commit_at_least_once_counts_nothing_twice_on_a_disk() {
    survives_crashes(Backend::Disk, Guarantee::AtLeastOnce);
}

fn survives_crashes(backend: Backend, guarantee: Guarantee) {
    let settings = Settings::or(9_000, 1);
    let mut chance = settings.chance();
    let trial = Trial::new(backend, guarantee, settings);
    let steps = match guarantee {
        Guarantee::AtLeastOnce => STEPS.to_vec(),
        Guarantee::ExactlyOnce => [&STEPS[..], &OF_TRANSACTIONS].concat(),
    };
    let stream = trial.stream(ROUND * steps.len() as u64);
    for _ in 0..settings.rounds {
        for step in &steps {
            let crash = format!("{step}:{}", 1 + chance.below(5));
            let mut host = trial.setup.spawn_to_crash("one", &crash);
            assert_eq!(host.wait_exit(), None, "the host aborts at {crash}");
            // A wrong output after this place is this crash's.
            println!("{backend:?}: {crash} at {:?} of the sink", trial.kafka.ends(&trial.sink));
        }
    }
    let mut host = trial.spawn("one");
    let produced = stream.finish();
    trial.settle();
    assert_eq!(host.term(), Some(0));

    let repeated = trial.verify(&produced);
    trial.report(&produced, &format!("{} rounds of crashes, {repeated} outputs repeated", settings.rounds));
}
