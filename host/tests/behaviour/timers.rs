//! Timers: when they fire, in which order, and what they outlive.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Host, Received, Record, Setup, eventually, kafka, plugin, until};

const TOKEN: &str = "s3cret";

/// A host of one pipeline with these lines, whose one stage runs the guest.
fn timed(partitions: i32, pipeline: &[(&str, &str)], lines: &str) -> Line {
    let topics = Topics::new(partitions);
    let setup = setup(&topics, pipeline, lines);
    Line::run(topics, setup)
}

fn setup(topics: &Topics, pipeline: &[(&str, &str)], lines: &str) -> Setup {
    let with_lines = pipeline.iter().fold(topics.pipeline(), |pipeline, (key, value)| pipeline.set(key, value));
    Setup::new()
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .pipeline(with_lines.stage(stage("timed", lines)))
}

fn at(line: &Line, partition: i32, timestamp: i64, commands: &str) {
    line.send_record(Record::new("key", commands).partition(partition).timestamp(timestamp));
}

/// Key and value of each output of the sink, in order.
fn said(line: &Line) -> Vec<(String, String)> {
    pairs(&line.outputs())
}

fn pairs(outputs: &[Received]) -> Vec<(String, String)> {
    outputs.iter().map(|output| (output.key().to_owned(), output.text().to_owned())).collect()
}

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as u64
}

