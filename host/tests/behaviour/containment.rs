//! What a plugin may do to itself, and to nothing else.

use serde_json::Value;

use crate::support::extra::Line;

/// Good records on three partitions, and each of `poisons` amid those of one of
/// them: its value, the kind of failure it comes to, and how often it is tried.
/// All good records come out in order, each poison becomes a dead letter, and
/// the host lives.
fn contain(plugin: &str, stage: &str, poisons: &[(&str, &str, u32)]) -> Line {
    let line = Line::start(3, plugin, stage);
    let mut good = vec![Vec::new(); 3];
    let mut poisoned = Vec::new();
    for round in 0..=poisons.len() {
        for partition in 0..3 {
            for nth in 0..5 {
                let key = format!("good-{partition}-{round}-{nth}");
                line.send(partition, &key, "good");
                good[partition as usize].push(key);
            }
        }
        if let Some((poison, kind, attempts)) = poisons.get(round) {
            let offset = line.send(1, "poison", poison);
            poisoned.push((offset.to_string(), (*kind).to_owned(), attempts.to_string(), (*poison).to_owned()));
        }
    }
    line.settle();
    let came = line.outputs_by_partition();
    let keys: Vec<Vec<String>> =
        came.iter().map(|records| records.iter().map(|record| record.key().to_owned()).collect()).collect();
    assert_eq!(keys, good, "every good record once, in order");
    let dead: Vec<_> = line
        .dead()
        .iter()
        .map(|letter| {
            let header = |name| letter.header(name).unwrap_or_default().to_owned();
            assert_eq!(header("gregor-partition"), "1");
            (header("gregor-offset"), header("gregor-error"), header("gregor-attempts"), letter.text().to_owned())
        })
        .collect();
    assert_eq!(dead, poisoned);
    assert!(line.host.answers("/healthz"));
    line
}

/// As [`contain`], for what ends the instance: both tries of each poison count
/// as traps.
fn contain_trap(plugin: &str, stage: &str, poison: &str, kind: &str) {
    let line = contain(plugin, stage, &[(poison, kind, 2), (poison, kind, 2)]);
    line.expect_metric("gregor_plugin_traps_total", &[&format!("reason={kind:?}")], 4.0);
    line.expect_metric("gregor_plugin_traps_total", &[], 4.0);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="ok""#], 45.0);
    line.expect_metric("gregor_dead_letters_total", &[&format!("reason={kind:?}")], 2.0);
}

