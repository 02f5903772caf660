use std::collections::BTreeMap;

use gregor_sdk::reject;
use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    config.iter().fold(PluginTester::of::<Dedupe>(), |tester, (name, value)| tester.config(*name, *value))
}

/// The values that came out.
fn values(outputs: Result<Vec<Output>, Failure>) -> Vec<String> {
    let text = |output: Output| String::from_utf8(output.value.expect("a value")).expect("text");
    outputs.expect("outputs").into_iter().map(text).collect()
}

fn push(tester: &mut PluginTester, value: &str, at: u64) -> Vec<String> {
    values(tester.push(Record::new("k", value).at(at)))
}

#[test]
fn a_value_passes_once_within_the_time() {
    let mut tester = tester(&[("within", "10s")]);
    assert_eq!(push(&mut tester, "a", 0), ["a"]);
    assert!(push(&mut tester, "a", 0).is_empty());
    assert_eq!(push(&mut tester, "b", 0), ["b"]);
    tester.advance_clock(Duration::from_secs(10)).expect("no output");
    assert!(tester.cache().is_empty(), "what is over is forgotten");
    assert_eq!(push(&mut tester, "a", 0), ["a"]);
    assert_eq!(tester.count("repeated_records"), 1);
}

#[test]
fn a_passed_record_is_as_it_came() {
    let record = Record::new("k", b"\xff".to_vec()).at(7).header("trace", None);
    let expected = Output::new(b"k".to_vec(), b"\xff".to_vec()).with_timestamp(7);
    let expected = expected.with_headers(vec![gregor_sdk::Header { name: "trace".into(), value: None }]);
    for keep in ["first", "last"] {
        let mut tester = tester(&[("keep", keep), ("within", "1s")]);
        let mut outputs = tester.push(record.clone()).expect("outputs");
        outputs.extend(tester.advance_clock(Duration::from_secs(1)).expect("outputs"));
        assert_eq!(outputs, std::slice::from_ref(&expected), "{keep}");
    }
}

#[test]
fn event_time_goes_by_the_records_timestamps() {
    let mut tester = tester(&[("within", "10s"), ("time", "event")]).max_out_of_orderness(Duration::from_secs(60));
    assert_eq!(push(&mut tester, "a", 50_000), ["a"]);
    tester.advance_clock(Duration::from_secs(3_600)).expect("no output");
    assert!(push(&mut tester, "a", 59_999).is_empty());
    assert!(push(&mut tester, "a", 40_001).is_empty(), "out of order, less than ten seconds before");
    assert_eq!(push(&mut tester, "a", 40_000), ["a"]);
    assert_eq!(push(&mut tester, "a", 60_000), ["a"]);
    tester.advance_watermark(70_000).expect("no output");
    assert!(tester.cache().is_empty());
}

#[test]
fn the_last_one_passes_when_the_time_is_over() {
    let mut tester = tester(&[("within", "10s"), ("keep", "last"), ("by", "/id")]);
    for (value, at) in [(r#"{"id":1,"n":1}"#, 9), (r#"{"id":1,"n":2}"#, 8), (r#"{"id":2,"n":3}"#, 7)] {
        assert!(push(&mut tester, value, at).is_empty());
    }
    let told = values(tester.advance_clock(Duration::from_secs(10)));
    assert_eq!(told, [r#"{"id":1,"n":2}"#, r#"{"id":2,"n":3}"#]);
    assert!(tester.cache().is_empty() && tester.timers(Domain::ProcessingTime).is_empty());
}

#[test]
fn the_last_one_by_event_time_has_the_latest_timestamp() {
    let mut tester = tester(&[("within", "10s"), ("keep", "last"), ("by", "key"), ("time", "event")])
        .max_out_of_orderness(Duration::from_secs(60));
    for (value, at) in [("a", 50_000), ("c", 55_000), ("b", 54_000)] {
        assert!(push(&mut tester, value, at).is_empty());
    }
    assert_eq!(push(&mut tester, "older", 40_000), ["older"], "of a time before");
    assert_eq!(push(&mut tester, "next", 60_000), ["c"], "the next time has begun");
    assert_eq!(values(tester.advance_watermark(70_000)), ["next"]);
    assert!(tester.cache().is_empty());
}

#[test]
fn a_record_without_the_part_is_rejected_or_passed() {
    let missing = Err(reject("`header:id` is missing or null"));
    assert_eq!(tester(&[("by", "header:id")]).push(Record::new("k", "v")), missing);
    let mut tester = tester(&[("by", "header:id"), ("missing", "pass")]);
    for _ in 0..2 {
        assert_eq!(push(&mut tester, "v", 0), ["v"]);
    }
    assert_eq!(values(tester.push(Record::new("k", "v").header("id", Some(b"1")))), ["v"]);
    assert!(values(tester.push(Record::new("k", "w").header("id", Some(b"1")))).is_empty());
}

#[test]
fn a_restart_forgets_nothing() {
    let mut tester = tester(&[]);
    assert_eq!(push(&mut tester, "a", 0), ["a"]);
    tester.restart();
    assert!(push(&mut tester, "a", 0).is_empty());
}

#[test]
fn bad_input_is_rejected_and_changes_nothing() {
    let mut tester = tester(&[("by", "/id")]);
    for (record, told) in [
        (Record::new("k", "nonsense"), "the value is not JSON: see byte 0"),
        (Record::new("k", b"\xff".to_vec()), "the value is not UTF-8: see byte 0"),
        (Record::new("k", r#"{"id":1,"id":2}"#), "an object has a member twice: see byte 8"),
        (Record::new("k", "{}"), "`/id` is missing or null"),
        (Record::tombstone("k"), "`/id` is missing or null"),
        (Record::empty(), "`/id` is missing or null"),
    ] {
        assert_eq!(tester.push(record), Err(reject(told)));
    }
    assert!(tester.cache().is_empty());
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (name, value, told) in [
        ("by", "id", "`by` in the config: `id` is no part of a record"),
        ("within", "0s", "longer than nothing"),
        ("within", "1 day", "whole number with ms, s, m or h"),
        ("time", "wall", "one of `processing`, `event`"),
        ("keep", "both", "one of `first`, `last`"),
        ("missing", "drop", "one of `reject`, `pass`"),
        ("window", "1s", "unknown"),
    ] {
        let refused = tester(&[(name, value)]).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    /// In order, each value passes when its last pass was `within` ago.
    #[test]
    fn what_passes_equals_an_oracle(steps in prop::collection::vec((0..5_u8, 0..2_000_u64), 1..200), event: bool) {
        let time = if event { "event" } else { "processing" };
        let mut tester = tester(&[("within", "3s"), ("time", time)]);
        let (mut now, mut passed) = (0, BTreeMap::new());
        for (value, pause) in steps {
            now += pause;
            tester.set_clock(now).expect("no output");
            let told = push(&mut tester, &value.to_string(), now);
            let expected = passed.get(&value).is_none_or(|at| now - at >= 3_000);
            if expected {
                passed.insert(value, now);
            }
            prop_assert_eq!(!told.is_empty(), expected);
        }
    }

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), at: u64) {
        for by in ["value", "key, /a"] {
            for keep in ["first", "last"] {
                let outcome = tester(&[("by", by), ("keep", keep)]).push(Record::new(bytes.clone(), bytes.clone()).at(at));
                prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
            }
        }
    }
}