#[test]
fn event_time_timers_fire_by_time_then_name_before_the_record_that_moved_the_watermark() {
    let line = timed(1, &[], "");
    let schedule = "event b 5000\nevent a 5000\nevent gone 4000\nevent far 9000\nevent early 4999\ncancel event gone";
    at(&line, 0, 1_000, schedule);
    at(&line, 0, 4_998, "watermark");
    at(&line, 0, 6_000, "watermark\nevent past 500\nevent past-too 400");
    at(&line, 0, 100, "watermark");
    line.settle();
    let outputs = line.outputs();
    assert_eq!(
        pairs(&outputs),
        expected(&[
            ("key", "ok\nok\nok\nok\nok\ntrue"),
            ("key", "4998"),
            ("early", "event 4999"),
            ("a", "event 5000"),
            ("b", "event 5000"),
            ("key", "6000\nok\nok"),
            ("past-too", "event 400"),
            ("past", "event 500"),
            ("key", "6000"),
        ])
    );
    assert_eq!((outputs[2].timestamp, outputs[3].timestamp), (4_999, 5_000));
    let header = |name| outputs[3].header(name);
    assert_eq!((header("gregor-timer-domain"), header("gregor-timer-at")), (Some("event-time"), Some("5000")));
    assert_eq!(header("gregor-offset"), None);
    line.expect_metric("gregor_timers_fired_total", &[r#"domain="event-time""#], 5.0);
    line.expect_metric("gregor_timers_pending", &[], 1.0);
    line.expect_metric("gregor_watermark_seconds", &[], 6.0);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="ok""#], 9.0);
}

#[test]
fn records_may_be_out_of_order_by_as_much_as_is_configured() {
    let line = timed(1, &[("max-out-of-orderness", "\"2s\"")], "");
    at(&line, 0, 1_000, "watermark\nevent x 5000");
    at(&line, 0, 6_999, "watermark");
    at(&line, 0, 5_000, "watermark");
    at(&line, 0, 7_000, "watermark");
    line.settle();
    let all = [("key", "0\nok"), ("key", "4999"), ("key", "4999"), ("x", "event 5000"), ("key", "5000")];
    assert_eq!(said(&line), expected(&all));
}

#[test]
fn processing_time_timers_fire_without_a_record_and_not_before_their_time() {
    let line = timed(2, &[], "");
    let before = wall_ms();
    at(&line, 0, 1_000, "soon later 900\nsoon sooner 300\nclock never 9000000000000\nsoon gone 100\ncancel clock gone");
    at(&line, 1, 1_000, "clock past 5\non past clock again 6");
    line.settle();
    until("the timers fire", || line.outputs().len() == 6);
    let fired_at = |name: &str| -> u64 {
        let outputs = line.outputs();
        let output = outputs.iter().find(|output| output.key() == name).expect("it fired");
        output.text().strip_prefix("clock ").and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a time")
    };
    assert_eq!((fired_at("past"), fired_at("again")), (5, 6), "one that on-timer schedules fires too");
    let (sooner, later) = (fired_at("sooner"), fired_at("later"));
    assert!(before + 300 <= sooner && sooner + 600 == later && later <= wall_ms(), "{before} {sooner} {later}");
    line.expect_metric("gregor_timers_pending", &[], 1.0);
}

#[test]
fn the_event_time_of_an_idle_partition_goes_on_by_the_clock_and_that_of_a_busy_one_does_not() {
    let line = timed(2, &[("idle-timeout", "\"1s\"")], "");
    // Transaction markers take offsets behind the last record.
    let idle = Record::new("key", "event idle 1001500").partition(0).timestamp(1_000_000);
    kafka().produce_transaction(&line.topics.source, true, [idle]);
    let fired = eventually("the idle partition's timer", || {
        at(&line, 1, 1_000_000, "event busy 1001500");
        line.flush();
        line.outputs().into_iter().find(|output| output.header("gregor-timer-at").is_some())
    });
    assert_eq!((fired.key(), fired.text(), fired.timestamp), ("idle", "event 1001500", 1_001_500));
    // A record of the idle partition is late by then, and does not take event time back.
    line.send_record(Record::new("late", "watermark").partition(0).timestamp(1_000_100));
    line.flush();
    let late = || line.outputs().into_iter().find(|output| output.key() == "late");
    let watermark: u64 = eventually("the late record's output", late).text().parse().expect("a watermark");
    assert!((1_001_500..1_060_000).contains(&watermark), "{watermark}");
    until("the other one fires as well once it is idle", || line.outputs().iter().any(|output| output.key() == "busy"));
}

#[test]
fn without_an_idle_timeout_event_time_stands_still() {
    let line = timed(1, &[], "");
    at(&line, 0, 1_000, "event x 1001\nsoon y 1500");
    line.settle();
    until("the processing-time timer fires", || line.outputs().iter().any(|output| output.key() == "y"));
    assert!(line.outputs().iter().all(|output| output.key() != "x"));
}

#[test]
fn what_a_stage_s_timers_give_reaches_the_next_stage_before_the_watermark_does() {
    let topics = Topics::new(1);
    let second = stage("timed", "name = \"second\"");
    let pipeline = topics.pipeline().stage(stage("timed", "name = \"first\"")).stage(second);
    let line = Line::run(topics, Setup::new().pipeline(pipeline));
    // The second stage takes `event 5000 6000` for a command: a timer of that name.
    at(&line, 0, 1_000, "event x 5000\non x watermark");
    at(&line, 0, 6_000, "ok");
    line.settle();
    assert_eq!(
        said(&line),
        expected(&[("key", "ok\nok"), ("x", "ok"), ("5000", "event 6000"), ("key", "ok")]),
        "the timer of the second stage is due in the same turn"
    );
}

#[test]
fn a_timer_that_is_no_timer_is_refused_in_words() {
    let line = timed(1, &[], "state = { max-bytes = \"1KiB\" }");
    let long = "x".repeat(257);
    let said = line.ask(0, &format!("event {long} 1\nevent x 9223372036854775808\nevent x 9223372036854775807"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("256 bytes") && lines[1].contains("63 bits") && lines[2] == "ok", "{said}");
    let many: Vec<String> = (0..60).map(|nth| format!("event timer-{nth} 9223372036854775807")).collect();
    let said = line.ask(0, &many.join("\n"));
    assert!(said.lines().any(|line| line == "error the cache would have more than 1024 bytes"), "{said}");
}

#[test]
fn random_bytes_of_a_timer_follow_from_the_timer() {
    let line = timed(1, &[], "");
    at(&line, 0, 1_000, "event a 10\nevent b 10\non a random\non b random");
    at(&line, 0, 1_000, "event a 10");
    line.settle();
    let said = said(&line);
    let of = |name: &str| -> Vec<&str> {
        said.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(of("a").len(), 2);
    assert_eq!(of("a")[0], of("a")[1]);
    assert_ne!(of("a")[0], of("b")[0]);
}

#[test]
fn a_swap_keeps_timers_and_a_version_without_on_timer_lets_them_stand() {
    let topics = Topics::new(1);
    let setup = setup(&topics, &[], "");
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    let line = Line::of(topics, setup, host);
    at(&line, 0, 1_000, "event x 5000\nevent y 7000");
    line.settle();
    let swap = |component: &[u8]| {
        line.setup.put("timed", component);
        let digest = gregor::plugin::Digest::of(component).to_string();
        until("the version runs", || line.plugin("timed")["digest"] == digest);
    };
    swap(&revised(&plugin("timed")));
    at(&line, 0, 6_000, "ok");
    line.settle();
    assert_eq!(said(&line), expected(&[("key", "ok\nok"), ("x", "event 5000"), ("key", "ok")]));
    swap(&plugin("echo"));
    at(&line, 0, 8_000, "as it is");
    line.settle();
    line.host.wait_for_log("timers stand still");
    assert_eq!(said(&line).last(), expected(&[("key", "as it is")]).last());
    line.approve("timed", TOKEN, &plugin("timed"));
    until("the timer fires at last", || said(&line).last() == expected(&[("y", "event 7000")]).last());
}

/// Timers of two partitions, and a watermark, at a host that is to go.
fn scheduled(lines: &str, guarantee: &str) -> Line {
    let topics = Topics::new(2);
    let setup = setup(&topics, &[], lines).delivery("guarantee", guarantee).workers(1);
    let line = Line::run(topics, setup);
    for partition in 0..2 {
        at(&line, partition, 10_000, "event x 15000\nevent y 25000\nsoon z 4000");
    }
    line.settle();
    line
}

/// Each timer fires once, and what was late before is late.
fn goes_on(line: &Line) {
    for partition in 0..2 {
        assert_eq!(line.ask_at(partition, 5, "watermark"), "10000");
        at(line, partition, 20_000, "ok");
    }
    line.settle();
    until("the processing-time timers fire", || {
        line.outputs().iter().filter(|output| output.key() == "z").count() == 2
    });
    for outputs in line.outputs_by_partition() {
        let mut keys: Vec<&str> = outputs.iter().map(Received::key).filter(|key| *key != "key").collect();
        keys.sort_unstable();
        assert_eq!(keys, ["x", "z"]);
    }
    line.expect_metric("gregor_timers_pending", &[], 2.0);
}

#[test]
fn timers_and_the_watermark_outlive_a_killed_host_in_memory_with_a_changelog() {
    let mut line = scheduled("state = { changelog = true }", "\"at-least-once\"");
    line.host.kill9();
    line.setup.lose_data("one");
    line.host = line.setup.spawn_as("one", &[]);
    goes_on(&line);
}

#[test]
fn timers_and_the_watermark_outlive_a_killed_host_on_disk() {
    let mut line = scheduled("state = { backend = \"disk\" }", "\"exactly-once\"");
    line.host.kill9();
    line.host = line.setup.spawn_as("one", &[]);
    goes_on(&line);
}

#[test]
fn timers_move_to_another_host() {
    let mut line = scheduled("state = { backend = \"disk\", changelog = true }", "\"exactly-once\"");
    let other = line.setup.spawn_as("two", &[]);
    until("the other host has a partition", || other.answers("/readyz") && other.owns(1));
    assert_eq!(line.host.term(), Some(0));
    line.host = other;
    until("it has both", || line.host.owns(2));
    goes_on(&line);
}

#[test]
fn hosts_killed_in_mid_window_fire_every_timer_once() {
    const RECORDS: i64 = 1_500;
    const WINDOW: i64 = 1_000;
    let topics = Topics::new(3);
    let setup = setup(&topics, &[], "state = { backend = \"disk\", changelog = true }")
        .delivery("guarantee", "\"exactly-once\"")
        .delivery("commit-interval", "\"50ms\"");
    let mut line = Line::run(topics, setup);
    let sink_end = |line: &Line| kafka().ends(&line.topics.sink).into_iter().sum::<i64>();
    for round in 0..3 {
        // A window has ten records; each schedules a timer of its own and its window's.
        for nth in round * RECORDS / 3..(round + 1) * RECORDS / 3 {
            // A producer takes the timestamp 0 for none.
            let (timestamp, end) = (WINDOW + nth * 100, (nth * 100 / WINDOW + 2) * WINDOW);
            for partition in 0..3 {
                at(&line, partition, timestamp, &format!("event window {end}\nevent of-{nth} {end}"));
            }
        }
        line.flush();
        let before = sink_end(&line);
        until("records flow", || sink_end(&line) > before + 100);
        line.host.kill9();
        if round == 1 {
            line.setup.lose_data("one");
        }
        line.host = line.setup.spawn_as("one", &[]);
    }
    for partition in 0..3 {
        at(&line, partition, WINDOW + RECORDS * 100, "ok");
    }
    line.settle();
    kafka().wait_until_decided(&line.topics.sink);
    for outputs in line.outputs_by_partition() {
        let fired: Vec<&Received> = outputs.iter().filter(|output| output.key() != "key").collect();
        let times: Vec<i64> = fired.iter().map(|output| output.timestamp).collect();
        assert!(times.is_sorted(), "in the order of their times");
        let mut counts: BTreeMap<(&str, i64), u32> = BTreeMap::new();
        for output in &fired {
            *counts.entry((output.key(), output.timestamp)).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count == 1), "each timer once");
        assert_eq!(counts.len() as i64, RECORDS + RECORDS * 100 / WINDOW, "every timer");
    }
}

#[test]
fn a_bounded_run_fires_what_is_due_by_its_last_record_and_keeps_the_rest() {
    let topics = Topics::new(1);
    let setup = setup(&topics, &[], "state = { backend = \"disk\" }");
    let send = |timestamp, commands: &str| {
        let record = Record::new("key", commands).partition(0).timestamp(timestamp);
        kafka().produce(&topics.source, [record]);
    };
    send(1_000, "event now 900\nevent later 2000");
    setup.run_bounded();
    assert_eq!(pairs(&kafka().read(&topics.sink)), expected(&[("key", "ok\nok"), ("now", "event 900")]));
    send(2_000, "ok");
    setup.run_bounded();
    let all = [("key", "ok\nok"), ("now", "event 900"), ("later", "event 2000"), ("key", "ok")];
    assert_eq!(pairs(&kafka().read(&topics.sink)), expected(&all));
}

#[test]
fn many_timers_at_once_hold_up_no_other_partition() {
    let line = timed(2, &[], "timeout = \"10s\"\nstate = { max-bytes = \"64MiB\" }");
    const TIMERS: usize = 20_000;
    for hundred in 0..TIMERS / 100 {
        let commands: Vec<String> = (0..100).map(|nth| format!("event t{hundred}-{nth} 5000")).collect();
        at(&line, 0, 1_000, &commands.join("\n"));
    }
    line.settle();
    at(&line, 0, 6_000, "ok");
    line.flush();
    // While they fire, the other partition answers.
    assert_eq!(line.ask_at(1, 7, "watermark"), "7");
    line.settle();
    let outputs = line.outputs();
    let fired: Vec<usize> =
        outputs.iter().enumerate().filter(|(_, output)| output.text() == "event 5000").map(|(nth, _)| nth).collect();
    assert_eq!(fired.len(), TIMERS);
    let last = outputs.iter().rposition(|output| output.text() == "ok").expect("the record that made them due");
    assert!(fired.iter().all(|nth| *nth < last), "before the record");
    std::thread::sleep(Duration::from_millis(100));
    line.expect_metric("gregor_timers_fired_total", &[], TIMERS as f64);
}
