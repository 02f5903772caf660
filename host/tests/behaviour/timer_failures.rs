//! What becomes of a timer that a plugin fails on: the same as of a record.

use std::process::Command;

use gregor::plugin::Digest;
use serde_json::Value;

use crate::support::extra::{Line, Topics, stage, told};
use crate::support::{Host, Received, Record, Setup, kafka, plugin, until};

const DONE: Option<i32> = Some(0);
const TOKEN: &str = "s3cret";

/// Three partitions; in the second one, a timer that ends as `command` says is
/// due before a record, and records of the others follow.
fn failing(command: &str, lines: &str) -> Line {
    let topics = Topics::new(3);
    let setup = Setup::new().pipeline(topics.pipeline().stage(stage("timed", lines)));
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    let line = Line::of(topics, setup, host);
    line.wait_until_spread();
    let at = |partition, timestamp, commands: &str| {
        line.send_record(Record::new("patient", commands).partition(partition).timestamp(timestamp));
    };
    at(1, 1_000, &format!("event bad 5000\nevent good 5001\non bad {command}"));
    at(1, 6_000, "watermark");
    for partition in [0, 2] {
        at(partition, 1_000, "event good 5000");
        at(partition, 6_000, "watermark");
    }
    line.flush();
    line
}

/// Keys of the outputs of each partition.
fn keys(line: &Line) -> Vec<Vec<String>> {
    let of = |outputs: Vec<Received>| outputs.iter().map(|output| output.key().to_owned()).collect();
    line.outputs_by_partition().into_iter().map(of).collect()
}

fn ends(line: &Line, middle: &[&str]) {
    line.settle();
    let others = ["patient", "good", "patient"];
    assert_eq!(keys(line), [others.as_slice(), middle, others.as_slice()].map(<[&str]>::to_vec));
}

#[test]
fn skip_leaves_the_timer_out_and_counts_it() {
    let line = failing("reject", "on-failure = \"skip\"");
    ends(&line, &["patient", "good", "patient"]);
    line.expect_metric("gregor_records_skipped_total", &[], 1.0);
    line.expect_metric("gregor_timers_pending", &[], 0.0);
    assert_eq!(line.dead().len(), 0);
}

#[test]
fn retry_waits_and_holds_up_the_record_behind_it_and_no_other_partition() {
    let line =
        failing("retry", "on-failure = \"skip\"\nretry = { attempts = 4, backoff = \"2s\", max-backoff = \"2s\" }");
    until("the others are done, and the timer is tried again", || {
        [0, 2].iter().all(|partition| line.view(*partition)["committed"] == 2) && line.view(1)["state"] == "retrying"
    });
    let view = line.view(1);
    assert_eq!(
        (&view["state"], &view["failure"], &view["committed"]),
        (&"retrying".into(), &"retry".into(), &1.into())
    );
    assert_eq!(keys(&line)[1], ["patient"], "the record waits behind the timer, and so does the next one");
    ends(&line, &["patient", "good", "patient"]);
    line.expect_metric("gregor_retries_total", &[], 4.0);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="retry""#], 5.0);
}

#[test]
fn a_timer_that_waits_while_no_record_does_holds_up_the_next_ones() {
    let line = Line::start(1, "timed", "on-failure = \"skip\"\nretry = { attempts = 3, backoff = \"300ms\" }");
    line.send_record(Record::new("first", "clock bad 5\non bad retry").partition(0));
    line.flush();
    until("it waits", || line.view(0)["state"] == "retrying");
    assert_eq!(line.view(0)["position"], 1);
    line.send_record(Record::new("second", "ok").partition(0));
    line.settle();
    assert_eq!(keys(&line), [["first", "second"]]);
    line.expect_metric("gregor_retries_total", &[], 3.0);
}

