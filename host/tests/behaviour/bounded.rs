//! The bounded run ends at the ends found at its start.

use crate::support::{Host, Pipeline, Received, Record, Setup, Stage, kafka, until};

fn setup(source: &str, sink: &str) -> Setup {
    Setup::new().pipeline(Pipeline::new(source).sink(sink).stage(Stage::new("echo")))
}

fn numbered(count: usize) -> impl Iterator<Item = Record> {
    (0..count).map(|n| Record::new(format!("key-{n}"), n.to_string()))
}

#[test]
fn records_produced_after_the_start_are_left_for_the_next_run() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    // Holds the run up until the later records are there.
    kafka().produce(&source, [Record::new("slow", "retry:2"), Record::new("fast", "in time")]);
    let slow = Stage::new("fails").set("retry", "{ attempts = 5, backoff = \"500ms\" }");
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(slow));

    let mut host = setup.spawn_as("one", &["--bounded"]);
    host.wait_for_log("running;");
    kafka().produce(&source, numbered(20));
    assert_eq!(host.wait_exit(), Some(0));

    let outputs = kafka().read(&sink);
    assert_eq!(outputs.iter().map(Received::text).collect::<Vec<_>>(), ["retry:2", "in time"]);
    assert_eq!(kafka().committed(&setup.app, &source), [Some(2)]);

    setup.run_bounded();
    assert_eq!(kafka().read(&sink).len(), 22);
    assert_eq!(kafka().committed(&setup.app, &source), [Some(22)]);
}

#[test]
fn transaction_markers_at_the_end_do_not_keep_it_waiting() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    kafka().produce_transaction(&source, true, numbered(10));
    let setup = setup(&source, &sink);

    setup.run_bounded();

    assert_eq!(kafka().read(&sink).len(), 10);
    // The marker took an offset of its own.
    assert_eq!(kafka().ends(&source), [11]);
    assert_eq!(kafka().committed(&setup.app, &source), [Some(11)]);
}

#[test]
fn aborted_records_are_not_processed() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    kafka().produce_transaction(&source, true, numbered(5));
    kafka().produce_transaction(&source, false, [Record::new("aborted", "aborted")]);
    let setup = setup(&source, &sink);

    setup.run_bounded();

    let outputs = kafka().read(&sink);
    assert_eq!(outputs.iter().map(Received::text).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    assert!(kafka().is_settled(&setup.app, &source), "past the aborted record and its marker");
}

#[test]
fn a_topic_with_nothing_but_aborted_records_is_done() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    kafka().produce_transaction(&source, false, numbered(5));

    setup(&source, &sink).run_bounded();

    assert!(kafka().read(&sink).is_empty());
}

#[test]
fn an_empty_topic_is_done() {
    let (source, sink) = (kafka().topic(3), kafka().topic(1));
    setup(&source, &sink).run_bounded();
    assert!(kafka().read(&sink).is_empty());
}

#[test]
fn partitions_without_records_do_not_keep_the_others_waiting() {
    let (source, sink) = (kafka().topic(6), kafka().topic(1));
    kafka().produce(&source, (0..10).map(|n| Record::keyless(n.to_string()).partition(4)));

    setup(&source, &sink).run_bounded();

    assert_eq!(kafka().read(&sink).len(), 10);
}

#[test]
fn a_second_run_finds_everything_committed() {
    let (source, sink) = (kafka().topic(3), kafka().topic(1));
    kafka().produce(&source, numbered(100));
    let setup = setup(&source, &sink);

    setup.run_bounded();
    setup.run_bounded();

    assert_eq!(kafka().read(&sink).len(), 100);
}

#[test]
fn two_sources_end_each_at_its_own_end() {
    let (one, other) = (kafka().topic(2), kafka().topic(2));
    let sink = kafka().topic(1);
    kafka().produce(&one, numbered(30));
    kafka().produce(&other, numbered(70));
    let echo = |name, source: &str| Pipeline::named(name, source).sink(&sink).stage(Stage::new("echo"));
    let setup = Setup::new().pipeline(echo("one", &one)).pipeline(echo("other", &other));

    setup.run_bounded();

    assert_eq!(kafka().read(&sink).len(), 100);
    until("both are committed", || kafka().is_settled(&setup.app, &one) && kafka().is_settled(&setup.app, &other));
}

#[test]
fn a_held_partition_ends_the_run_with_a_code_of_its_own() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let held = Stage::new("fails").set("on-failure", "\"hold\"");
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(held));
    let on = |partition, value: &str| Record::new("key", value).partition(partition);
    kafka().produce(&source, [on(0, "good"), on(0, "reject"), on(0, "behind"), on(1, "good"), on(1, "good")]);
    let mut host = setup.spawn_as("one", &["--bounded"]);
    assert_eq!(host.wait_exit(), Some(6));
    assert!(host.log().contains(&format!("{source}-0 is held at offset 1 (reject)")), "{}", host.log());
    assert_eq!(kafka().read(&sink).len(), 3);
    assert_eq!(kafka().committed(&setup.app, &source), [Some(1), Some(2)]);
}

#[test]
fn a_paused_partition_is_named_and_waited_for() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    // Time to pause it.
    kafka().produce(&source, [Record::new("slow", "retry:1"), Record::new("key", "good")]);
    let slow = Stage::new("fails").set("retry", "{ attempts = 5, backoff = \"3s\" }");
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(slow));
    let token = "s3cret";
    let mut host = Host::spawn_with(&setup.write(), "one", &["--bounded"], &[("GREGOR__HOST__ADMIN_TOKEN", token)]);
    until("the record waits", || host.partitions().iter().any(|view| view["state"] == "retrying"));
    assert_eq!(host.post("/api/v1/pipelines/main/pause", token, b"").0, 200);
    host.wait_for_log(&format!("{source}-0 is paused at offset 0"));
    assert_eq!(host.post("/api/v1/pipelines/main/resume", token, b"").0, 200);
    assert_eq!(host.wait_exit(), Some(0));
    assert_eq!(kafka().read(&sink).len(), 2);
}
