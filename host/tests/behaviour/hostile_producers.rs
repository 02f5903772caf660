//! Outputs that brokers do not take, for what a producer's records or a topic's
//! settings make of them: each costs its own record, in both guarantees.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::producer::Producer;

use crate::support::extra::{Line, Topics, stage};
use crate::support::{
    Broker, Host, PATIENCE, Pipeline, Received, Record, Setup, Stage, eventually, kafka, send, until,
};

const GUARANTEES: [&str; 2] = ["\"at-least-once\"", "\"exactly-once\""];
const HOUR: i64 = 3_600_000;
/// A topic that takes records of any time.
const ANY_TIME: (&str, &str) = ("message.timestamp.after.max.ms", "9223372036854775807");
const KEPT: (&str, &str) = ("retention.ms", "-1");
const LARGE: &str = "52428800";

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

fn texts(records: &[Received]) -> Vec<&str> {
    records.iter().map(Received::text).collect()
}

/// The offsets of the source records that became dead letters, each for one of `kinds`;
/// at least once a letter may be repeated.
#[track_caller]
fn dead_for(guarantee: &str, kinds: &[&str], letters: &[Received]) -> Vec<i64> {
    let letter = |letter: &Received| {
        let kind = letter.header("gregor-error").expect("its kind");
        assert!(kinds.contains(&kind), "{kind}: {:?}", letter.header("gregor-reason"));
        letter.header("gregor-offset").and_then(|offset| offset.parse().ok()).expect("its place")
    };
    let mut offsets: Vec<i64> = letters.iter().map(letter).collect();
    if guarantee == GUARANTEES[0] {
        offsets.sort_unstable();
        offsets.dedup();
    }
    offsets
}

/// A stage with room for values of 32 MiB.
fn roomy(plugin: &str) -> Stage {
    Stage::new(plugin).set("memory", "\"512MiB\"").set("timeout", "\"20s\"").set("output-bytes", "\"128MiB\"")
}

fn host(setup: Setup, guarantee: &str) -> Setup {
    // A pool for the largest memory alone.
    setup.workers(1).delivery("guarantee", guarantee).host("max-instances", "4")
}

#[test]
fn outputs_against_known_settings_fail_their_records() {
    for guarantee in GUARANTEES {
        let bounded = [("cleanup.policy", "compact"), ("message.timestamp.before.max.ms", "86400000"), KEPT];
        let (source, sink) = (kafka().topic_with(1, &[ANY_TIME, KEPT]), kafka().topic_with(1, &bounded));
        let dead = kafka().topic_with(1, &[ANY_TIME, KEPT]);
        let now = now_ms();
        kafka().produce(
            &source,
            [
                Record::new("p1", "p1"),
                Record::keyless("without a key"),
                Record::new("p2", "in 7 hours").timestamp(now + 7 * HOUR),
                Record::new("p2", "two days ago").timestamp(now - 48 * HOUR),
                Record::new("p3", "p3"),
            ],
        );
        let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead).stage(Stage::new("echo"));
        host(Setup::new().pipeline(pipeline), guarantee).run_bounded();

        assert_eq!(texts(&kafka().read(&sink)), ["p1", "p3"], "{guarantee}");
        assert_eq!(dead_for(guarantee, &["output-refused"], &kafka().read(&dead)), [1, 2, 3], "{guarantee}");
    }
}

/// The last output of each source record, as a reader that knows of repetitions takes them.
fn last_of_each(outputs: &[Received]) -> BTreeMap<i64, String> {
    let offset = |output: &Received| output.header("gregor-offset").and_then(|offset| offset.parse().ok());
    outputs.iter().map(|output| (offset(output).expect("its place"), output.text().to_owned())).collect()
}

