//! What becomes of a record that a plugin fails on.

use gregor::plugin::Digest;
use serde_json::json;

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Record, Setup, kafka, plugin, until};

/// Sends `before`, a poison and `after` to partition 1 and good records to the
/// two others; waits until all is done that the poison does not hold up.
fn held_up(line: &Line, poison: &str, state: &str, failure: &str) {
    line.wait_until_spread();
    let send_good = |name| {
        for nth in 0..5 {
            for partition in 0..3 {
                line.send(partition, &format!("{name}-{nth}"), "good");
            }
        }
    };
    send_good("before");
    assert_eq!(line.send(1, "poison", poison), 5);
    send_good("after");
    until("only partition 1 waits", || {
        let view = line.view(1);
        let others = [0, 2].map(|partition| line.view(partition));
        view["state"] == state
            && view["failure"] == failure
            && view["committed"] == 5
            && others.iter().all(|view| view["state"] == "running" && view["committed"] == 10)
    });
    assert_eq!(line.view(1)["position"], 5, "nothing is committed or passed over");
    assert_eq!(kafka().committed(&line.setup.app, &line.topics.source)[1], Some(5));
    line.expect_metric("gregor_partition_state", &[r#"partition="1""#, &format!("state={state:?}")], 1.0);
}

/// Every record of the three partitions came out once, in order.
fn all_came_in_order(line: &Line) {
    line.settle();
    let good = |name: &str| (0..5).map(|nth| format!("{name}-{nth}")).collect::<Vec<_>>();
    for (partition, records) in line.outputs_by_partition().into_iter().enumerate() {
        let poison = if partition == 1 { vec!["poison".to_owned()] } else { vec![] };
        let keys: Vec<String> = records.iter().map(|record| record.key().to_owned()).collect();
        assert_eq!(keys, [good("before"), poison, good("after")].concat(), "partition {partition}");
    }
    assert_eq!(line.dead().len(), 0);
}

#[test]
fn skip_leaves_the_record_out_and_counts_it() {
    let line = Line::start(1, "fails", r#"on-failure = "skip""#);
    for value in ["one", "reject", "two", "reject"] {
        line.send(0, value, value);
    }
    line.settle();
    let keys: Vec<String> = line.outputs().iter().map(|record| record.key().to_owned()).collect();
    assert_eq!(keys, ["one", "two"]);
    assert_eq!(line.dead().len(), 0);
    line.expect_metric("gregor_records_skipped_total", &[], 2.0);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="reject""#], 2.0);
}

#[test]
fn a_dead_letter_is_the_whole_record_and_says_where_it_comes_from_and_why() {
    let line = Line::start(2, "fails", "name = \"may-fail\"");
    line.send(1, "before", "good");
    // A record that was a dead letter before carries such headers already.
    let poison = Record::new("key", "reject")
        .partition(1)
        .timestamp(1_234_567_890_123)
        .header("kept", Some(b"as it is"))
        .header("gregor-error", Some(b"old"))
        .header("null", None)
        .header("gregor-offset", None)
        .header("kept", Some(b"twice"));
    let offset = line.send_record(poison);
    line.send_record(Record::keyless("reject").partition(0).timestamp(7));
    line.settle();

    let mut dead = line.dead();
    dead.sort_by_key(|letter| letter.header("gregor-partition").map(str::to_owned));
    let [first, second] = &dead[..] else { panic!("{} dead letters instead of two", dead.len()) };
    assert_eq!((first.key.as_deref(), first.text(), first.header("gregor-timestamp")), (None, "reject", Some("7")));
    assert_eq!((second.key(), second.text()), ("key", "reject"));
    let digest = Digest::of(&plugin("fails")).to_string();
    let told = [
        ("kept", Some("as it is")),
        ("null", None),
        ("kept", Some("twice")),
        ("gregor-topic", Some(&*line.topics.source)),
        ("gregor-partition", Some("1")),
        ("gregor-offset", Some(&*offset.to_string())),
        ("gregor-timestamp", Some("1234567890123")),
        ("gregor-pipeline", Some("line")),
        ("gregor-stage", Some("may-fail")),
        ("gregor-digest", Some(&*digest)),
        ("gregor-error", Some("reject")),
        ("gregor-reason", Some("the plugin rejected the record")),
        ("gregor-attempts", Some("1")),
    ]
    .map(|(name, value)| (name.to_owned(), value.map(|value| value.as_bytes().to_vec())));
    let (failed_at, rest): (Vec<_>, Vec<_>) =
        second.headers.iter().cloned().partition(|(name, _)| name == "gregor-failed-at");
    assert_eq!(rest, told);
    assert_eq!(failed_at.len(), 1);
    assert!(second.header("gregor-failed-at").is_some_and(|at| at.parse::<u64>().is_ok()));
    line.expect_metric("gregor_dead_letters_total", &[r#"reason="reject""#, r#"stage="may-fail""#], 2.0);
}

#[test]
fn hold_stops_one_partition_until_a_new_version_lands() {
    let line = Line::start(3, "traps", r#"on-failure = "hold""#);
    held_up(&line, "panic", "held", "trap");
    line.setup.put("traps", &plugin("echo"));
    all_came_in_order(&line);
    assert_eq!(line.view(1)["state"], "running");
}

#[test]
fn a_held_record_that_the_new_version_fails_on_too_stays_held() {
    let line = Line::start(3, "traps", r#"on-failure = "hold""#);
    held_up(&line, "panic", "held", "trap");
    line.setup.put("traps", &revised(&plugin("traps")));
    // Two tries with each version.
    line.expect_metric("gregor_plugin_traps_total", &[], 4.0);
    let view = line.view(1);
    assert_eq!((&view["state"], &view["committed"]), (&json!("held"), &json!(5)));
    assert_eq!(view["stages"][0]["digest"], Digest::of(&revised(&plugin("traps"))).to_string());
    line.setup.put("traps", &plugin("echo"));
    all_came_in_order(&line);
}

#[test]
fn a_held_record_outlives_a_killed_host() {
    let topics = Topics::new(3);
    let stage = stage("traps", r#"on-failure = "hold""#);
    // The least that brokers allow: the group waits that long for the killed member.
    let setup = Setup::new().kafka("session.timeout.ms", "6000").pipeline(topics.pipeline().stage(stage));
    let mut line = Line::run(topics, setup);
    held_up(&line, "panic", "held", "trap");
    line.host.kill9();
    line.host = line.setup.spawn_as("one", &[]);
    until("the record is held again", || line.view(1)["state"] == "held" && line.view(1)["position"] == 5);
    line.setup.put("traps", &plugin("echo"));
    all_came_in_order(&line);
}

#[test]
fn without_a_dead_letter_topic_a_failed_record_is_held() {
    let topics = Topics::new(3);
    let setup = Setup::new().pipeline(topics.without_dead_letters().stage(stage("fails", "")));
    let line = Line::run(topics, setup);
    held_up(&line, "reject", "held", "reject");
    line.setup.put("fails", &plugin("echo"));
    all_came_in_order(&line);
}

#[test]
fn a_retry_keeps_the_order_of_its_partition() {
    let retry = r#"retry = { attempts = 5, backoff = "20ms", max-backoff = "50ms" }"#;
    let line = Line::start(3, "fails", retry);
    // The guest counts attempts in its instance, which a move would replace.
    line.wait_until_spread();
    for partition in 0..3 {
        for value in ["one", "retry:3", "two", "retry:5", "three"] {
            line.send(partition, value, value);
        }
    }
    line.settle();
    for records in line.outputs_by_partition() {
        let keys: Vec<String> = records.iter().map(|record| record.key().to_owned()).collect();
        assert_eq!(keys, ["one", "retry:3", "two", "retry:5", "three"]);
    }
    assert_eq!(line.dead().len(), 0);
    line.expect_metric("gregor_retries_total", &[], 24.0);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="retry""#], 24.0);
}

#[test]
fn while_a_record_waits_to_be_retried_other_partitions_go_on_and_a_new_version_tries_it_at_once() {
    let retry = r#"retry = { attempts = 1000, backoff = "1h", max-backoff = "1h" }"#;
    let line = Line::start(3, "fails", retry);
    held_up(&line, "retry", "retrying", "retry");
    line.setup.put("fails", &plugin("echo"));
    all_came_in_order(&line);
}

#[test]
fn a_record_whose_retries_are_used_up_goes_by_the_policy() {
    let retry = r#"retry = { attempts = 3, backoff = "1ms", max-backoff = "5ms" }"#;
    let line = Line::start(1, "fails", retry);
    for value in ["one", "retry", "two"] {
        line.send(0, value, value);
    }
    line.settle();
    let keys: Vec<String> = line.outputs().iter().map(|record| record.key().to_owned()).collect();
    assert_eq!(keys, ["one", "two"]);
    let dead = line.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].header("gregor-error"), dead[0].header("gregor-attempts")), (Some("retry"), Some("4")));
    line.expect_metric("gregor_retries_total", &[], 3.0);
}

#[test]
fn no_retries_at_all_can_be_asked_for() {
    let line = Line::start(1, "fails", "retry = { attempts = 0 }");
    line.send(0, "key", "retry");
    line.settle();
    let dead = line.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].header("gregor-error"), dead[0].header("gregor-attempts")), (Some("retry"), Some("1")));
}

#[test]
fn a_partition_that_was_held_flows_again_when_it_comes_back() {
    let topics = Topics::new(2);
    let setup = Setup::new().workers(1).pipeline(topics.pipeline().stage(stage("traps", r#"on-failure = "hold""#)));
    let line = Line::run(topics, setup);
    for partition in 0..2 {
        line.send(partition, "key", "panic");
        until("the record is held", || line.view(partition)["state"] == "held");
    }
    let mut two = line.setup.start_as("two");
    until("each host has one partition", || line.host.owns(1) && two.owns(1));
    line.setup.put("traps", &plugin("echo"));
    let settled = || kafka().is_settled(&line.setup.app, &line.topics.source);
    until("both records are through", settled);
    assert_eq!(two.term(), Some(0));
    until("the first host has both again", || line.host.owns(2));
    for partition in 0..2 {
        line.send(partition, "key", "good");
    }
    line.settle();
    assert_eq!(line.outputs().len(), 4);
}
