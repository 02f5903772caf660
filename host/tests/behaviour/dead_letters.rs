//! `gregor dead-letter`: what failed, and its way back through its pipeline.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::extra::{Line, Topics, revised, stage, told};
use crate::support::{Host, Received, Record, Setup, kafka, plugin, redis_url, until};

const DONE: Option<i32> = Some(0);
const NONE: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

/// `gregor dead-letter <command> line <words>`, with the configuration of the
/// host that was started last.
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

/// All dead letters of the pipeline, as `list --json` tells them.
#[track_caller]
fn listed(setup: &Setup, words: &[&str]) -> Vec<Value> {
    let output = dead_letter(setup, "list", &[&["--json"], words].concat());
    assert!(output.status.code() == DONE || output.status.code() == NONE, "{}", told(&output, DONE));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// Waits until each dead letter of the pipeline is redriven.
#[track_caller]
fn wait_until_redriven(setup: &Setup) {
    until("all are redriven", || listed(setup, &[]).iter().all(|letter| letter["redrive"] == "done"));
}

fn source_of(record: &Received) -> (i32, i64) {
    let number = |name: &str| record.header(name).and_then(|text| text.parse::<i64>().ok()).expect("a header");
    (number("gregor-partition") as i32, number("gregor-offset"))
}

#[test]
fn list_and_show_tell_where_and_why_and_the_payload_only_when_asked() {
    let line = Line::start(2, "fails", "");
    line.send(0, "patient-1", "fine");
    line.send_record(
        Record::new("patient-1", "reject").partition(0).timestamp(1_700_000_000_000).header("ward", Some(b"3")),
    );
    line.send_record(Record::keyless("reject").partition(1).timestamp(7));
    line.settle();
    // What nobody of ours wrote, and what is another pipeline's.
    kafka().produce(&line.topics.dead, [Record::new("patient-2", "stray")]);

    let table = told(&dead_letter(&line.setup, "list", &[]), DONE);
    assert!(table.contains(&format!("{}-0@1", line.topics.source)) && table.contains("reject"), "{table}");
    let letters = listed(&line.setup, &[]);
    assert_eq!(letters.len(), 2, "{letters:?}");
    let first = letters.iter().find(|letter| letter["partition"] == 0).expect("the first");
    assert_eq!(
        (&first["offset"], &first["error"], &first["stage"], &first["attempts"], &first["redrive"]),
        (&1.into(), &"reject".into(), &"fails".into(), &1.into(), &"-".into())
    );
    assert_eq!(listed(&line.setup, &["--error", "timeout"]).len(), 0);
    assert_eq!(listed(&line.setup, &["--error", "reject", "--stage", "fails", "--limit", "1"]).len(), 1);

    let at = first["at"].as_str().expect("its place");
    let plain = told(&dead_letter(&line.setup, "show", &[at]), DONE);
    assert!(plain.contains("the plugin rejected the record") && plain.contains("2023-11-14T22:13:20"), "{plain}");
    for shown in [&table, &plain] {
        assert!(!shown.contains("patient-") && !shown.contains("ward"), "the payload is told unasked: {shown}");
    }
    let whole = told(&dead_letter(&line.setup, "show", &[at, "--payload"]), DONE);
    assert!(whole.contains("patient-1") && whole.contains("ward = 3"), "{whole}");
    let json: Value =
        serde_json::from_slice(&dead_letter(&line.setup, "show", &[at, "--payload", "--json"]).stdout).expect("JSON");
    assert_eq!((&json["key"], &json["value"]), (&"patient-1".into(), &"reject".into()));

    told(&dead_letter(&line.setup, "show", &["0/99"]), NONE);
    told(&dead_letter(&line.setup, "show", &["first"]), USAGE);
    let unknown = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["dead-letter", "list", "other", "--config"])
        .arg(line.setup.path().join("gregor.toml"))
        .output()
        .expect("the binary runs");
    assert!(told(&unknown, USAGE).contains("there is line"));
}

