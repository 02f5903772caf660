//! Records as an attacker or a broken producer makes them, beside good ones; topics
//! whose settings change and that get more partitions while a host runs; offsets that a
//! tool of Kafka's commits between two runs. Good records come out right, the others are accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{
    Chance, Guarantee, Host, Oracle, PATIENCE, PATIENTS, Patients, Pipeline, Received, Record, Settings, Setup, Stage,
    kafka, send, until_within,
};

const PARTITIONS: i32 = 6;
/// Of so many records one is hostile.
const HOSTILE: u64 = 5;
/// What a host may have resident, whatever producers send.
const RESIDENT: u64 = 640 << 20;
/// How far in the future a timestamp may be for brokers of Kafka 4 by default, in milliseconds.
const HOUR_MS: i64 = 3_600_000;
const COMPRESSIONS: [&str; 4] = ["none", "gzip", "snappy", "zstd"];

#[test]
fn hostile_producers_cost_no_good_record_exactly_once() {
    survives_producers(Guarantee::ExactlyOnce);
}

#[test]
fn hostile_producers_cost_no_good_record_at_least_once() {
    survives_producers(Guarantee::AtLeastOnce);
}

fn survives_producers(guarantee: Guarantee) {
    let settings = Settings::or(3_000, 3);
    let mut chance = settings.chance();
    let any_time = [("message.timestamp.after.max.ms", "9223372036854775807"), ("retention.ms", "-1")];
    let source = kafka().topic_with(PARTITIONS, &any_time);
    let keeps = [("retention.ms", "-1")];
    let (sink, dead) = (kafka().topic_with(PARTITIONS, &keeps), kafka().topic_with(1, &keeps));
    let stage = Stage::new("last-location").set("state", r#"{ backend = "memory", changelog = true }"#);
    let setup = Setup::new()
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .delivery("guarantee", guarantee.toml())
        .delivery("commit-interval", "\"100ms\"")
        .pipeline(Pipeline::new(&source).sink(&sink).dead_letter(&dead).provenance().stage(stage));
    let mut producers = Producers::new(&source, settings.seed);
    for round in 0..settings.rounds {
        let mut host = setup.start();
        // Any partition of it will do; those of the source and of the sink belong to keys.
        if round % 4 == 0 {
            kafka().grow(&dead, 2 + (round / 4) as i32);
        }
        for _ in 0..4 {
            producers.send(settings.records / settings.rounds / 4);
            change_settings(&sink, &mut chance);
            change_settings(&dead, &mut chance);
        }
        settle(&setup, &source, settings.records, &host);
        assert!(host.resident() < RESIDENT, "{} bytes are resident", host.resident());
        assert_eq!(host.term(), Some(0));
        commit_as_a_tool(&setup.app, &source);
    }
    let repeated = Came { guarantee, source: &source, sink: &sink, dead: &dead }.verify(producers, settings.seed);
    println!("{guarantee:?}: {repeated} outputs repeated");
}

/// Producers of one topic, each with a compression of its own.
struct Producers {
    topic: String,
    good: Patients,
    chance: Chance,
    producers: Vec<BaseProducer>,
    sent: u64,
}

impl Producers {
    fn new(topic: &str, seed: u64) -> Producers {
        let producer = |compression| kafka().producer(&[("compression.type", compression), ("linger.ms", "5")]);
        Producers {
            topic: topic.to_owned(),
            good: Patients::new(seed),
            chance: Chance::new(seed ^ 0xbad),
            producers: COMPRESSIONS.map(producer).into(),
            sent: 0,
        }
    }

    /// Sends `count` records, of which one in [`HOSTILE`] is hostile, and waits for them.
    fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.sent += 1;
            if self.chance.one_in(HOSTILE) {
                let producer = self.chance.below(self.producers.len() as u64) as usize;
                let record = hostile(&mut self.chance, self.sent);
                send(&self.producers[producer], &self.topic, &record);
            } else if let Some(record) = self.good.next() {
                // A patient's records come from one producer: their order counts.
                send(&self.producers[0], &self.topic, &record);
            }
        }
        self.producers.iter().for_each(|producer| producer.flush(PATIENCE).expect("every record is acknowledged"));
    }
}