/// Settings change while the host runs, so that brokers refuse what was taken
/// before: their reports are traced to the records, and state counts each once.
fn refused_while_running(guarantee: &str, state: &str) {
    let topics = Topics {
        source: kafka().topic_with(1, &[KEPT]),
        sink: kafka().topic_with(1, &[KEPT]),
        dead: kafka().topic_with(1, &[KEPT]),
    };
    let setup = host(Setup::new().pipeline(topics.pipeline().stage(stage("script", state))), guarantee);
    let mut line = Line::run(topics, setup);
    assert_eq!(line.ask(0, "increment n 1"), "1");
    kafka().alter(&line.topics.sink, &[KEPT, ("cleanup.policy", "compact")]);
    kafka().wait_until_refused(&line.topics.sink, &Record::keyless("x"));
    let count = "increment n 1";
    for nth in 1..=60 {
        line.send_record(match nth % 20 {
            7 => Record::keyless(count).partition(0),
            _ => Record::new("key", count).partition(0),
        });
    }
    line.settle();
    // A batch of all of them is too large now, and two are by themselves.
    let large = vec![b'x'; 3_000];
    kafka().alter(&line.topics.sink, &[KEPT, ("max.message.bytes", "2000")]);
    kafka().wait_until_refused(&line.topics.sink, &Record::new("key", large.clone()));
    for nth in 61..=120 {
        let record = Record::new("key", count).partition(0);
        line.send_record(if nth == 70 || nth == 110 { record.header("own", Some(&large)) } else { record });
    }
    line.settle();

    let refused: [i64; 5] = [7, 27, 47, 70, 110];
    let (large, keyless): (Vec<_>, Vec<_>) = line.dead().into_iter().partition(|letter| letter.header("own").is_some());
    assert_eq!(dead_for(guarantee, &["output-refused"], &keyless), refused[..3], "{guarantee} {state}");
    // The brokers refuse one by its size, until the host has asked them what the topic takes now.
    let kinds = ["output-refused", "output-too-large"];
    assert_eq!(dead_for(guarantee, &kinds, &large), refused[3..], "{guarantee} {state}");
    // Not what the broker took while it did not apply its settings yet.
    let is_output = |record: &Received| record.header("gregor-offset").is_some();
    let outputs: Vec<_> = line.outputs().into_iter().filter(is_output).collect();
    let counted = last_of_each(&outputs);
    let others: Vec<i64> = (0..=120).filter(|offset| !refused.contains(offset)).collect();
    assert_eq!(counted.keys().copied().collect::<Vec<_>>(), others);
    let numbers: Vec<usize> = counted.values().map(|text| text.parse().expect("a count")).collect();
    assert_eq!(numbers, (1..=others.len()).collect::<Vec<_>>(), "each counted once: {guarantee} {state}");
    if guarantee == GUARANTEES[1] {
        assert_eq!(outputs.len(), others.len(), "each output once");
    }
    assert!(line.host.metric("gregor_aborts_total", &["reason=\"output-refused\""]) > 0.0);
    assert_eq!(line.host.term(), Some(0));
    if !state.is_empty() {
        line.setup.lose_data("one");
        line.host = line.setup.start();
        assert_eq!(line.ask(0, "get n"), others.len().to_string(), "as the changelog has it: {guarantee} {state}");
    }
}

#[test]
fn refusals_at_least_once_leave_memory_right() {
    refused_while_running(GUARANTEES[0], "");
}

#[test]
fn refusals_at_least_once_leave_the_changelog_right() {
    refused_while_running(GUARANTEES[0], "state = { backend = \"disk\", changelog = true }");
}

#[test]
fn refusals_exactly_once_leave_the_changelog_right() {
    refused_while_running(GUARANTEES[1], "state = { changelog = true }");
}

#[test]
fn a_refused_dead_letter_holds_its_partition() {
    for guarantee in GUARANTEES {
        let topics = Topics::new(1);
        let setup = host(Setup::new().pipeline(topics.pipeline().stage(Stage::new("fails"))), guarantee);
        let mut line = Line::run(topics, setup);
        line.send(0, "key", "good");
        line.settle();
        // Less than any letter takes, and enough for the marks without which brokers end no transaction.
        kafka().alter(&line.topics.dead, &[KEPT, ("max.message.bytes", "200")]);
        kafka().wait_until_refused(&line.topics.dead, &Record::new("key", vec![b'x'; 400]));
        line.send(0, "key", "reject");
        line.flush();
        until("the partition is held", || line.view(0)["state"] == "held");
        line.host.wait_for_log(&format!("is more than topic {} takes (200)", line.topics.dead));
        assert!(!line.host.has_ended());
        assert_eq!(line.host.term(), Some(0), "{guarantee}");
    }
}

