//! What is shown of the records that are left, and where a group begins.

use futures_executor::block_on;
use rdkafka::admin::AdminOptions;
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Host, PATIENCE, Pipeline, Record, Setup, Stage, kafka, send, unique, until};
use crate::turns::view;

const TOKEN: &str = "s3cret";

fn records(count: usize) -> impl Iterator<Item = Record> {
    (0..count).map(|_| Record::keyless("x"))
}

fn echo(source: &str) -> (Setup, String) {
    let sink = kafka().topic(1);
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(source).sink(&sink).stage(Stage::new("echo")));
    (setup, sink)
}

#[test]
fn lag_is_zero_when_nothing_is_left_to_read() {
    let source = kafka().topic(1);
    let (setup, _) = echo(&source);
    kafka().produce_transaction(&source, true, records(3));
    kafka().produce_transaction(&source, false, records(2));
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    host.wait_until_ready();
    let lag = || view(&host, &source, 0)["lag"].clone();
    until("markers and aborted records are no lag", || lag() == 0 && view(&host, &source, 0)["position"] == 3);
    assert_eq!(view(&host, &source, 0)["end"], 7);

    let (status, said) = host.post("/api/v1/pipelines/main/pause", TOKEN, b"");
    assert_eq!(status, 200, "{said}");
    kafka().produce(&source, records(4));
    until("records of a paused partition are lag", || lag() == 4);
    assert_eq!(view(&host, &source, 0)["state"], "paused");
    let (status, said) = host.post("/api/v1/pipelines/main/resume", TOKEN, b"");
    assert_eq!(status, 200, "{said}");
    until("nothing is left", || lag() == 0);
    assert_eq!(host.metric("gregor_consumer_lag", &[&source]), 0.0);

    let producer = kafka().producer(&[("transactional.id", &unique())]);
    producer.init_transactions(PATIENCE).expect("a transactional producer");
    producer.begin_transaction().expect("a transaction");
    records(5).for_each(|record| send(&producer, &source, &record));
    producer.flush(PATIENCE).expect("every record is acknowledged");
    kafka().produce(&source, records(3));
    until("what an open transaction hides is told", || view(&host, &source, 0)["open_transaction"] == 8);
    assert_eq!((lag(), &view(&host, &source, 0)["state"]), (0.into(), &"running".into()));
    producer.abort_transaction(PATIENCE).expect("it is aborted");
    until("what came behind it is read", || kafka().committed(&setup.app, &source)[0] >= Some(19));
    until("nothing is hidden", || view(&host, &source, 0)["open_transaction"].is_null() && lag() == 0);
}

#[test]
fn a_group_that_retention_passed_continues_at_what_is_left() {
    let source = kafka().topic(1);
    let (setup, sink) = echo(&source);
    kafka().produce(&source, records(5));
    let mut host = setup.start();
    until("it is committed", || kafka().is_settled(&setup.app, &source));
    assert_eq!(host.term(), Some(0));
    kafka().produce(&source, records(20));
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&source, 0, Offset::Offset(25)).expect("an offset");
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    block_on(kafka().admin().delete_records(&before, &options)).expect("records can be deleted");
    let host = setup.start();
    until("nothing is left", || view(&host, &source, 0)["lag"] == 0 && view(&host, &source, 0)["end"] == 25);
    assert_eq!(view(&host, &source, 0)["state"], "running");
    host.wait_for_log("offset reset");
    kafka().produce(&source, records(1));
    assert_eq!(kafka().consume(&sink, 6).len(), 6);
}

#[test]
fn partitions_that_come_later_start_at_their_beginning() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let pipeline = Pipeline::new(&source).sink(&sink).set("start", "\"latest\"").stage(Stage::new("echo"));
    let setup = Setup::new().workers(1).kafka("topic.metadata.refresh.interval.ms", "500").pipeline(pipeline);
    let to = |partition: i32, value: &'static str| (0..10).map(move |_| Record::keyless(value).partition(partition));
    kafka().produce(&source, to(0, "before"));
    let mut host = setup.start();
    let begun = || kafka().committed(&setup.app, &source).iter().filter(|offset| offset.is_some()).count();
    until("the group has begun", || begun() == 2);
    kafka().grow(&source, 3);
    kafka().produce(&source, to(2, "while it runs"));
    assert_eq!(kafka().consume(&sink, 10).len(), 10);
    until("the new partition is committed", || begun() == 3);
    assert_eq!(host.term(), Some(0));
    kafka().grow(&source, 4);
    kafka().produce(&source, to(3, "while it is stopped"));
    let _host = setup.start();
    let outputs = kafka().consume(&sink, 20);
    assert!(outputs.iter().all(|output| output.text() != "before"), "the group began at the end");
    assert_eq!(outputs.iter().filter(|output| output.text() == "while it is stopped").count(), 10);
}
