//! A broker that crashes, or stops answering, while records flow.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Backend, Broker, Guarantee, Settings, Trial};

/// Seconds from one fault to the next.
const ROUND: u64 = 20;
const UNREACHABLE: Duration = Duration::from_secs(30);

#[test]
#[ignore = "takes minutes where the machine is loaded: `cargo xtask chaos broker`"]
fn a_broker_that_is_killed_under_load_costs_and_doubles_nothing() {
    survives(Settings::or(9_000, 1), |broker| {
        broker.kill9();
        broker.restart();
    });
}

#[test]
#[ignore = "takes minutes: `cargo xtask chaos broker`"]
fn a_coordinator_that_cannot_be_reached_costs_and_doubles_nothing() {
    survives(Settings { rounds: 1, ..Settings::or(9_000, 1) }, |broker| {
        broker.freeze();
        sleep(UNREACHABLE);
        broker.thaw();
    });
}

fn survives(settings: Settings, fault: impl Fn(&mut Broker)) {
    let mut chance = settings.chance();
    let mut broker = Broker::start();
    let trial = Trial::at(broker.connect(), Backend::Memory, Guarantee::ExactlyOnce, settings);
    let stream = trial.stream(ROUND);
    let mut host = trial.spawn("one");
    let mut longest = Duration::ZERO;
    for _ in 0..settings.rounds {
        trial.wait_for_outputs(50);
        chance.pass(Duration::from_secs(1));
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
    let produced = stream.finish();
    trial.settle();
    assert_eq!(host.term(), Some(0));

    trial.verify(&produced);
    let figures = format!("{} faults, records flowed again within {:.1} s", settings.rounds, longest.as_secs_f64());
    trial.report(&produced, &figures);
}
