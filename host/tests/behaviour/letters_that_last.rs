//! Dead letters arrive whatever their records are, stay, and lead back to them.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use rdkafka::producer::Producer;
use serde_json::Value;

use crate::support::extra::{Line, Topics, stage, told};
use crate::support::{PATIENCE, Record, Setup, kafka, plugin, send, until};

const DONE: Option<i32> = Some(0);
const NONE: Option<i32> = Some(1);
/// Longer than a topic with Kafka's default of `max.message.bytes` takes as it is.
const LONG: usize = 3 << 20;
/// A client gets 100,000 headers of a record at most.
const HEADERS: usize = 99_992;

/// `gregor dead-letter <command> line <words>`.
fn dead_letter(setup: &Setup, command: &str, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["dead-letter", command, "line", "--config"])
        .arg(setup.path().join("gregor.toml"))
        .args(words)
        .env_remove("GREGOR_CONFIG")
        .env_remove("GREGOR_LOG")
        .output()
        .expect("the binary runs")
}

#[track_caller]
fn listed(setup: &Setup) -> Vec<Value> {
    let text = String::from_utf8(dead_letter(setup, "list", &["--json"]).stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// A plugin that rejects everything; the sink takes what the dead-letter topic does not.
fn rejecting(topics: Topics, guarantee: &str) -> Line {
    let pipeline = topics.pipeline().set("max-headers", "100000");
    let setup = Setup::new()
        .delivery("guarantee", guarantee)
        .pipeline(pipeline.stage(stage("refuses", "output-bytes = \"16MiB\"\ntimeout = \"20s\"")));
    Line::run(topics, setup)
}

fn topics(dead: &[(&str, &str)]) -> Topics {
    let kept = ("retention.ms", "-1");
    Topics {
        sink: kafka().topic_with(1, &[kept, ("max.message.bytes", "8000000")]),
        ..Topics::with_dead_letters(1, dead)
    }
}

/// Redrives all letters through a plugin that echoes; waits until all are done.
#[track_caller]
fn redrive(line: &Line) {
    line.setup.put("refuses", &plugin("echo"));
    until("the better version runs", || {
        line.plugin("refuses")["digest"] == gregor::plugin::Digest::of(&plugin("echo")).to_string()
    });
    told(&dead_letter(&line.setup, "redrive", &["--yes"]), DONE);
    until("all are redriven", || listed(&line.setup).iter().all(|letter| letter["redrive"] == "done"));
    line.settle();
}

/// Sends to the source what is small on the wire.
fn send_compressed(line: &Line, records: &[Record]) {
    let producer = kafka().producer(&[("compression.type", "gzip")]);
    for record in records {
        send(&producer, &line.topics.source, record);
        // A batch for each: together they would be too large uncompressed.
        producer.flush(PATIENCE).expect("it is acknowledged");
    }
}

fn hard_to_fit() -> Vec<Record> {
    // With those of a letter more than a reader gets, with those of an output not.
    let headers = (0..HEADERS).fold(Record::new("headers", "v"), |record, _| record.header("h", None));
    [
        Record::new("just", "x".repeat(1_048_380)),
        Record::new("long", "y".repeat(LONG)),
        Record::keyless("z".repeat(LONG)),
        Record::new("k".repeat(900_000), "w".repeat(200_000)),
        headers,
    ]
    .map(|record| record.partition(0).timestamp(1_700_000_000_000))
    .into()
}

#[track_caller]
fn letters_that_do_not_fit_come_back(guarantee: &str) {
    let line = rejecting(topics(&[]), guarantee);
    let records = hard_to_fit();
    send_compressed(&line, &records);
    line.settle();
    let dead = line.dead();
    assert_eq!(dead.len(), records.len());
    for (nth, letter) in dead.iter().enumerate() {
        assert_eq!((letter.header("gregor-offset"), &letter.value), (Some(&*nth.to_string()), &None));
        assert!(letter.header("gregor-sha256").is_some_and(|hash| hash.len() == 64) && letter.headers.len() < 30);
    }
    assert_eq!(dead[1].header("gregor-truncated"), Some("value,headers"));
    assert_eq!(dead[1].header("gregor-value-bytes"), Some(&*LONG.to_string()));
    assert_eq!((dead[3].header("gregor-truncated"), &dead[3].key), (Some("key,value,headers"), &None));
    assert_eq!(dead[4].header("gregor-header-count"), Some(&*HEADERS.to_string()));
    let rows = listed(&line.setup);
    assert!(rows.iter().all(|row| row["truncated"] == true), "{rows:?}");
    // Exactly once, the markers of transactions take offsets as well.
    let second = format!("0/{}", dead[1].offset);
    let shown = told(&dead_letter(&line.setup, "show", &[&second]), DONE);
    assert!(shown.contains(&format!("no record: key 4 bytes, value {LONG} bytes, 0 headers")), "{shown}");
    let whole: Value =
        serde_json::from_slice(&dead_letter(&line.setup, "show", &[&second, "--payload", "--json"]).stdout)
            .expect("JSON");
    assert_eq!(whole["value"].as_str().map(str::len), Some(LONG));

    redrive(&line);
    let outputs = line.outputs();
    assert_eq!(outputs.len(), records.len());
    for (output, record) in outputs.iter().zip(&records) {
        assert_eq!((&output.key, &output.value), (&record.key, &record.value));
        let own = output.headers.iter().filter(|(name, _)| !name.starts_with("gregor-")).count();
        assert_eq!((own, output.timestamp), (record.headers.len(), 1_700_000_000_000));
    }
}

#[test]
fn letters_that_do_not_fit_lead_back_to_their_records() {
    letters_that_do_not_fit_come_back("\"at-least-once\"");
}

#[test]
fn letters_that_do_not_fit_come_back_exactly_once() {
    letters_that_do_not_fit_come_back("\"exactly-once\"");
}

#[test]
fn a_letter_held_for_its_topics_limit_arrives_once_that_is_raised() {
    for guarantee in ["\"at-least-once\"", "\"exactly-once\""] {
        let line = rejecting(topics(&[]), guarantee);
        line.send(0, "first", "v");
        line.settle();
        // Less than a letter without its record, found by a refusal and known from then on.
        kafka().alter(&line.topics.dead, &[("max.message.bytes", "200")]);
        line.send(0, "held", "v");
        line.flush();
        until("the partition is held", || line.view(0)["state"] == "held");
        assert_eq!(line.dead().len(), 1, "{guarantee}");
        kafka().alter(&line.topics.dead, &[("max.message.bytes", "1048588")]);
        line.settle();
        assert_eq!(line.dead().len(), 2, "{guarantee}");
    }
}

#[test]
fn a_truncated_letter_whose_record_is_gone_is_left() {
    let line = rejecting(topics(&[]), "\"at-least-once\"");
    send_compressed(&line, &[Record::new("long", "y".repeat(LONG)).partition(0)]);
    line.send(0, "short", "v");
    line.settle();
    assert_eq!(line.dead().len(), 2);
    kafka().cut(&line.topics.source, 0, 1);
    let dry = told(&dead_letter(&line.setup, "redrive", &[]), DONE);
    let at = format!("{}-0@0", line.topics.source);
    assert!(dry.contains("1 dead letters to redrive") && dry.contains("0/0 is left") && dry.contains(&at), "{dry}");
    redrive_only(&line, "short");
    assert_eq!(listed(&line.setup)[0]["redrive"], "-");
    told(&dead_letter(&line.setup, "show", &["0/0", "--payload"]), NONE);
}

/// Redrives what can be; only the record with this key comes out.
#[track_caller]
fn redrive_only(line: &Line, key: &str) {
    line.setup.put("refuses", &plugin("echo"));
    until("the better version runs", || {
        line.plugin("refuses")["digest"] == gregor::plugin::Digest::of(&plugin("echo")).to_string()
    });
    told(&dead_letter(&line.setup, "redrive", &["--yes"]), DONE);
    until("it comes out", || line.outputs().len() == 1);
    assert_eq!(line.outputs()[0].key(), key);
}

#[test]
fn a_letter_is_kept_from_the_time_of_its_failure_on() {
    let line = rejecting(topics(&[]), "\"at-least-once\"");
    let failed_at = |letter: &crate::support::Received| letter.header("gregor-failed-at").map(str::to_owned);
    line.send_record(Record::new("key", "v").partition(0).timestamp(1_600_000_000_000));
    line.settle();
    let [letter] = &line.dead()[..] else { panic!("one dead letter") };
    assert_eq!(failed_at(letter), Some(letter.timestamp.to_string()), "not by the record's time");
    assert_eq!(letter.header("gregor-timestamp"), Some("1600000000000"));
}

#[test]
fn letters_of_one_key_do_not_replace_each_other() {
    let compacted = [("cleanup.policy", "compact"), ("retention.ms", "-1")];
    for guarantee in ["\"at-least-once\"", "\"exactly-once\""] {
        let line = rejecting(topics(&compacted), guarantee);
        for nth in 0..4 {
            line.send(0, "patient", &nth.to_string());
        }
        line.send_record(Record::keyless("4").partition(0));
        line.send_record(Record::tombstone("patient").partition(0));
        line.settle();
        assert!(line.host.log().contains("the dead-letter topic is compacted"));
        let dead = line.dead();
        let keys: BTreeSet<_> = dead.iter().map(|letter| letter.key.clone().expect("a key of its own")).collect();
        assert_eq!((dead.len(), keys.len()), (6, 6));
        redrive(&line);
        let came: Vec<_> = line.outputs().iter().map(|output| output.key.clone()).collect();
        let patient = Some(b"patient".to_vec());
        assert_eq!(came, [&patient, &patient, &patient, &patient, &None, &patient].map(Clone::clone));
        assert_eq!(line.outputs()[5].value, None);
    }
}

#[test]
fn forged_headers_do_not_reach_a_letter() {
    let line = rejecting(topics(&[]), "\"at-least-once\"");
    let forged =
        [("gregor-redriven", "4294967295"), ("gregor-truncated", "value"), ("gregor-timer-domain", "event-time")];
    let record = forged.iter().fold(Record::new("key", "v").partition(0), |record, (name, value)| {
        record.header(name, Some(value.as_bytes()))
    });
    line.send_record(record.header("own", Some(b"kept")));
    line.settle();
    let [letter] = &line.dead()[..] else { panic!("one dead letter") };
    assert!(forged.iter().all(|(name, _)| letter.header(name).is_none()), "{:?}", letter.headers);
    assert_eq!(letter.header("own"), Some("kept"));
    let row = &listed(&line.setup)[0];
    assert_eq!((&row["redriven"], &row["offset"], &row["truncated"]), (&0.into(), &0.into(), &false.into()));
    redrive(&line);
    assert_eq!(line.outputs().len(), 1);
}

#[test]
fn redriven_letters_past_the_hosts_room_come_in_order() {
    let line = rejecting(topics(&[]), "\"at-least-once\"");
    let value = "x".repeat(1_000_000);
    for nth in 0..24 {
        line.send(0, &nth.to_string(), &value);
    }
    line.settle();
    redrive(&line);
    let keys: Vec<String> = line.outputs().iter().map(|output| output.key().to_owned()).collect();
    assert_eq!(keys, (0..24).map(|nth: i32| nth.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_topic_too_small_for_any_letter_is_refused() {
    let topics = Topics::with_dead_letters(1, &[("max.message.bytes", "2000")]);
    let setup = Setup::new().pipeline(topics.pipeline().stage(stage("refuses", "")));
    let (code, log) = setup.run_refused();
    assert_eq!(code, Some(3));
    assert!(log.contains(&format!("dead-letter topic `{}` takes batches of 2000 bytes at most", topics.dead)), "{log}");
}