#[test]
fn a_sink_made_anew_with_fewer_partitions_refuses() {
    for guarantee in GUARANTEES {
        let (source, sink, dead) = (kafka().topic(1), kafka().topic(6), kafka().topic(1));
        let topics = Topics { source, sink, dead };
        let setup = host(Setup::new().pipeline(topics.pipeline().stage(Stage::new("outputs"))), guarantee);
        let mut line = Line::run(topics, setup);
        line.send(0, "key", "partition:5");
        line.settle();
        kafka().make_anew(&line.topics.sink, 3, &[]);
        line.send(0, "key", "partition:5");
        line.send(0, "key", "partition:1");
        line.settle();
        assert_eq!(dead_for(guarantee, &["output-refused"], &line.dead()), [1], "{guarantee}");
        let outputs = line.outputs();
        let last = BTreeMap::from([(2, "partition:1".to_owned())]);
        assert_eq!(last_of_each(&outputs), last, "{guarantee}");
        assert!(guarantee == GUARANTEES[0] || outputs.len() == 1, "each output once");
        assert_eq!(line.host.term(), Some(0), "{guarantee}");
    }
}

#[test]
fn values_larger_than_the_default_queue_are_sent() {
    let large = [("max.message.bytes", LARGE)];
    let value = [b"set k ".to_vec(), vec![b'x'; 18 << 20]].concat();
    for guarantee in GUARANTEES {
        let (source, sink, dead) =
            (kafka().topic_with(1, &large), kafka().topic_with(1, &large), kafka().topic_with(1, &large));
        let producer = kafka().producer(&[("message.max.bytes", LARGE), ("queue.buffering.max.kbytes", "65536")]);
        for record in [Record::new("p1", value.clone()), Record::new("p2", [b"no ", &value[..]].concat())] {
            send(&producer, &source, &record);
        }
        send(&producer, &source, &Record::new("p3", "get nothing"));
        producer.flush(PATIENCE).expect("every record is acknowledged");
        let script = roomy("script").set("state", "{ changelog = true, max-value = \"32MiB\" }");
        let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead).stage(script);
        host(Setup::new().pipeline(pipeline), guarantee).run_bounded();

        assert_eq!(texts(&kafka().read(&sink)), ["ok", "none"], "{guarantee}");
        let letters = kafka().read(&dead);
        assert_eq!(dead_for(guarantee, &["reject"], &letters), [1], "{guarantee}");
        assert_eq!(letters[0].value.as_ref().map(Vec::len), Some(value.len() + 3), "{guarantee}");
    }
}

#[test]
fn an_output_past_the_clients_own_bounds_is_refused() {
    let large = [("max.message.bytes", LARGE)];
    for (guarantee, property, bound) in [
        (GUARANTEES[0], "message.max.bytes", "100000"),
        (GUARANTEES[1], "message.max.bytes", "100000"),
        (GUARANTEES[0], "queue.buffering.max.kbytes", "128"),
        (GUARANTEES[1], "queue.buffering.max.kbytes", "128"),
    ] {
        let (source, sink, dead) = (kafka().topic(1), kafka().topic_with(1, &large), kafka().topic(1));
        kafka().produce(&source, [Record::new("p1", "bytes:200000"), Record::new("p2", "bytes:5")]);
        let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead).stage(Stage::new("outputs"));
        host(Setup::new().kafka(property, bound).pipeline(pipeline), guarantee).run_bounded();

        assert_eq!(texts(&kafka().read(&sink)), ["xxxxx"], "{guarantee} {property}");
        assert_eq!(dead_for(guarantee, &["output-refused"], &kafka().read(&dead)), [0], "{guarantee} {property}");
    }
}