/// A record that no honest producer makes; its patient, if any, is none of the oracle's.
fn hostile(chance: &mut Chance, nth: u64) -> Record {
    let patient = format!("hostile-{nth}");
    let location = format!(r#"{{"patientId": "{patient}", "lat": 1.5, "lon": 2.5}}"#);
    let bytes = |chance: &mut Chance, most: u64| -> Vec<u8> {
        (0..chance.below(most)).map(|_| chance.below(256) as u8).collect()
    };
    match chance.below(12) {
        0 => Record::keyless(location),
        1 => Record::new(patient, bytes(chance, 4_000)),
        2 => Record::new(patient, vec![b'a'; 100_000 + chance.below(800_000) as usize]),
        3 => (0..chance.below(3_000))
            .fold(Record::new(patient, "no location"), |record, nth| record.header(&format!("h{nth}"), Some(b"v"))),
        4 => ["gregor-redriven", "gregor-offset", "gregor-partition", "gregor-topic", "gregor-attempts"]
            .into_iter()
            .fold(Record::new(patient, "no location"), |record, name| record.header(name, Some(b"4294967295"))),
        5 => Record::new(patient, location).timestamp(now_ms() + 7 * HOUR_MS),
        6 => Record::new(patient, location).timestamp(chance.below(2) as i64),
        7 => Record::new(bytes(chance, 40_000), location),
        8 => Record::new("", ""),
        9 => Record::tombstone(patient),
        10 => Record::new(patient, format!(r#"{{"patientId": "{}"}}"#, "x".repeat(chance.below(3_000) as usize))),
        // The year 2200.
        _ => Record::new(patient, location).timestamp(7_258_118_400_000),
    }
}

/// What an operator changes while a host runs; a good record and a stub fit whatever it is.
fn change_settings(topic: &str, chance: &mut Chance) {
    let policy = ["delete", "compact"][chance.below(2) as usize];
    let batch = ["20000", "100000", "1048588"][chance.below(3) as usize];
    let after = ["3600000", "9223372036854775807"][chance.below(2) as usize];
    let properties =
        [("cleanup.policy", policy), ("max.message.bytes", batch), ("message.timestamp.after.max.ms", after)];
    // Good records are of another year: they are not to expire. And each output counts: a
    // topic that is compacted takes no keyless record, and keeps them all for this test.
    let kept = [("retention.ms", "-1"), ("min.compaction.lag.ms", "9223372036854775807")];
    kafka().alter(topic, &[&properties[..], &kept].concat());
}

/// Waits until the group has committed all of the source.
fn settle(setup: &Setup, source: &str, records: u64, host: &Host) {
    let patience = PATIENCE + Duration::from_millis(records);
    until_within(patience, "everything is committed", || {
        assert!(host.ask("/healthz").is_some_and(|(status, _)| status == 200), "the host is healthy");
        kafka().is_settled(&setup.app, source)
    });
}

/// As Kafka's `kafka-consumer-groups --reset-offsets --to-current` does: the offsets
/// stay, what a host has written beside them goes.
fn commit_as_a_tool(group: &str, topic: &str) {
    let tool: BaseConsumer = kafka().config().set("group.id", group).create().expect("a client");
    let mut offsets = TopicPartitionList::new();
    for (partition, offset) in kafka().committed(group, topic).into_iter().enumerate() {
        if let Some(offset) = offset {
            offsets.add_partition_offset(topic, partition as i32, Offset::Offset(offset)).expect("an offset");
        }
    }
    until_within(PATIENCE, "the group is empty and takes the offsets", || {
        tool.commit(&offsets, CommitMode::Sync).is_ok()
    });
}

/// What became of the records of a source.
struct Came<'a> {
    guarantee: Guarantee,
    source: &'a str,
    sink: &'a str,
    dead: &'a str,
}

/// Partition and offset of a source record.
type Position = (i32, i64);

impl Came<'_> {
    /// Good records are in the sink as the oracle says, each of the others in the sink or
    /// among the dead letters; how many outputs repeat.
    #[track_caller]
    fn verify(&self, producers: Producers, seed: u64) -> u64 {
        kafka().wait_until_decided(self.sink);
        kafka().wait_until_decided(self.dead);
        let produced = producers.good.produced();
        let mut oracle = Oracle::new(seed);
        let mut came: Vec<Vec<u64>> = vec![Vec::new(); PATIENTS];
        let mut settled: BTreeMap<Position, u64> = BTreeMap::new();
        kafka().read_each(self.sink, |output| {
            *settled.entry(position(&output)).or_default() += 1;
            if output.key().parse::<usize>().is_ok() {
                let nth = oracle.check(&output);
                came[nth.patient].push(nth.n);
            }
        });
        let mut repeated = 0;
        for (patient, (came, count)) in came.iter().zip(&produced.counts).enumerate() {
            let last = last_of_each(came);
            assert_eq!(last, (1..=*count).collect::<Vec<_>>(), "outputs of patient {patient}, in order: {came:?}");
            repeated += (came.len() - last.len()) as u64;
        }
        assert!(repeated == 0 || self.guarantee == Guarantee::AtLeastOnce, "{repeated} outputs repeat");
        kafka().read_each(self.dead, |letter| *settled.entry(position(&letter)).or_default() += 1);
        let mut sent = BTreeSet::new();
        kafka().read_each(self.source, |record| {
            sent.insert((record.partition, record.offset));
        });
        assert_eq!(sent.len() as u64, producers.sent, "records of the source");
        let known: BTreeSet<Position> = settled.keys().copied().collect();
        assert_eq!(known, sent, "each record is an output or a dead letter");
        if self.guarantee == Guarantee::ExactlyOnce {
            let twice: Vec<_> = settled.iter().filter(|(_, times)| **times > 1).collect();
            assert!(twice.is_empty(), "settled more than once: {twice:?}");
        }
        repeated
    }
}

/// What came, each where it came last. What was delivered behind an output that brokers
/// refused comes again behind it, and the last one of each is the right one.
fn last_of_each(came: &[u64]) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let mut last: Vec<u64> = came.iter().rev().copied().filter(|n| seen.insert(*n)).collect();
    last.reverse();
    last
}

#[track_caller]
fn position(output: &Received) -> Position {
    let number = |name| output.header(name).and_then(|text| text.parse::<i64>().ok()).expect("where it comes from");
    (number("gregor-partition") as i32, number("gregor-offset"))
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    since.as_millis() as i64
}
