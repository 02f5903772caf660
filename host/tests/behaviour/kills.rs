//! The host killed at random moments, while records flow.

use std::time::Duration;

use crate::support::{Backend, Guarantee, Settings, Trial};

/// Seconds from one kill to the next: mostly the session of members that are gone.
const ROUND: u64 = 6;

#[test]
fn killed_hosts_with_memory_and_a_changelog_give_each_output_once() {
    survives_kills(Backend::Memory, Guarantee::ExactlyOnce);
}

#[test]
fn killed_hosts_with_a_disk_and_a_changelog_give_each_output_once() {
    survives_kills(Backend::Disk, Guarantee::ExactlyOnce);
}

#[test]
fn killed_hosts_with_redis_give_each_output_once() {
    survives_kills(Backend::Redis, Guarantee::ExactlyOnce);
}

#[test]
fn killed_hosts_with_memory_at_least_once_lose_nothing_and_state_counts_nothing_twice() {
    survives_kills(Backend::Memory, Guarantee::AtLeastOnce);
}

#[test]
fn killed_hosts_with_a_disk_at_least_once_lose_nothing_and_state_counts_nothing_twice() {
    survives_kills(Backend::Disk, Guarantee::AtLeastOnce);
}

fn survives_kills(backend: Backend, guarantee: Guarantee) {
    let settings = Settings::or(9_000, 3);
    let mut chance = settings.chance();
    let trial = Trial::new(backend, guarantee, settings);
    let stream = trial.stream(ROUND);
    for _ in 0..settings.rounds {
        if chance.one_in(4) {
            trial.setup.lose_data("one");
        }
        let mut host = trial.spawn("one");
        if chance.one_in(5) {
            // While it starts, joins or restores.
            chance.pass(Duration::from_secs(ROUND));
        } else {
            trial.wait_for_outputs(50);
            chance.pass(Duration::from_secs(1));
        }
        host.kill9();
    }
    let mut host = trial.spawn("one");
    let produced = stream.finish();
    trial.settle();
    assert_eq!(host.term(), Some(0));

    let repeated = trial.verify(&produced);
    trial.report(&produced, &format!("{} kills, {repeated} outputs repeated", settings.rounds));
}
