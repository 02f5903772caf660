use gregor_sdk::testing::{PluginTester, Record};
use location::cases;
use serde_json::{Value, json};

use super::*;

fn tester() -> PluginTester {
    PluginTester::of::<StalePatient>().config("after", "10s")
}

fn of(patient: &str, timestamp: u64) -> Record {
    Record::json(patient, &json!({"patientId": patient, "lat": 1, "lon": 2})).expect("JSON").at(timestamp)
}

fn wait(tester: &mut PluginTester, seconds: u64) -> Vec<Value> {
    values(tester.advance_clock(Duration::from_secs(seconds)))
}

fn values(outputs: Result<Vec<Output>, Failure>) -> Vec<Value> {
    let read = |output: Output| {
        let value: Value = serde_json::from_slice(&output.value.expect("a value")).expect("JSON");
        assert_eq!(value["patientId"].as_str().map(str::as_bytes), output.key.as_deref(), "keyed by patient");
        value
    };
    outputs.expect("outputs").into_iter().map(read).collect()
}

#[test]
fn a_silence_gives_one_alarm() {
    let mut tester = tester();
    assert_eq!(tester.push(of("123", 77)), Ok(vec![]));
    assert!(wait(&mut tester, 9).is_empty());
    let alarm = json!({"patientId": "123", "status": "stale", "lastSeen": 77, "silentMs": 10_000});
    assert_eq!(wait(&mut tester, 1), [alarm]);
    assert!(wait(&mut tester, 1_000).is_empty());
    assert!(tester.timers(Domain::ProcessingTime).is_empty());
}

#[test]
fn each_position_begins_the_wait_anew() {
    let mut tester = tester();
    for _ in 0..5 {
        assert_eq!(tester.push(of("123", 1)), Ok(vec![]));
        assert!(wait(&mut tester, 9).is_empty());
    }
    assert_eq!(wait(&mut tester, 1)[0]["silentMs"], 10_000);
}

#[test]
fn the_second_silence_gives_an_alarm_again() {
    let mut tester = tester();
    for _ in 0..2 {
        assert_eq!(tester.push(of("123", 1)), Ok(vec![]), "`back` is off");
        assert_eq!(wait(&mut tester, 10)[0]["status"], "stale");
    }
}

#[test]
fn a_patient_who_is_back_is_told_where_asked() {
    let mut tester = tester().config("back", "true");
    assert_eq!(tester.push(of("123", 5)), Ok(vec![]), "new, not back");
    wait(&mut tester, 10);
    wait(&mut tester, 20);
    let back = json!({"patientId": "123", "status": "back", "lastSeen": 5, "silentMs": 30_000});
    assert_eq!(values(tester.push(of("123", 6))), [back]);
    assert_eq!(tester.push(of("123", 7)), Ok(vec![]));
}

#[test]
fn patients_are_apart() {
    let mut tester = tester();
    tester.push(of("1", 1)).expect("no outputs");
    wait(&mut tester, 5);
    tester.push(of("2", 1)).expect("no outputs");
    assert_eq!(wait(&mut tester, 5)[0]["patientId"], "1");
    assert_eq!(wait(&mut tester, 5)[0]["patientId"], "2");
}

#[test]
fn the_latest_timestamp_is_told_though_an_earlier_one_came_after_it() {
    let mut tester = tester();
    for timestamp in [5, 9, 7] {
        tester.push(of("1", timestamp)).expect("no outputs");
    }
    assert_eq!(wait(&mut tester, 10)[0]["lastSeen"], 9);
}

#[test]
fn a_tombstone_forgets_the_patient_and_is_passed_on() {
    let mut tester = tester();
    tester.push(of("1", 1)).expect("no outputs");
    assert_eq!(tester.push(Record::tombstone("1").at(2)), Ok(vec![Output::new(b"1".to_vec(), None).with_timestamp(2)]));
    assert!(tester.cache().is_empty() && tester.timers(Domain::ProcessingTime).is_empty());
    assert!(wait(&mut tester, 100).is_empty());
}

#[test]
fn a_patient_whose_timer_failed_for_good_has_one_again_with_the_next_position() {
    let mut tester = tester();
    tester.push(of("1", 1)).expect("no outputs");
    tester.with_state(|| timers::cancel(Domain::ProcessingTime, "1"));
    assert!(wait(&mut tester, 10).is_empty());
    tester.push(of("1", 2)).expect("no outputs");
    assert_eq!(wait(&mut tester, 10)[0]["lastSeen"], 2);
}

#[test]
fn bad_input_is_rejected_and_starts_no_wait() {
    let mut tester = tester();
    for (value, rule) in cases::refused() {
        assert_eq!(tester.push(Record::new("1", value)), Err(reject(rule.to_string())));
    }
    for record in
        [Record::empty(), Record::tombstone(""), Record::tombstone(b"\xff"), Record::tombstone("7".repeat(513))]
    {
        assert_eq!(tester.push(record), Err(reject(location::Invalid::TombstoneKey.to_string())));
    }
    let expected = Err(reject("`patientId` must be at most 256 bytes long here"));
    assert_eq!(tester.push(of(&"7".repeat(257), 1)), expected);
    assert!(tester.cache().is_empty() && tester.timers(Domain::ProcessingTime).is_empty());
}

#[test]
fn null_keys_large_extra_fields_and_any_text_are_fine() {
    let mut tester = tester();
    tester.push(Record::keyless(r#"{"patientId":"\u00e9 \"","lat":1,"lon":2}"#)).expect("no outputs");
    tester.push(Record::keyless(cases::with_large_extra_fields())).expect("no outputs");
    tester.push(of(&"7".repeat(256), 1)).expect("no outputs");
    assert_eq!(wait(&mut tester, 10).len(), 3);
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (name, value, told) in [
        ("after", "ten minutes", "`after` in the config must be a whole number"),
        ("after", "0s", "longer than nothing"),
        ("back", "1", "true or false"),
        ("silence", "5m", "`silence` in the config is unknown"),
    ] {
        let refused = PluginTester::of::<StalePatient>().config(name, value).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
    assert_eq!(PluginTester::of::<StalePatient>().init(), Ok(()));
}
