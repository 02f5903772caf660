//! A host that is frozen past its session, and wakes when others have its partitions.

use std::time::Duration;

use crate::support::{Backend, Guarantee, Settings, Trial, until};

/// Seconds from one freeze to the next.
const ROUND: u64 = 20;

#[test]
fn a_zombie_with_memory_and_a_changelog_has_no_effect() {
    survives_zombies(Backend::Memory);
}

#[test]
fn a_zombie_with_a_disk_and_a_changelog_has_no_effect() {
    survives_zombies(Backend::Disk);
}

#[test]
fn a_zombie_with_redis_has_no_effect() {
    survives_zombies(Backend::Redis);
}

fn survives_zombies(backend: Backend) {
    let settings = Settings::or(9_000, 1);
    let mut chance = settings.chance();
    let trial = Trial::new(backend, Guarantee::ExactlyOnce, settings);
    let stream = trial.stream(ROUND);
    let mut exits = 0;
    let mut one = trial.spawn("one");
    for _ in 0..settings.rounds {
        trial.wait_for_outputs(50);
        chance.pass(Duration::from_secs(1));
        one.freeze();
        let mut other = trial.setup.start_as("other");
        until("the other host has taken over", || other.owns(6));
        trial.wait_for_outputs(50);
        one.thaw();
        until("the zombie has ended or joined again", || one.has_ended() || trial.kafka.is_stable(&trial.setup.app, 4));
        trial.wait_for_outputs(50);
        assert_eq!(other.term(), Some(0));
        if one.has_ended() {
            exits += 1;
            one = trial.spawn("one");
        }
    }
    let produced = stream.finish();
    trial.settle();
    assert_eq!(one.term(), Some(0));

    trial.verify(&produced);
    trial.report(&produced, &format!("{} freezes, after {exits} of them the host ended", settings.rounds));
}
