//! A broker that crashes, or stops answering, while records flow.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Backend, Broker, Guarantee, Settings, Trial};

/// Longer than a session and than a transaction may last.
const UNREACHABLE: Duration = Duration::from_secs(12);
const LONG_UNREACHABLE: Duration = Duration::from_secs(30);

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
        if host.has_ended() {
            // A host that cannot tell what became of its transaction may end: whoever runs it starts it again.
            host = trial.spawn("one");
        }
        trial.wait_for_outputs_past(written + 50);
        longest = longest.max(back.elapsed());
    }
    trial.settle();
    assert_eq!(host.term(), Some(0));

    trial.verify(&produced);
    let figures = format!("{} faults, records flowed again within {:.1} s", settings.rounds, longest.as_secs_f64());
    trial.report(&produced, &figures);
}
