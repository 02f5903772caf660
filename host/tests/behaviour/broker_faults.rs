//! A broker that crashes, or stops answering, while records flow.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Backend, Broker, Guarantee, Host, Settings, Trial, until};

/// Longer than a session and than a transaction may last.
const UNREACHABLE: Duration = Duration::from_secs(12);
const LONG_UNREACHABLE: Duration = Duration::from_secs(30);
/// Longer than a cluster waits for a broker's heartbeat.
const FENCED: Duration = Duration::from_secs(4);

#[test]
fn a_broker_that_is_killed_under_load_costs_and_doubles_nothing() {
    survives(Settings::or(30_000, 1), |broker| {
        broker.kill9();
        broker.restart();
    });
}

#[test]
fn a_coordinator_that_cannot_be_reached_costs_and_doubles_nothing() {
    let settings = Settings { rounds: 1, ..Settings::or(30_000, 1) };
    survives(settings, |broker| {
        broker.freeze();
        sleep(if settings.full { LONG_UNREACHABLE } else { UNREACHABLE });
        broker.thaw();
    });
}

/// As when brokers are restarted in turn: the one that holds the group's offsets
/// leaves the metadata, the client library gives it up, and another one takes over.
#[test]
fn a_coordinator_that_leaves_its_cluster_costs_and_doubles_nothing() {
    outlives_its_coordinator(Guarantee::ExactlyOnce, Settings::or(15_000, 1));
}

#[test]
fn a_coordinator_that_leaves_its_cluster_costs_nothing_at_least_once() {
    outlives_its_coordinator(Guarantee::AtLeastOnce, Settings::or(15_000, 1));
}

fn outlives_its_coordinator(guarantee: Guarantee, settings: Settings) {
    let (first, mut second) = Broker::start_two();
    let kafka = first.connect();
    let app = kafka.coordinated_by(2);
    let trial = Trial::at(kafka, Backend::Memory, guarantee, settings).with_setup(|setup| setup.app(&app));
    let mut host = trial.spawn("one");
    let stream = trial.stream(15);
    for _ in 0..settings.rounds {
        trial.wait_for_outputs(50);
        second.kill9();
        sleep(FENCED);
        // Asked is the host: the tests' own client has the library's faults too.
        let before = commits(&host);
        until("the host commits without that broker", || commits(&host) > before + 4.0);
        second.restart();
    }
    let produced = stream.finish();
    trial.settle();
    assert_eq!(host.term(), Some(0));

    trial.verify(&produced);
    let (rounds, stop) = (settings.rounds, longest_stop(&trial));
    trial.report(&produced, &format!("the coordinator left {rounds} times, outputs stopped for {stop} ms at most"));
}

/// Commits that brokers have confirmed.
fn commits(host: &Host) -> f64 {
    host.metric("gregor_commit_seconds_count", &[])
}

/// Milliseconds between two outputs, of any partition, at their farthest.
fn longest_stop(trial: &Trial) -> i64 {
    let mut appended = Vec::new();
    trial.kafka.read_each(&trial.sink, |output| appended.push(output.timestamp));
    appended.sort_unstable();
    appended.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

fn survives(settings: Settings, fault: impl Fn(&mut Broker)) {
    let mut chance = settings.chance();
    let mut broker = Broker::start();
    let trial = Trial::at(broker.connect(), Backend::Memory, Guarantee::ExactlyOnce, settings);
    // Sent before: an idempotent producer may repeat a record when its broker
    // comes back without the producer's state (KIP-360), and the host is not to
    // answer for that.
    let produced = trial.stream(1).finish();
    let mut host = trial.spawn("one");
    let mut longest = Duration::ZERO;
    for _ in 0..settings.rounds {
        trial.wait_for_outputs(50);
        chance.pass(Duration::from_millis(300));
        fault(&mut broker);
        let back = Instant::now();
        let written = trial.written();
        trial.wait_for_outputs_past(written + 50);
        longest = longest.max(back.elapsed());
    }
    trial.settle();
    assert_eq!(host.term(), Some(0));

    trial.verify(&produced);
    let figures = format!("{} faults, records flowed again within {:.1} s", settings.rounds, longest.as_secs_f64());
    trial.report(&produced, &figures);
}
