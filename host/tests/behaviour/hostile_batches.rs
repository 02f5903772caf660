//! Batches that cannot be read, and records that are larger than their pipeline takes.

use std::fs;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Broker, Pipeline, Record, Setup, Stage, kafka, until};
use crate::turns::view;

/// Of a batch of format 2: where its checksum is, and what that covers.
const CRC: usize = 17;
const COVERED: usize = 21;
const HEAD: usize = 12;

#[test]
fn a_batch_that_cannot_be_read_holds_its_partition_only() {
    let broker = Broker::start();
    // A byte of the value changed, as a failing disk does it.
    let altered = |batch: &mut [u8]| {
        let value = batch.windows(6).position(|bytes| bytes == b"second").expect("the value");
        batch[value] ^= 1;
    };
    // It says that it is compressed with gzip, and is not.
    let undecodable = |batch: &mut [u8]| {
        batch[COVERED + 1] |= 1;
        let crc = crc32c(&batch[COVERED..]);
        batch[CRC..COVERED].copy_from_slice(&crc.to_be_bytes());
    };
    holds(&broker, "corrupt-batch", altered);
    holds(&broker, "undecodable-batch", undecodable);
}

fn holds(broker: &Broker, kind: &str, spoil: impl Fn(&mut [u8])) {
    let kafka = broker.connect();
    let (source, sink) = (kafka.topic(2), kafka.topic(1));
    for value in ["first", "second", "third"] {
        kafka.produce(&source, [Record::keyless(value).partition(0)]);
    }
    kafka.produce(&source, [Record::keyless("beside").partition(1)]);
    let file = broker.segment(&source, 0);
    let mut bytes = fs::read(&file).expect("the segment");
    let length = |bytes: &[u8]| u32::from_be_bytes(bytes[8..HEAD].try_into().expect("four bytes")) as usize + HEAD;
    let second = length(&bytes);
    let third = second + length(&bytes[second..]);
    spoil(&mut bytes[second..third]);
    fs::write(&file, bytes).expect("the segment");

    let setup = Setup::new().bootstrap(kafka.bootstrap()).workers(1);
    let setup = setup.pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
    let mut host = setup.spawn_as("one", &[]);
    until("the partition cannot be read", || {
        host.admin().is_some() && view(&host, &source, 0)["state"] == "unreadable"
    });
    let shown = view(&host, &source, 0);
    assert_eq!((&shown["failure"], &shown["position"]), (&kind.into(), &1.into()), "{shown}");
    until("readiness names the partition", || {
        host.ask("/readyz").is_some_and(|(status, said)| status == 503 && said.contains(&format!("{source}-0")))
    });
    let log = host.log();
    assert!(log.contains(&format!("cannot read {source}-0@1")) && log.contains("gregor offsets reset"), "{log}");
    kafka.produce(&source, [Record::keyless("beside").partition(1)]);
    assert_eq!(kafka.consume(&sink, 3).len(), 3, "the first one, and two of the other partition");

    assert_eq!(host.term(), Some(0));
    // Not for each kind: it waits for a second try.
    if kind == "corrupt-batch" {
        let mut bounded = setup.spawn_as("bounded", &["--bounded"]);
        assert_eq!(bounded.wait_exit(), Some(6));
        let log = bounded.log();
        assert!(log.contains(&format!("{source}-0 is unreadable at offset 1 ({kind})")), "{log}");
    }
    step_over(kafka.config().set("group.id", &setup.app).create().expect("a client"), &source);
    let host = setup.start();
    let outputs = kafka.consume(&sink, 4);
    let texts: Vec<_> = outputs.iter().map(|output| output.text()).collect();
    assert_eq!((texts[3], texts.iter().filter(|text| **text == "first").count()), ("third", 1), "{texts:?}");
    until("it runs", || view(&host, &source, 0)["state"] == "running");
}

/// As `gregor offsets reset` does it.
fn step_over(consumer: BaseConsumer, source: &str) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(source, 0, Offset::Offset(2)).expect("an offset");
    consumer.commit(&offsets, CommitMode::Sync).expect("the offset is committed");
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn records_larger_than_their_pipeline_takes_fail() {
    let (source, sink, dead) = (kafka().topic(1), kafka().topic(1), kafka().topic(1));
    let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead);
    let pipeline = pipeline.set("max-record-bytes", "\"1KiB\"").set("max-headers", "2");
    let setup = Setup::new().pipeline(pipeline.stage(Stage::new("echo")));
    let headers = |count: usize| (0..count).fold(Record::keyless("many"), |record, _| record.header("h", None));
    let large = |bytes: usize| Record::keyless("x".repeat(bytes));
    kafka().produce(&source, [headers(3), headers(2), large(1_025), large(1_024), headers(100_001)]);
    setup.run_bounded();
    let sizes: Vec<_> = kafka().read(&sink).iter().map(|output| output.text().len()).collect();
    assert_eq!(sizes, [4, 1_024]);
    let letters = kafka().read(&dead);
    let kinds: Vec<_> = letters.iter().map(|letter| letter.header("gregor-error").unwrap_or_default()).collect();
    assert_eq!(kinds, ["too-many-headers", "record-too-large", "too-many-headers"]);
    let counts: Vec<_> = letters.iter().map(|letter| letter.header("gregor-header-count")).collect();
    assert_eq!(counts, [Some("3"), None, Some("100001")], "headers that a letter lacks are in the source");
}

#[test]
fn a_record_too_large_is_held_without_a_copy() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let pipeline = Pipeline::new(&source).sink(&sink).set("max-record-bytes", "\"1KiB\"");
    let setup = Setup::new().workers(1).pipeline(pipeline.stage(Stage::new("echo")));
    kafka().produce(&source, [Record::keyless("first"), Record::keyless("x".repeat(2_000)), Record::keyless("last")]);
    let mut host = setup.spawn_as("one", &[]);
    until("the partition is held", || host.admin().is_some() && view(&host, &source, 0)["state"] == "held");
    let shown = view(&host, &source, 0);
    assert_eq!((&shown["failure"], &shown["position"]), (&"record-too-large".into(), &1.into()), "{shown}");
    assert_eq!(host.term(), Some(0));
    let wider = setup.text().replace("1KiB", "2KiB");
    fs::write(setup.path().join("wider.toml"), wider).expect("a file");
    let _host = crate::support::Host::spawn(&setup.path().join("wider.toml"), "one", &[]);
    assert_eq!(kafka().consume(&sink, 3).len(), 3);
    until("it is committed", || kafka().is_settled(&setup.app, &source));
}