#[test]
fn a_call_without_end_is_ended_at_its_timeout() {
    contain_trap("loops", r#"timeout = "200ms""#, "loop", "timeout");
}

#[test]
fn a_panic_costs_its_record_only() {
    contain_trap("traps", "", "panic", "trap");
}

#[test]
fn a_trap_costs_its_record_only() {
    contain_trap("traps", "", "unreachable", "trap");
}

#[test]
fn memory_without_end_is_ended_at_its_limit() {
    contain_trap("eats-memory", r#"memory = "8MiB""#, "eat", "memory-limit");
}

#[test]
fn recursion_without_end_is_ended_at_the_guests_stack() {
    contain_trap("recurses", "", "recurse", "stack-overflow");
}

#[test]
fn tables_without_end_are_ended_at_their_limit() {
    contain_trap("tables", "", "!", "table-limit");
}

#[test]
fn handles_without_end_are_ended_at_their_limit() {
    contain_trap("hoards", "", "!", "handle-limit");
}

#[test]
fn a_host_call_that_asks_for_too_much_costs_its_record_only() {
    contain_trap("gambles", "", "!", "host-call-limit");
}

#[test]
fn a_quota_that_a_plugin_is_told_of_is_counted_and_named_with_the_failure() {
    let line = Line::start(1, "script", "state = { max-bytes = \"1KiB\" }");
    let large = format!("set k {}", "x".repeat(1_100));
    for _ in 0..3 {
        assert_eq!(line.ask(0, &large), "error value-too-large 1024");
    }
    line.send(0, "key", &format!("{large}\nreject"));
    line.settle();
    let dead = line.dead();
    let reason = "the plugin rejected the record; in that call its cache met state.max-value = 1024";
    assert_eq!(dead[0].header("gregor-reason"), Some(reason));
    line.expect_metric("gregor_plugin_refusals_total", &[r#"limit="state.max-value""#], 4.0);
    assert_eq!(line.host.log().matches("the plugin meets a limit").count(), 1);
}

#[test]
fn outputs_past_their_limits_cost_their_record_only() {
    let poisons = [
        ("outputs:2000", "output-count-limit", 2),
        ("bytes:9000000", "output-bytes-limit", 2),
        ("bytes:20000000", "host-call-limit", 2),
        // More than the sink takes, less than the stage's limit.
        ("bytes:2000000", "output-too-large", 1),
    ];
    let line = contain("outputs", "", &poisons);
    line.expect_metric("gregor_plugin_traps_total", &[], 6.0);
    line.expect_metric("gregor_plugin_traps_total", &[r#"reason="output-count-limit""#], 2.0);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="output-too-large""#], 1.0);
    let reasons: Vec<_> = line.dead().iter().map(|letter| letter.header("gregor-reason").map(str::to_owned)).collect();
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(
        reasons[..3],
        [
            told("1001 outputs for one record, the limit is 1000"),
            told("9000006 bytes of outputs for one record, the limit is 8388608"),
            told("the call passed more than 10741760 bytes to the host at once"),
        ]
    );
    assert!(line.host.log().contains("1001 outputs for one record, the limit is 1000"));
}

#[test]
fn outputs_that_kafka_cannot_take_cost_their_record_only() {
    let poisons = [
        ("header-nul", "invalid-output", 1),
        ("timestamp-max", "invalid-output", 1),
        ("partition:999", "invalid-output", 1),
        ("topic:not-granted", "topic-not-granted", 1),
        ("topic:", "topic-not-granted", 1),
    ];
    let line = contain("outputs", "", &poisons);
    line.expect_metric("gregor_plugin_traps_total", &[], 0.0);
}

#[test]
fn as_many_outputs_as_a_stage_allows_come_out_in_order() {
    let line = Line::start(1, "outputs", "outputs = 300");
    line.send(0, "key", "outputs:300");
    line.settle();
    let came: Vec<String> = line.outputs().iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(came, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(line.dead().len(), 0);
}

#[test]
fn skipped_poison_leaves_its_partition_running() {
    let line = Line::start(2, "traps", r#"on-failure = "skip""#);
    for partition in 0..2 {
        for value in ["one", "panic", "two", "unreachable", "panic", "three"] {
            line.send(partition, "key", value);
        }
    }
    line.settle();
    for records in line.outputs_by_partition() {
        let values: Vec<String> = records.iter().map(|record| record.text().to_owned()).collect();
        assert_eq!(values, ["one", "two", "three"]);
    }
    assert_eq!(line.dead().len(), 0);
    line.expect_metric("gregor_records_skipped_total", &[], 6.0);
    line.expect_metric("gregor_plugin_traps_total", &[r#"reason="trap""#], 12.0);
    line.expect_metric("gregor_records_consumed_total", &[], 12.0);
}

#[test]
fn a_guest_that_sleeps_sleeps_in_virtual_time() {
    let line = Line::start(1, "sleeps", "");
    for nth in 0..20 {
        // 20 of a day each: done only if none of them is waited for.
        line.send(0, &nth.to_string(), "sleep:86400");
    }
    line.settle();
    assert_eq!(line.outputs().len(), 20);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="ok""#], 20.0);
}

#[test]
fn a_flood_of_log_lines_is_cut_and_the_record_passes() {
    let line = Line::start(1, "logs", "log = \"info\"\nlog-lines = 5\ntimeout = \"20s\"");
    let floods = ["log:30000", "print:30000", "eprint:30000"];
    for flood in floods {
        assert_eq!(line.ask(0, flood), flood);
    }
    line.settle();
    let log = line.host.log();
    let kept = log.lines().filter(|text| text.contains("gregor::guest") && text.contains("\"line ")).count();
    assert!((5..=15).contains(&kept), "{kept} lines of 90,000 are in the log");
    assert!(line.host.answers("/healthz"));
}

#[test]
fn an_instance_lives_from_record_to_record_and_dies_with_its_trap() {
    // A record that does not fit into the guest's memory ends the instance.
    let line = Line::start(2, "remembers", r#"memory = "1536KiB""#);
    line.wait_until_spread();
    assert_eq!(line.ask(0, "a"), "none");
    assert_eq!(line.ask(0, "b"), "a");
    assert_eq!(line.ask(1, "c"), "none", "another task has an instance of its own");
    line.send(0, "key", &"x".repeat(900_000));
    assert_eq!(line.ask(0, "d"), "none", "the instance after a trap is a fresh one");
    assert_eq!(line.ask(0, "e"), "d");
    assert_eq!(line.ask(1, "f"), "c", "the other task kept its instance");
    line.settle();
    let dead = line.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("gregor-error"), Some("memory-limit"));
    assert_eq!(dead[0].value.as_ref().map(Vec::len), Some(900_000));
}

#[test]
fn an_instance_for_each_record_remembers_nothing() {
    let line = Line::start(1, "remembers", r#"isolation = "record""#);
    for value in ["a", "b", "c"] {
        assert_eq!(line.ask(0, value), "none");
    }
}

#[test]
fn a_guest_that_pries_finds_no_files_no_environment_and_no_network() {
    let line = Line::start(1, "pries", "");
    let seen: Value = serde_json::from_str(&line.ask(0, "look")).expect("pries tells JSON");
    let nothing = serde_json::json!({"read_file": false, "read_dir": false, "env": 0, "args": 0, "connect": false});
    assert_eq!(seen, nothing);
}
