//! Members that keep their place in the group, hosts that share a name, and
//! the consumer protocol of KIP-848.

use std::time::Duration;

use crate::support::{Backend, Guarantee, Host, PATIENCE, Settings, Trial, until, until_within};

/// Longer than a test waits for anything: nobody's session ends.
const NEVER: Duration = PATIENCE.saturating_mul(2);

/// A trial whose members are static.
fn with_static_members() -> Trial {
    let session = NEVER.as_millis().to_string();
    Trial::new(Backend::Memory, Guarantee::ExactlyOnce, Settings::or(9_000, 1))
        .with_setup(|setup| setup.workers(1).host("static-membership", "true").kafka("session.timeout.ms", &session))
}

/// How many times the host was told of partitions that came or went.
fn moves(host: &Host) -> usize {
    let told = |line: &&str| ["\"revoked\"", "\"assigned", "\"lost"].iter().any(|word| line.contains(word));
    host.log().lines().filter(told).count()
}

#[test]
fn a_static_member_that_comes_back_has_its_partitions_again_and_no_other_moves() {
    let trial = with_static_members();
    let mut one = trial.setup.start_as("one");
    let mut two = trial.setup.start_as("two");
    let shared = |one: &Host, two: &Host| one.partitions().len() == 3 && two.partitions().len() == 3;
    until("each host has half of the partitions", || shared(&one, &two) && trial.kafka.is_stable(&trial.setup.app, 2));
    let stream = trial.stream(6);
    trial.wait_for_outputs(50);
    let before = moves(&one);

    two.kill9();
    two = trial.setup.start_as("two");
    until("it has its half again", || two.partitions().len() == 3);
    let produced = stream.finish();
    trial.settle();
    assert_eq!(moves(&one), before, "partitions of the other host moved");
    assert_eq!((one.term(), two.term()), (Some(0), Some(0)));
    trial.verify(&produced);
}

#[test]
fn a_host_that_takes_the_name_of_a_running_one_does_no_harm() {
    let trial = Trial::new(Backend::Memory, Guarantee::ExactlyOnce, Settings::or(9_000, 1));
    takes_the_name(&trial);
}

#[test]
fn a_host_that_takes_the_name_of_a_static_member_does_no_harm() {
    takes_the_name(&with_static_members());
}

fn takes_the_name(trial: &Trial) {
    let stream = trial.stream(6);
    let mut first = trial.setup.start_as("one");
    trial.wait_for_outputs(50);
    // On another machine: one folder does not take both.
    let elsewhere = [("GREGOR__HOST__DATA_DIR", "data-elsewhere")];
    let mut second = Host::spawn_with(&trial.setup.write(), "one", &[], &elsewhere);
    until("one of the two has ended", || first.has_ended() || second.has_ended());
    let (mut ended, mut left) = if first.has_ended() { (first, second) } else { (second, first) };
    assert_ne!(ended.wait_exit(), Some(0), "it did not end of its own will");
    let produced = stream.finish();
    // Each may have found out at the same moment, from another worker.
    if !settles(trial, &mut left) {
        left = trial.setup.start_as("one");
        trial.settle();
    }
    assert_eq!(left.term(), Some(0));
    trial.verify(&produced);
}

/// Whether everything is committed before the host ends.
fn settles(trial: &Trial, host: &mut Host) -> bool {
    let settled = || trial.kafka.is_settled(&trial.setup.app, &trial.source);
    // All that was sent while the two hosts fenced each other comes on top.
    until_within(3 * PATIENCE, "everything is committed, or the host has ended", || host.has_ended() || settled());
    !host.has_ended()
}

#[test]
fn the_consumer_protocol_costs_and_doubles_nothing_while_hosts_come_and_go() {
    let trial = Trial::new(Backend::Memory, Guarantee::ExactlyOnce, Settings::or(9_000, 2))
        .with_setup(|setup| setup.workers(1).without_kafka("session.timeout.ms").kafka("group.protocol", "consumer"));
    let mut one = trial.setup.start_as("one");
    let stream = trial.stream(6);
    for _ in 0..trial.settings.rounds {
        let mut other = trial.setup.start_as("other");
        until("the partitions are shared", || one.partitions().len() == 3 && other.partitions().len() == 3);
        trial.wait_for_outputs(50);
        assert_eq!(other.term(), Some(0));
        until("the first host has all again", || one.owns(6));
        trial.wait_for_outputs(50);
    }
    let produced = stream.finish();
    trial.settle();
    assert_eq!(one.term(), Some(0));
    trial.verify(&produced);
}