#[test]
fn what_fits_once_compressed_is_sent() {
    for guarantee in GUARANTEES {
        let (source, sink, dead) = (kafka().topic(1), kafka().topic(1), kafka().topic(1));
        let value = vec![b'x'; 1_500_000];
        let producer = kafka().producer(&[("compression.type", "zstd")]);
        send(&producer, &source, &Record::new("large", value.clone()));
        send(&producer, &source, &Record::new("small", "y"));
        producer.flush(PATIENCE).expect("every record is acknowledged");
        let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead).stage(Stage::new("echo"));
        host(Setup::new().kafka("compression.type", "zstd").pipeline(pipeline), guarantee).run_bounded();

        let lengths: Vec<_> = kafka().read(&sink).iter().map(|record| record.text().len()).collect();
        assert_eq!(lengths, [value.len(), 1], "{guarantee}");
        assert!(kafka().read(&dead).is_empty());
    }
}

#[test]
fn a_record_key_too_large_for_the_changelog_fails() {
    let large = [("max.message.bytes", LARGE)];
    for guarantee in GUARANTEES {
        let (source, sink, dead) =
            (kafka().topic_with(1, &large), kafka().topic_with(1, &large), kafka().topic_with(1, &large));
        kafka().produce(
            &source,
            [
                Record::new("p1", "increment n 1"),
                Record::new(vec![b'k'; 1_500_000], "increment n 1"),
                Record::new("p3", "increment n 1"),
            ],
        );
        let pipeline = Pipeline::new(&source)
            .sink(&sink)
            .dead_letter(&dead)
            .stage(Stage::new("script").set("state", "{ changelog = true, max-value = \"1KiB\" }"));
        host(Setup::new().pipeline(pipeline), guarantee).run_bounded();

        assert_eq!(texts(&kafka().read(&sink)), ["1", "2"], "{guarantee}");
        assert_eq!(dead_for(guarantee, &["entry-too-large"], &kafka().read(&dead)), [1], "{guarantee}");
    }
}

/// The changelog takes less than it did at start: no record is at fault.
#[test]
fn commits_without_progress_are_a_state() {
    for guarantee in GUARANTEES {
        let topics = Topics::new(1);
        let script = stage("script", "state = { changelog = true, max-value = \"64KiB\" }");
        let setup = host(Setup::new().pipeline(topics.pipeline().stage(script)), guarantee);
        let mut line = Line::run(topics, setup);
        line.host.wait_until_ready();
        assert_eq!(line.ask(0, "increment n 1"), "1");
        let changelog = format!("{}-line-script-changelog", line.setup.app);
        let compacted = [("cleanup.policy", "compact"), ("min.compaction.lag.ms", "600000")];
        kafka().alter(&changelog, &[&compacted[..], &[("max.message.bytes", "5000")]].concat());
        line.send(0, "key", &format!("increment n 1\nset large {}", "x".repeat(20_000)));
        line.flush();
        until("the partition makes no progress", || line.view(0)["state"] == "no-progress");
        let (status, said) = eventually("readiness", || line.host.ask("/readyz"));
        assert_eq!(status, 503, "{said}");
        assert!(said.contains("make no progress"), "{said}");
        assert!(line.host.answers("/healthz"));
        assert!(line.host.metric("gregor_aborts_total", &[]) >= 5.0);
        let told = line.host.log().lines().filter(|said| said.contains("outputs were not delivered")).count();
        assert!((1..=3).contains(&told), "{told} lines");

        kafka().alter(&changelog, &compacted);
        line.settle();
        assert_eq!(line.ask(0, "increment n 1"), "3", "counted once: {guarantee}");
        assert!(line.host.answers("/readyz"));
        assert_eq!(line.host.term(), Some(0), "{guarantee}");
    }
}