#[test]
fn a_redrive_goes_through_the_version_that_runs_in_the_order_of_the_source_and_once() {
    let line = Line::start(3, "fails", "");
    let mut sent = Vec::new();
    for nth in 0..20 {
        for partition in 0..3 {
            let value = if nth % 4 == 0 { "good" } else { "reject" };
            let record = Record::new(format!("key-{nth}"), value).partition(partition).timestamp(1_000 + nth);
            let offset = line.send_record(record.header("own", Some(b"kept")).header("null", None));
            if value == "reject" {
                sent.push((partition, offset));
            }
        }
    }
    line.settle();
    assert_eq!(line.dead().len(), 45);
    let before = line.outputs().len();
    let dry = told(&dead_letter(&line.setup, "redrive", &[]), DONE);
    assert!(dry.contains("45 dead letters") && dry.contains("A dry run"), "{dry}");
    assert_eq!(kafka().partitions(&format!("{}-line-redrive", line.setup.app)), 0, "a dry run creates nothing");

    line.setup.put("fails", &plugin("echo"));
    until("the better version runs", || {
        line.plugin("fails")["digest"] == gregor::plugin::Digest::of(&plugin("echo")).to_string()
    });
    told(&dead_letter(&line.setup, "redrive", &["--yes"]), DONE);
    // While they are under way, and once they are done: nothing is left to ask for.
    assert!(told(&dead_letter(&line.setup, "redrive", &["--yes"]), NONE).contains("45 were redriven before"));
    wait_until_redriven(&line.setup);
    line.settle();

    let outputs = line.outputs();
    let redriven = &outputs[before..];
    for partition in 0..3 {
        let of_partition = |found: &[(i32, i64)]| -> Vec<i64> {
            found.iter().filter(|(of, _)| *of == partition).map(|(_, offset)| *offset).collect()
        };
        let came: Vec<_> = redriven.iter().map(source_of).collect();
        assert_eq!(of_partition(&came), of_partition(&sent), "each once, in the order of the source");
    }
    for record in redriven {
        let own: Vec<_> = record.headers.iter().filter(|(name, _)| !name.starts_with("gregor-")).cloned().collect();
        assert_eq!(own, [("own".to_owned(), Some(b"kept".to_vec())), ("null".to_owned(), None)]);
        assert!((1_000..1_020).contains(&record.timestamp));
    }
    line.expect_metric("gregor_dead_letters_redriven_total", &[r#"pipeline="line""#], 45.0);
    assert_eq!(line.dead().len(), 45, "what was redriven well is no dead letter again");
}

#[test]
fn a_dead_letter_that_fails_again_is_a_new_one_and_its_tries_add_up() {
    let line = Line::start(1, "fails", "retry = { attempts = 2, backoff = \"1ms\" }");
    line.send(0, "one", "retry");
    line.send(0, "two", "reject");
    line.settle();
    let places = |letters: &[Value]| -> Vec<String> {
        letters.iter().map(|letter| letter["at"].as_str().expect("a place").to_owned()).collect()
    };
    let first = listed(&line.setup, &["--error", "retry"]);
    assert_eq!(first[0]["attempts"], 3);
    // Only the one that is named.
    told(&dead_letter(&line.setup, "redrive", &[&*places(&first)[0], "--yes"]), DONE);
    until("it has failed again", || line.dead().len() == 3);
    let open = listed(&line.setup, &["--open", "--error", "retry"]);
    assert_eq!(open.len(), 1);
    assert_eq!((&open[0]["attempts"], &open[0]["redriven"]), (&6.into(), &1.into()));

    line.setup.put("fails", &plugin("echo"));
    until("the better version runs", || {
        line.plugin("fails")["digest"] == gregor::plugin::Digest::of(&plugin("echo")).to_string()
    });
    told(&dead_letter(&line.setup, "redrive", &["--yes"]), DONE);
    wait_until_redriven(&line.setup);
    until("both come out", || line.outputs().len() == 2);
    let keys: Vec<String> = line.outputs().iter().map(|record| record.key().to_owned()).collect();
    assert_eq!(keys, ["one", "two"]);
    assert_eq!(line.dead().len(), 3);
}

#[test]
fn dead_letters_of_any_form_come_back_as_they_were() {
    let line = Line::start(1, "refuses", "");
    let records = [
        Record::tombstone("key").partition(0).timestamp(5),
        Record::keyless("value").partition(0).timestamp(6),
        Record::new("", "").partition(0).timestamp(7),
        Record::new([0xff, 0xfe], [0, 159, 146, 150]).partition(0).timestamp(8),
    ];
    for record in records.clone() {
        line.send_record(record);
    }
    line.settle();
    line.setup.put("refuses", &plugin("echo"));
    until("the better version runs", || {
        line.plugin("refuses")["digest"] == gregor::plugin::Digest::of(&plugin("echo")).to_string()
    });
    told(&dead_letter(&line.setup, "redrive", &["--yes"]), DONE);
    until("all come out", || line.outputs().len() == records.len());
    for (output, record) in line.outputs().iter().zip(&records) {
        assert_eq!(
            (&output.key, &output.value, Some(output.timestamp)),
            (&record.key, &record.value, record.timestamp)
        );
    }
}

/// Dead letters that count when they are redriven, in three partitions; no host runs.
fn counters(state: &str, guarantee: &str) -> (Topics, Setup) {
    let topics = Topics::new(3);
    let setup = Setup::new()
        .delivery("guarantee", guarantee)
        .delivery("commit-interval", "\"100ms\"")
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .redis(&redis_url())
        // Its history goes below.
        .plugins("unknown-versions", "\"serve\"")
        .plugin("counts", &plugin("refuses"))
        .pipeline(topics.pipeline().stage(stage("counts", state)));
    let records = (0..COUNTED * 3).map(|nth| Record::new("key", "increment n 1").partition((nth % 3) as i32));
    kafka().produce(&topics.source, records);
    let mut host = setup.spawn_as("one", &[]);
    until("all are dead letters", || kafka().read(&topics.dead).len() == COUNTED * 3);
    until("all is committed", || kafka().is_settled(&setup.app, &topics.source));
    assert_eq!(host.term(), Some(0));
    // It imports the cache, which the version before did not: as if approved.
    std::fs::remove_dir_all(setup.data("one").join("versions")).expect("the host kept its version");
    setup.put("counts", &plugin("script"));
    (topics, setup)
}

const COUNTED: usize = 40;

/// Each partition counted from 1 on, each dead letter once, and its state knows:
/// a host runs, and a further record of each counts on.
#[track_caller]
fn counted_once(topics: &Topics) {
    kafka().produce(&topics.source, (0..3).map(|partition| Record::new("key", "increment n 1").partition(partition)));
    until("further records are processed", || kafka().read(&topics.sink).len() > 3 * COUNTED + 2);
    let outputs = kafka().read(&topics.sink);
    for partition in 0..3 {
        let of_partition = outputs.iter().filter(|output| source_of(output).0 == partition);
        let counts: Vec<String> = of_partition.map(|output| output.text().to_owned()).collect();
        assert_eq!(counts, (1..=COUNTED + 1).map(|n| n.to_string()).collect::<Vec<_>>(), "partition {partition}");
    }
}

/// A host crashes at a step of the commit that a redrive is in; the next one
/// goes on, and each dead letter has counted once in state and outputs.
#[cfg(debug_assertions)]
fn crashes(state: &str, step: &str) {
    let (topics, setup) = counters(state, "\"exactly-once\"");
    told(&dead_letter(&setup, "redrive", &["--yes"]), DONE);
    let mut crashing = setup.spawn_to_crash("one", step);
    until("the host crashes", || crashing.has_ended());
    assert_eq!(crashing.wait_exit(), None, "it ended otherwise");
    let mut host = setup.spawn_as("one", &[]);
    wait_until_redriven(&setup);
    counted_once(&topics);
    assert_eq!(host.term(), Some(0));
}

#[test]
#[cfg(debug_assertions)]
fn a_crash_in_the_midst_of_a_redrive_repeats_and_loses_nothing_on_disk() {
    for step in ["state-prepared:1", "committed:1"] {
        crashes("state = { backend = \"disk\", changelog = true }", step);
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_crash_in_the_midst_of_a_redrive_repeats_and_loses_nothing_in_redis() {
    for step in ["state-prepared:1", "committed:1"] {
        crashes("state = { backend = \"redis\" }", step);
    }
}

#[test]
fn hosts_that_come_and_go_redrive_each_dead_letter_once() {
    let (topics, setup) = counters("state = { backend = \"memory\", changelog = true }", "\"exactly-once\"");
    let hosts: Vec<Host> = ["one", "two"].map(|id| setup.spawn_as(id, &[])).into();
    told(&dead_letter(&setup, "redrive", &["--limit", "60", "--yes"]), DONE);
    let mut hosts = hosts.into_iter();
    let (mut first, mut second) = (hosts.next().expect("one"), hosts.next().expect("two"));
    until("some are redriven", || listed(&setup, &[]).iter().any(|letter| letter["redrive"] == "done"));
    first.kill9();
    told(&dead_letter(&setup, "redrive", &["--yes"]), DONE);
    let mut third = setup.spawn_as("three", &[]);
    wait_until_redriven(&setup);
    counted_once(&topics);
    assert_eq!((second.term(), third.term()), (Some(0), Some(0)));
}

#[test]
fn a_redrive_in_progress_outlives_an_erased_metadata() {
    for (backend, guarantee) in [("memory", "\"exactly-once\""), ("disk", "\"at-least-once\"")] {
        let (topics, setup) = counters(&format!("state = {{ backend = {backend:?}, changelog = true }}"), guarantee);
        told(&dead_letter(&setup, "redrive", &["--limit", "60", "--yes"]), DONE);
        let mut host = setup.spawn_as("one", &[]);
        until("some are redriven", || listed(&setup, &[]).iter().any(|letter| letter["redrive"] == "done"));
        assert_eq!(host.term(), Some(0));
        // As a tool does it: the offsets stay, and do not tell any more how many were redriven.
        for (partition, next) in (0..).zip(kafka().committed(&setup.app, &topics.source)) {
            kafka().move_group(&setup.app, &topics.source, partition, next.expect("an offset"));
            assert_eq!(kafka().metadata(&setup.app, &topics.source, partition), "");
        }
        let mut host = setup.spawn_as("one", &[]);
        told(&dead_letter(&setup, "redrive", &["--yes"]), DONE);
        wait_until_redriven(&setup);
        counted_once(&topics);
        assert_eq!(host.term(), Some(0));
    }
}

#[test]
fn marks_that_brokers_refuse_are_sent_again() {
    let (topics, setup) = counters("", "\"at-least-once\"");
    told(&dead_letter(&setup, "redrive", &["--yes"]), DONE);
    let marks = format!("{}-line-redrive", setup.app);
    kafka().alter(&marks, &[("cleanup.policy", "compact"), ("max.message.bytes", "50")]);
    let mut host = setup.spawn_as("one", &[]);
    host.wait_for_log("the brokers refuse marks of redriven dead letters");
    assert!(listed(&setup, &[]).iter().any(|letter| letter["redrive"] == "waiting"));
    kafka().alter(&marks, &[("cleanup.policy", "compact"), ("max.message.bytes", "1048588")]);
    wait_until_redriven(&setup);
    counted_once(&topics);
    assert_eq!(host.term(), Some(0));
}

#[test]
fn at_least_once_a_redrive_counts_once_too_where_nothing_crashes() {
    let (topics, setup) = counters("", "\"at-least-once\"");
    let mut host = setup.spawn_as("one", &[]);
    told(&dead_letter(&setup, "redrive", &["--yes"]), DONE);
    wait_until_redriven(&setup);
    counted_once(&topics);
    assert_eq!(host.term(), Some(0));
}

#[test]
fn a_redrive_waits_for_a_version_that_copes_where_the_policy_is_to_hold() {
    let topics = Topics::new(1);
    let setup = Setup::new().pipeline(topics.pipeline().stage(stage("refuses", "")));
    let mut line = Line::run(topics, setup);
    line.send(0, "key", "value");
    line.settle();
    assert_eq!(line.dead().len(), 1);
    assert_eq!(line.host.term(), Some(0));
    let mut held = Setup::new().pipeline(line.topics.pipeline().stage(stage("refuses", "on-failure = \"hold\"")));
    held.app = line.setup.app.clone();
    let host = held.spawn_as("one", &[]);
    told(&dead_letter(&held, "redrive", &["--yes"]), DONE);
    until("it is tried", || host.metric("gregor_plugin_calls_total", &[r#"outcome="reject""#]) == 1.0);
    held.put("refuses", &revised(&plugin("refuses")));
    until("it is tried again", || host.metric("gregor_plugin_calls_total", &[r#"outcome="reject""#]) == 2.0);
    assert_eq!(listed(&held, &[])[0]["redrive"], "waiting");
    held.put("refuses", &plugin("echo"));
    wait_until_redriven(&held);
    assert_eq!(kafka().read(&line.topics.sink).len(), 1);
}
