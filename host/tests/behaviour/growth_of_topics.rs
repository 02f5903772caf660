//! Source topics that get more partitions.

use crate::support::{Pipeline, Record, Setup, Stage, kafka, until};

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
