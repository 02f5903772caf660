//! A host that stops and starts again.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;

use crate::support::{Flow, Pipeline, Received, Record, Setup, Stage, by_key, kafka, until};

fn setup(source: &str, sink: &str) -> Setup {
    Setup::new().pipeline(Pipeline::new(source).sink(sink).stage(Stage::new("echo")))
}

#[test]
fn a_new_host_goes_on_at_the_committed_offsets() {
    let (source, sink) = (kafka().topic(3), kafka().topic(1));
    let numbered = |range: std::ops::Range<u32>| range.map(|n| Record::new(format!("key-{}", n % 7), n.to_string()));
    let setup = setup(&source, &sink);
    for part in [0..100, 100..250] {
        kafka().produce(&source, numbered(part));
        let mut host = setup.start();
        until("all is committed", || kafka().is_settled(&setup.app, &source));
        assert_eq!(host.term(), Some(0));
    }

    let mut values: Vec<u32> = kafka().read(&sink).iter().map(|output| output.text().parse().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, (0..250).collect::<Vec<_>>());
}

#[test]
fn sigterm_under_load_loses_and_repeats_nothing() {
    a_signal_under_load_loses_and_repeats_nothing(Signal::SIGTERM);
}

#[test]
fn ctrl_c_under_load_loses_and_repeats_nothing() {
    a_signal_under_load_loses_and_repeats_nothing(Signal::SIGINT);
}

fn a_signal_under_load_loses_and_repeats_nothing(signal: Signal) {
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let setup = setup(&source, &sink);
    let flow = Flow::start(&source, 30);
    let mut host = setup.start();
    until("both workers have their share", || host.owns(6) && kafka().is_stable(&setup.app, 2));
    kafka().consume(&sink, 500);

    host.signal(signal);
    assert_eq!(host.wait_exit(), Some(0));
    assert!(kafka().group(&setup.app).members.is_empty(), "its members have left the group");

    // With a default session timeout of 45 s, members that had not left would keep their partitions.
    let mut next = setup.start();
    let produced = flow.stop();
    until("all is committed", || kafka().is_settled(&setup.app, &source));
    assert_eq!(next.term(), Some(0));
    produced.assert_came_out_once(&kafka().read(&sink));
}

#[test]
fn sigkill_under_load_loses_nothing() {
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let setup = setup(&source, &sink).kafka("session.timeout.ms", "6000");
    let flow = Flow::start(&source, 30);
    let mut host = setup.start();
    kafka().consume(&sink, 500);

    host.kill9();
    let next = setup.start_as("two");
    let produced = flow.stop();
    until("all is committed", || kafka().is_settled(&setup.app, &source));
    drop(next);

    let outputs = kafka().read(&sink);
    let last = last_occurrences(&outputs);
    assert_eq!(by_key(&last), produced.values(), "every record is there, in order where it came last");
}

#[test]
fn a_host_frozen_past_its_session_drops_its_partitions_and_nothing_is_lost() {
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let setup = setup(&source, &sink).kafka("session.timeout.ms", "6000");
    let flow = Flow::start(&source, 30);
    let frozen = setup.start();
    kafka().consume(&sink, 500);

    frozen.freeze();
    let next = setup.start_as("two");
    until("the other host has taken over", || next.owns(6));
    frozen.thaw();
    frozen.wait_for_log("lost: the group took it away");
    until("it has a share again", || !frozen.partitions().is_empty() && kafka().is_stable(&setup.app, 4));
    let produced = flow.stop();
    until("all is committed", || kafka().is_settled(&setup.app, &source));

    // What it had sent but not committed comes again, and later than its repetition.
    let first = first_occurrences(&kafka().read(&sink));
    assert_eq!(by_key(&first), produced.values(), "every record is there, in order where it came first");
}

#[test]
fn a_host_that_stops_while_it_joins_leaves_no_member_behind() {
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let setup = setup(&source, &sink);
    for _ in 0..3 {
        let mut host = setup.spawn_as("one", &[]);
        host.wait_for_log("running; SIGTERM");
        assert_eq!(host.term(), Some(0));
        let members = kafka().group(&setup.app).members;
        assert!(members.is_empty(), "members have not left the group: {members:?}");
    }
}

/// Each record where it came out first, in the order of its partition.
fn first_occurrences(outputs: &[Received]) -> Vec<Received> {
    let mut seen = BTreeSet::new();
    outputs.iter().filter(|output| seen.insert((output.key(), output.text()))).cloned().collect()
}

/// Each record where it came out last, in the order of its partition.
fn last_occurrences(outputs: &[Received]) -> Vec<Received> {
    let mut last: BTreeMap<(i32, i64), &Received> = BTreeMap::new();
    let mut seen: BTreeMap<(&str, &str), (i32, i64)> = BTreeMap::new();
    for output in outputs {
        let place = (output.partition, output.offset);
        if let Some(before) = seen.insert((output.key(), output.text()), place) {
            last.remove(&before);
        }
        last.insert(place, output);
    }
    last.into_values().cloned().collect()
}

#[test]
fn where_nothing_is_committed_the_start_setting_decides() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    kafka().produce(&source, (0..10).map(|n| Record::new("old", n.to_string())));
    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")).set("start", "\"latest\"");
    let setup = Setup::new().pipeline(pipeline);
    let mut host = setup.start();
    until("the group has settled at the end", || kafka().is_settled(&setup.app, &source));

    kafka().produce(&source, (0..10).map(|n| Record::new("new", n.to_string())));
    until("all is committed", || kafka().is_settled(&setup.app, &source));
    assert_eq!(host.term(), Some(0));

    let outputs = kafka().read(&sink);
    assert_eq!(outputs.len(), 10);
    assert!(outputs.iter().all(|output| output.key() == "new"));
}

#[test]
fn a_host_that_is_stopped_as_soon_as_it_is_ready_leaves_the_group() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    // Of two workers one has nothing: the group is rebalanced while the host is ready already.
    let setup = setup(&source, &sink);
    for _ in 0..5 {
        let mut host = setup.start();
        assert_eq!(host.term(), Some(0));
        let members = kafka().group(&setup.app).members;
        assert!(members.is_empty(), "members have not left the group: {members:?}");
    }
}
