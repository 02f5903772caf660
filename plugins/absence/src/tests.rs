use gregor_sdk::reject;
use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    let tester = PluginTester::of::<Absence>().config("after", "10s");
    config.iter().fold(tester, |tester, (name, value)| tester.config(*name, *value))
}

fn told(outputs: Result<Vec<Output>, Failure>) -> Vec<String> {
    let text = |output: Output| String::from_utf8(output.value.expect("a value")).expect("text");
    outputs.expect("outputs").into_iter().map(text).collect()
}

fn push(tester: &mut PluginTester, key: &str, value: &str, at: u64) -> Vec<String> {
    told(tester.push(Record::new(key, value).at(at)))
}

fn wait(tester: &mut PluginTester, seconds: u64) -> Vec<String> {
    told(tester.advance_clock(Duration::from_secs(seconds)))
}

fn absent(last_seen: u64, silent_ms: u64, alarms: u64) -> String {
    format!(r#"{{"status":"absent","lastSeen":{last_seen},"silentMs":{silent_ms},"alarms":{alarms}}}"#)
}

#[test]
fn a_silence_gives_one_alarm() {
    let mut tester = tester(&[]);
    assert!(push(&mut tester, "7", "no JSON is needed", 77).is_empty());
    assert!(wait(&mut tester, 9).is_empty());
    let outputs = tester.advance_clock(Duration::from_secs(1)).expect("outputs");
    assert_eq!(outputs[0].key.as_deref(), Some(&b"7"[..]));
    assert_eq!(told(Ok(outputs)), [absent(77, 10_000, 1)]);
    assert!(wait(&mut tester, 1_000).is_empty());
    assert!(tester.timers(Domain::ProcessingTime).is_empty());
}

#[test]
fn each_record_begins_the_wait_anew() {
    let mut tester = tester(&[]);
    for _ in 0..5 {
        assert!(push(&mut tester, "7", "", 1).is_empty());
        assert!(wait(&mut tester, 9).is_empty());
    }
    assert_eq!(wait(&mut tester, 1), [absent(1, 10_000, 1)]);
}

#[test]
fn an_alarm_is_repeated_as_often_as_asked() {
    let mut tester = tester(&[("repeat", "5s"), ("alarms", "3")]);
    push(&mut tester, "7", "", 1);
    assert_eq!(wait(&mut tester, 10), [absent(1, 10_000, 1)]);
    assert_eq!(wait(&mut tester, 5), [absent(1, 15_000, 2)]);
    assert_eq!(wait(&mut tester, 5), [absent(1, 20_000, 3)]);
    assert!(wait(&mut tester, 100).is_empty());
    push(&mut tester, "7", "", 2);
    assert_eq!(wait(&mut tester, 10), [absent(2, 10_000, 1)], "the next silence counts anew");
}

#[test]
fn recovery_is_told_where_asked() {
    let mut tester = tester(&[("recovery", "true")]);
    assert!(push(&mut tester, "7", "", 5).is_empty(), "new, not back");
    wait(&mut tester, 30);
    let back = r#"{"status":"back","lastSeen":5,"silentMs":30000,"alarms":1}"#;
    assert_eq!(push(&mut tester, "7", "", 6), [back]);
    assert!(push(&mut tester, "7", "", 7).is_empty());
}

#[test]
fn only_records_that_meet_the_condition_are_a_sign_of_life() {
    let mut tester = tester(&[("when", r#"/kind == "beat""#)]);
    assert!(push(&mut tester, "7", r#"{"kind":"beat"}"#, 1).is_empty());
    assert!(wait(&mut tester, 9).is_empty());
    assert!(push(&mut tester, "7", r#"{"kind":"other"}"#, 2).is_empty());
    assert_eq!(wait(&mut tester, 1), [absent(1, 10_000, 1)]);
    assert!(push(&mut tester, "8", r#"{"kind":"other"}"#, 2).is_empty());
    assert!(wait(&mut tester, 100).is_empty(), "never seen");
}

#[test]
fn by_event_time_the_records_timestamps_count() {
    let mut tester = tester(&[("time", "event")]).max_out_of_orderness(Duration::from_secs(5));
    for (key, at) in [("7", 0), ("7", 4_000), ("7", 2_000), ("8", 18_000)] {
        assert!(push(&mut tester, key, "", at).is_empty());
    }
    assert!(wait(&mut tester, 1_000).is_empty());
    assert_eq!(push(&mut tester, "8", "", 19_000), [absent(4_000, 10_000, 1)]);
}

#[test]
fn what_is_absent_is_named_where_it_is_not_the_key() {
    let mut tester = tester(&[("by", "/device, key")]);
    push(&mut tester, "7", r#"{"device":"p1"}"#, 1);
    let alarm = r#"{"of":{"/device":"p1","key":"7"},"status":"absent","lastSeen":1,"silentMs":10000,"alarms":1}"#;
    assert_eq!(wait(&mut tester, 10), [alarm]);
}

#[test]
fn a_tombstone_forgets_its_key_and_is_passed_on() {
    let mut tester = tester(&[]);
    push(&mut tester, "7", "", 1);
    assert_eq!(tester.push(Record::tombstone("7").at(2)), Ok(vec![Output::new(b"7".to_vec(), None).with_timestamp(2)]));
    assert!(tester.cache().is_empty() && tester.timers(Domain::ProcessingTime).is_empty());
    assert!(wait(&mut tester, 100).is_empty());
}

#[test]
fn a_timer_that_failed_for_good_is_set_again() {
    let mut tester = tester(&[]);
    push(&mut tester, "7", "", 1);
    tester.with_state(|| timers::cancel(Domain::ProcessingTime, "presence/7"));
    assert!(wait(&mut tester, 10).is_empty());
    push(&mut tester, "7", "", 2);
    assert_eq!(wait(&mut tester, 10), [absent(2, 10_000, 1)]);
}

#[test]
fn keys_that_are_no_text_come_back_as_they_were() {
    let mut tester = tester(&[]);
    tester.push(Record::new(b"\xff\x00".to_vec(), "")).expect("no output");
    let outputs = tester.advance_clock(Duration::from_secs(10)).expect("outputs");
    assert_eq!(outputs[0].key.as_deref(), Some(&b"\xff\x00"[..]));
}

#[test]
fn bad_input_is_rejected_and_starts_no_wait() {
    let mut tester = tester(&[("by", "/id"), ("when", "/id")]);
    for (record, told) in [
        (Record::new("k", "nonsense"), "the value is not JSON: see byte 0"),
        (Record::new("k", "{}"), "`/id` is missing or null"),
        (Record::tombstone("k"), "a tombstone has no JSON value"),
    ] {
        assert_eq!(tester.push(record), Err(reject(told)));
    }
    assert_eq!(PluginTester::of::<Absence>().push(Record::keyless("v")), Err(reject("`key` is missing or null")));
    assert!(tester.cache().is_empty() && tester.timers(Domain::ProcessingTime).is_empty());
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, told) in [
        (&[("after", "0s")][..], "longer than nothing"),
        (&[("repeat", "often")], "whole number with ms, s, m or h"),
        (&[("alarms", "2")], "needs `repeat`"),
        (&[("alarms", "0"), ("repeat", "1s")], "1 or more"),
        (&[("when", "kind == 1")], "`when` in the config: `kind` is no JSON pointer"),
        (&[("recovery", "yes")], "true or false"),
        (&[("by", "id")], "`by` in the config"),
        (&[("silence", "1s")], "unknown"),
    ] {
        let refused = tester(config).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
    assert_eq!(PluginTester::of::<Absence>().init(), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), at: u64) {
        for config in [&[("by", "/a"), ("when", "/b > 1")][..], &[("time", "event")]] {
            let mut tester = tester(config);
            let outcome = tester.push(Record::new(bytes.clone(), bytes.clone()).at(at));
            prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
        }
    }
}
