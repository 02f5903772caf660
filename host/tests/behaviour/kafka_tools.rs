//! Kafka's own tools between runs: what a state hangs on beside the offset stays.

use crate::support::extra::{Line, Topics, stage};
use crate::support::{Guarantee, Pipeline, Record, Setup, Stage, kafka, plugin, until};

const STATE: &str = r#"{ backend = "memory", changelog = true }"#;
const DISK: &str = r#"{ backend = "disk", changelog = true }"#;

fn settled(setup: &Setup, source: &str) {
    until("everything is committed", || kafka().is_settled(&setup.app, source));
}

/// As `--reset-offsets --to-current` does it: the offset stays, its metadata goes.
fn to_current(setup: &Setup, source: &str) {
    let next = kafka().committed(&setup.app, source)[0].expect("an offset");
    kafka().move_group(&setup.app, source, 0, next);
}

#[test]
fn the_real_tool_erases_metadata_and_no_state() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let stage = Stage::new("script").set("state", STATE);
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
    let count = || Record::new("key", "increment n 1").partition(0);
    kafka().produce(&source, [count(), count()]);
    setup.run_bounded();
    assert!(kafka().metadata(&setup.app, &source, 0).starts_with("gregor1 "));
    let reset = ["--reset-offsets", "--to-current", "--execute", "--group", &setup.app, "--topic", &source];
    kafka().consumer_groups(&reset);
    assert_eq!(kafka().metadata(&setup.app, &source, 0), "");
    kafka().produce(&source, [count()]);
    setup.run_bounded();
    assert_eq!(kafka().read(&sink).last().unwrap().text(), "3");
}

#[test]
fn timers_that_fired_are_told_by_the_state() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let (source, sink) = (kafka().topic(1), kafka().topic(1));
        let stage = Stage::new("timed").set("state", STATE);
        let setup = Setup::new()
            .workers(1)
            .delivery("guarantee", guarantee.toml())
            .delivery("commit-interval", "\"100ms\"")
            .pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
        let mut host = setup.start();
        // Two fire after the record's own commit, which moves the position but no offset.
        kafka().produce(
            &source,
            [Record::new("key", "soon one 400\nsoon two 600\nevent late 9000000000000").partition(0)],
        );
        until("both have fired", || kafka().read(&sink).len() == 3);
        until("that is committed", || kafka().metadata(&setup.app, &source, 0).contains("timers=2"));
        host.term();
        to_current(&setup, &source);
        kafka().produce(&source, [Record::new("key", "cancel event late\ncancel clock one").partition(0)]);
        setup.run_bounded();
        let outputs = kafka().read(&sink);
        assert_eq!(outputs.len(), 4, "{guarantee:?}: no timer fires again");
        assert_eq!(outputs[3].text(), "true\nfalse", "{guarantee:?}: the timer that waits is there");
    }
}

#[test]
fn a_migration_outlives_an_erased_metadata() {
    const LOOK: &str = "get new/k\nget m/times\nget k";
    for (state, guarantee) in [(STATE, Guarantee::AtLeastOnce), (DISK, Guarantee::ExactlyOnce)] {
        let topics = Topics::new(1);
        let setup = Setup::new()
            .workers(1)
            .delivery("guarantee", guarantee.toml())
            .plugin("versioned", &plugin("script"))
            .pipeline(topics.pipeline().stage(stage("versioned", &format!("state = {state}"))));
        let host = setup.start();
        let mut line = Line::of(topics, setup, host);
        line.ask(0, "set k v");
        line.settle();
        line.host.term();
        to_current(&line.setup, &line.topics.source);
        line.setup.put("versioned", &plugin("migrates"));
        line.host = line.setup.start();
        line.host.wait_for_log("the state is migrated");
        // Its commit moves the position and no offset.
        let metadata = || kafka().metadata(&line.setup.app, &line.topics.source, 0);
        until("that is committed", || metadata().contains("migrated=1"));
        line.host.term();
        to_current(&line.setup, &line.topics.source);
        line.host = line.setup.start();
        assert_eq!(line.ask(0, LOOK), "v\n1\nnone", "{guarantee:?}: migrated once, and nothing is lost");
        line.host.term();
    }
}

#[test]
fn parked_records_outlive_an_erased_metadata() {
    let topics = Topics::new(1);
    let settings = format!("on-failure = \"quarantine\"\nstate = {STATE}");
    let setup = Setup::new().workers(1).pipeline(topics.pipeline().stage(stage("refuses-one", &settings)));
    kafka().produce(
        &topics.source,
        ["bad-patient", "good-patient", "bad-patient"].map(|key| Record::new(key, "{}").partition(0)),
    );
    let mut host = setup.start();
    settled(&setup, &topics.source);
    host.term();
    to_current(&setup, &topics.source);
    setup.put("refuses-one", &plugin("echo"));
    let mut host = setup.start();
    until("all have come out", || kafka().read(&topics.sink).len() == 3);
    settled(&setup, &topics.source);
    // Released: their commit moved the position and no offset.
    until("that is committed", || kafka().metadata(&setup.app, &topics.source, 0).contains("redriven=2"));
    host.term();
    to_current(&setup, &topics.source);
    setup.run_bounded();
    assert_eq!(kafka().read(&topics.sink).len(), 3, "once each");
}