#[test]
fn hold_stops_the_partition_until_another_version_takes_over() {
    let line = failing("trap", "on-failure = \"hold\"");
    until("only that partition is held", || {
        let views = [0, 1, 2].map(|partition| line.view(partition));
        views[1]["state"] == "held"
            && views[1]["failure"] == "trap"
            && views[0]["committed"] == 2
            && views[2]["committed"] == 2
    });
    assert_eq!(keys(&line)[1], ["patient"]);
    // Without on-timer the timers stand still and records go on.
    line.setup.put("timed", &plugin("echo"));
    line.settle();
    assert_eq!(keys(&line)[1], ["patient", "patient"]);
    line.approve("timed", TOKEN, &plugin("timed"));
    until("it is held again, with no record in work", || {
        line.view(1)["state"] == "held" && line.view(1)["position"] == 2
    });
    assert_eq!(line.view(1)["stages"][0]["timers"], 2);
}

#[test]
fn a_held_timer_outlives_a_killed_host() {
    let topics = Topics::new(1);
    let setup = Setup::new()
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .pipeline(topics.pipeline().stage(stage("timed", "on-failure = \"hold\"\nstate = { changelog = true }")));
    let mut line = Line::run(topics, setup);
    line.send_record(Record::new("patient", "event bad 5\non bad reject").partition(0).timestamp(10));
    line.flush();
    until("it is held", || line.view(0)["state"] == "held" && line.view(0)["committed"] == 1);
    line.host.kill9();
    line.host = line.setup.spawn_as("one", &[]);
    until("it is held again", || line.view(0)["state"] == "held");
    assert_eq!(keys(&line), [["patient"]]);
}

#[test]
fn a_dead_letter_tells_of_the_timer_and_goes_back_through_the_pipeline() {
    let line = failing("reject", "name = \"windows\"");
    ends(&line, &["patient", "good", "patient"]);
    let dead = line.dead();
    let [letter] = &dead[..] else { panic!("{} dead letters instead of one", dead.len()) };
    assert_eq!((letter.key(), &letter.value, letter.header("gregor-timestamp")), ("patient", &None, Some("5000")));
    let digest = Digest::of(&plugin("timed")).to_string();
    let told_headers: Vec<(&str, &str)> = letter
        .headers
        .iter()
        .filter(|(name, _)| name != "gregor-failed-at")
        .map(|(name, _)| (name.as_str(), letter.header(name).expect("text")))
        .collect();
    let expected = [
        ("gregor-topic", &*line.topics.source),
        ("gregor-partition", "1"),
        ("gregor-timer-domain", "event-time"),
        ("gregor-timer-at", "5000"),
        ("gregor-timestamp", "5000"),
        ("gregor-timer-name", "bad"),
        ("gregor-pipeline", "line"),
        ("gregor-stage", "windows"),
        ("gregor-digest", &*digest),
        ("gregor-error", "reject"),
        ("gregor-reason", "the plugin rejected the record"),
        ("gregor-attempts", "1"),
    ];
    assert_eq!(told_headers, expected);

    let dead_letter = |command: &str, words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gregor"))
            .args(["dead-letter", command, "line", "--config"])
            .arg(line.setup.path().join("gregor.toml"))
            .args(words)
            .output()
            .expect("the binary runs");
        told(&output, DONE)
    };
    let listed = dead_letter("list", &["--json"]);
    let row: Value = serde_json::from_str(listed.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&row["timer"], &row["offset"], &row["timestamp"]), (&"event-time".into(), &Value::Null, &5_000.into()));
    let table = dead_letter("list", &[]);
    assert!(table.contains("event-time timer of 1970-01-01T00:00:05.000Z") && !table.contains("bad"), "{table}");
    let at = row["at"].as_str().expect("its place");
    let shown = dead_letter("show", &[at, "--payload"]);
    assert!(shown.contains("bad") && shown.contains("patient"), "{shown}");

    // Cured, and scheduled for another time since: that one stays.
    line.send_record(Record::new("patient", "on bad watermark\nevent bad 9000").partition(1).timestamp(7_000));
    line.settle();
    dead_letter("redrive", &["--yes"]);
    until("the timer fires", || line.outputs().iter().any(|output| output.key() == "bad"));
    let outputs = line.outputs();
    let fired: Vec<_> = outputs.iter().filter(|output| output.key() == "bad").collect();
    assert_eq!((fired.len(), fired[0].text(), fired[0].timestamp), (1, "event 5000 7000", 5_000));
    until("it is done", || dead_letter("list", &["--json"]).contains(r#""redrive":"done""#));
    line.expect_metric("gregor_timers_pending", &[], 1.0);
}
