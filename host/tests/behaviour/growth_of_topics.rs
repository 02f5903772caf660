//! Source topics that get more partitions.

use crate::support::{Pipeline, Record, Setup, Stage, kafka, redis_url, until};

const LOCATION: &str = r#"{"patientId": "7", "lat": 38.7167, "lon": -9.1333}"#;

/// A host looks for new partitions this often; librdkafka's own default is five minutes.
fn watchful(pipeline: Pipeline) -> Setup {
    Setup::new().kafka("topic.metadata.refresh.interval.ms", "500").pipeline(pipeline)
}

#[test]
fn a_pipeline_without_state_adopts_new_partitions() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let setup = watchful(Pipeline::new(&source).sink(&sink).stage(Stage::new("patient-location")));
    let host = setup.start();
    kafka().grow(&source, 4);
    kafka().produce(&source, (0..4).map(|partition| Record::new("7", LOCATION).partition(partition)));
    assert_eq!(kafka().consume(&sink, 4).len(), 4);
    until("every partition is owned", || host.owns(4));
}

#[test]
fn a_pipeline_with_state_ends_when_its_source_gets_more_partitions() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let setup = watchful(Pipeline::new(&source).sink(&sink).stage(Stage::new("last-location")));
    let mut host = setup.start();
    kafka().grow(&source, 4);
    assert_eq!(host.wait_exit(), Some(1));
    let log = host.log();
    assert!(log.contains("more than the 2 partitions it had at start") && log.contains("gregor state export"), "{log}");
}

#[test]
fn a_changelog_with_another_number_of_partitions_refuses_the_start() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let stage = Stage::new("last-location").set("state", "{ changelog = true }");
    let setup = watchful(Pipeline::new(&source).sink(&sink).stage(stage));
    let mut host = setup.start();
    assert_eq!(host.term(), Some(0));
    kafka().grow(&source, 4);
    let (code, said) = setup.run_refused();
    assert_ne!(code, Some(0));
    assert!(said.contains("gregor state export") && said.contains('2') && said.contains('4'), "{said}");
}

#[test]
fn state_on_disk_remembers_over_restarts_how_many_partitions_it_was_kept_for() {
    remembers_partitions(r#"{ backend = "disk" }"#);
}

#[test]
fn state_in_redis_remembers_over_restarts_how_many_partitions_it_was_kept_for() {
    remembers_partitions(r#"{ backend = "redis" }"#);
}

fn remembers_partitions(state: &str) {
    let (code, said) = kept_for_too_few(state).run_refused();
    assert_eq!(code, Some(1));
    assert!(said.contains("gregor state export") && said.contains("was kept for 2"), "{said}");
}

#[test]
fn a_host_that_is_told_to_stop_before_its_worker_has_ended_for_refused_state_tells_why_and_ends() {
    // A worker ends with the commit after the refusal: here the one of its end.
    let setup = kept_for_too_few(r#"{ backend = "redis" }"#).workers(1).delivery("commit-interval", "\"60s\"");
    let mut host = setup.spawn_as("one", &[]);
    host.wait_for_log("its state cannot be opened");
    assert_eq!(host.term(), Some(1));
    let log = host.log();
    assert!(log.contains("was kept for 2") && !log.contains("shutdown-timeout"), "{log}");
}

/// A pipeline whose state was kept, over a restart, for the 2 partitions that
/// its source had before it got 4.
fn kept_for_too_few(state: &str) -> Setup {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let stage = Stage::new("last-location").set("state", state);
    let setup = watchful(Pipeline::new(&source).sink(&sink).stage(stage)).redis(&redis_url());
    for _ in 0..2 {
        let mut host = setup.start();
        until("every partition is owned", || host.owns(2));
        assert_eq!(host.term(), Some(0));
    }
    kafka().grow(&source, 4);
    setup
}

#[test]
fn stores_on_disk_are_rebuilt_where_their_changelog_was_imported_anew_elsewhere() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let stage = Stage::new("last-location").set("state", r#"{ backend = "disk", changelog = true }"#);
    let setup = watchful(Pipeline::new(&source).sink(&sink).stage(stage));
    kafka().produce(&source, [Record::new("7", LOCATION).partition(1)]);
    let mut host = setup.start();
    assert_eq!(kafka().consume(&sink, 1).len(), 1);
    until("it is committed", || kafka().is_settled(&setup.app, &source));
    assert_eq!(host.term(), Some(0));
    kafka().grow(&source, 4);
    // What an import on another machine leaves: a changelog with as many partitions.
    kafka().grow(&format!("{}-main-last-location-changelog", setup.app), 4);
    let host = setup.start();
    host.wait_for_log("rebuilding the local stores");
    kafka().produce(&source, [Record::new("7", LOCATION).partition(1)]);
    let outputs = kafka().consume(&sink, 2);
    assert_eq!(outputs[1].json()["count"], 2, "from the changelog");
}