/// Rights, and settings of brokers, that one of the test's own has.
#[test]
fn missing_rights_and_short_transactions_are_named() {
    let broker = Broker::start_with(&[
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=true",
        "transaction.max.timeout.ms=5000",
    ]);
    let kafka = broker.connect();
    let setup = |guarantee| host(Setup::new().bootstrap(kafka.bootstrap()), guarantee);

    let (source, sink) = (kafka.topic(1), kafka.topic(1));
    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("echo"));
    let (code, log) = setup(GUARANTEES[1]).pipeline(pipeline).run_refused();
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("transaction.max.timeout.ms") && log.contains("`\"transaction.timeout.ms\"`"), "{log}");

    for guarantee in GUARANTEES {
        unknown_limits(&broker, setup(guarantee), guarantee);
        withdrawn_rights(&broker, setup(guarantee), guarantee);
    }
}

/// Nobody may look at the sink's settings: the broker's own word counts.
fn unknown_limits(broker: &Broker, setup: Setup, guarantee: &str) {
    let kafka = broker.connect();
    let (source, dead) = (kafka.topic(1), kafka.topic(1));
    let sink = kafka.topic_with(1, &[("max.message.bytes", "100000")]);
    broker.acls(&format!(
        "--add --allow-principal User:* --operation Write --operation Read --operation Describe --topic {sink}"
    ));
    let mut records: Vec<_> = (0..100).map(|nth| Record::new("key", format!("bytes:{}", 5_000 + nth))).collect();
    records[40] = Record::new("key", "bytes:200000");
    kafka.produce(&source, records);
    let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead).stage(Stage::new("outputs"));
    setup.kafka("transaction.timeout.ms", "4000").pipeline(pipeline).run_bounded();

    assert_eq!(dead_for(guarantee, &["output-refused"], &kafka.read(&dead)), [40], "{guarantee}");
    let mut lengths: Vec<_> = kafka.read(&sink).iter().map(|record| record.text().len()).collect();
    if guarantee == GUARANTEES[0] {
        lengths.sort_unstable();
        lengths.dedup();
    }
    assert_eq!(lengths, (0..100).filter(|nth| *nth != 40).map(|nth| 5_000 + nth).collect::<Vec<_>>(), "{guarantee}");
}

fn withdrawn_rights(broker: &Broker, setup: Setup, guarantee: &str) {
    let kafka = broker.connect();
    let (source, sink) = (kafka.topic(1), kafka.topic(1));
    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("echo"));
    let setup = setup.kafka("transaction.timeout.ms", "4000").pipeline(pipeline);
    let mut host = setup.start();
    kafka.produce(&source, [Record::new("key", "before")]);
    until("it comes out", || kafka.read(&sink).len() == 1);
    let denied = format!("--deny-principal User:* --operation Write --topic {sink}");
    let others = format!("--allow-principal User:* --operation Read --operation Describe --topic {sink}");
    broker.acls(&format!("--add {others}"));
    broker.acls(&format!("--add {denied}"));
    kafka.produce(&source, [Record::new("key", "after")]);
    // Exactly once the brokers refuse the partition to the transaction, before any record of it.
    let waits = |host: &Host| match guarantee == GUARANTEES[0] {
        true => host.partitions()[0]["failure"] == "topic-unavailable",
        false => host.partitions()[0]["state"] == "no-progress",
    };
    until("the partition waits for the topic", || waits(&host));
    assert!(host.log().contains("Write"), "the right is named");
    let unready =
        || host.ask("/readyz").is_some_and(|(status, why)| status == 503 && why.contains("topic-unavailable"));
    until("readiness says why", unready);
    assert!(!host.has_ended());
    broker.acls(&format!("--remove --force {denied}"));
    broker.acls(&format!("--remove --force {others}"));
    until("it goes on by itself", || kafka.read(&sink).len() >= 2);
    assert_eq!(host.term(), Some(0), "{guarantee}");
    assert_eq!(texts(&kafka.read(&sink))[..2], ["before", "after"], "{guarantee}");
}
