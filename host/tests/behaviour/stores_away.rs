//! A state store that does not answer for a while, or has no room, while records flow.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Backend, Guarantee, Host, RedisServer, Settings, Trial, until};

/// Longer than a session and than Redis is waited for.
const AWAY: Duration = Duration::from_secs(6);
const LONG_AWAY: Duration = Duration::from_secs(30);
/// Longer than a worker takes to find out that its store is away.
const ANSWER: Duration = Duration::from_secs(2);
/// Seconds of records around the time that the store is away.
const AROUND: u64 = 6;

#[test]
fn a_redis_that_hangs_costs_and_doubles_nothing() {
    survives_without_redis(Guarantee::ExactlyOnce, |redis| redis.freeze(), |redis| redis.thaw());
}

#[test]
fn a_redis_that_is_killed_costs_and_doubles_nothing() {
    survives_without_redis(Guarantee::ExactlyOnce, RedisServer::kill9, RedisServer::restart);
}

#[test]
fn a_redis_that_is_killed_at_least_once_loses_nothing_and_counts_nothing_twice() {
    survives_without_redis(Guarantee::AtLeastOnce, RedisServer::kill9, RedisServer::restart);
}

#[test]
fn a_full_disk_costs_and_doubles_nothing() {
    survives_a_full_disk(Guarantee::ExactlyOnce);
}

#[test]
fn a_full_disk_at_least_once_loses_nothing_and_counts_nothing_twice() {
    survives_a_full_disk(Guarantee::AtLeastOnce);
}

fn survives_without_redis(guarantee: Guarantee, leave: fn(&mut RedisServer), come_back: fn(&mut RedisServer)) {
    let mut redis = RedisServer::start();
    let url = redis.url();
    let change = |trial: Trial| trial.with_redis(&url);
    survives(Backend::Redis, guarantee, change, Host::spawn, |_, away| match away {
        true => leave(&mut redis),
        false => come_back(&mut redis),
    });
}

fn survives_a_full_disk(guarantee: Guarantee) {
    let spawn = |config: &Path, id: &str, _: &[&str]| Host::spawn_on_small_disk(config, id);
    survives(
        Backend::Disk,
        guarantee,
        |trial| trial,
        spawn,
        |host, away| match away {
            true => host.fill_disk(),
            false => host.free_disk(),
        },
    );
}

/// `fault` takes the store away from the host, and gives it back.
fn survives(
    backend: Backend,
    guarantee: Guarantee,
    change: impl FnOnce(Trial) -> Trial,
    spawn: impl Fn(&Path, &str, &[&str]) -> Host,
    mut fault: impl FnMut(&Host, bool),
) {
    let settings = Settings::or(9_000, 1);
    let away = if settings.full { LONG_AWAY } else { AWAY };
    let mut chance = settings.chance();
    let trial = change(Trial::new(backend, guarantee, settings));
    let stream = trial.stream(away.as_secs() + AROUND);
    let mut host = spawn(&trial.setup.write(), "one", &[]);
    host.wait_until_ready();
    for _ in 0..settings.rounds {
        trial.wait_for_outputs(50);
        chance.pass(Duration::from_millis(300));
        fault(&host, true);
        until("the host says that it cannot commit", || !host.answers("/readyz"));
        until("every worker waits", || {
            let written = trial.written();
            sleep(ANSWER);
            trial.written() == written
        });
        let held = trial.written();
        sleep(away);
        assert_eq!(trial.written(), held, "records are processed though none can be committed");
        assert!(!host.has_ended(), "the host waits for its state store");
        fault(&host, false);
        trial.wait_for_outputs_past(held + 50);
        host.wait_until_ready();
    }
    let produced = stream.finish();
    trial.settle();
    assert_eq!(host.term(), Some(0));

    let repeated = trial.verify(&produced);
    let figures =
        format!("{} times without its store for {} s, {repeated} outputs repeated", settings.rounds, away.as_secs());
    trial.report(&produced, &figures);
}
