mod circle;
mod polygon;

use gregor_sdk::testing::{PluginTester, Record};
use location::cases;
use serde_json::{Value, json};

use super::*;

/// Around (0, 0), some 111 km wide, in a square from (-1, -1) to (1, 1).
fn tester() -> PluginTester {
    PluginTester::of::<Geofence>().config("circle-ward", "0 0, 55000").config("polygon-site", "-1 -1, -1 1, 1 1, 1 -1")
}

fn at(patient: &str, lat: f64, lon: f64) -> Record {
    Record::json(patient, &json!({"patientId": patient, "lat": lat, "lon": lon})).expect("JSON").at(5)
}

/// What comes of a position, as `event fence`.
fn move_to(tester: &mut PluginTester, patient: &str, lat: f64, lon: f64) -> Vec<String> {
    let told = |output: Output| {
        let alarm: Value = serde_json::from_slice(&output.value.expect("a value")).expect("JSON");
        assert_eq!(alarm["patientId"], patient);
        format!("{} {}", alarm["event"].as_str().expect("text"), alarm["fence"].as_str().expect("text"))
    };
    tester.push(at(patient, lat, lon)).expect("outputs").into_iter().map(told).collect()
}

fn refusal(fences: &[(&str, &str)]) -> String {
    let tester = PluginTester::of::<Geofence>();
    fences.iter().fold(tester, |tester, (name, text)| tester.config(*name, *text)).init().expect_err("refused")
}

const NOTHING: [&str; 0] = [];

#[test]
fn entering_and_leaving_give_an_alarm_each() {
    let mut tester = tester();
    assert_eq!(move_to(&mut tester, "1", 5.0, 5.0), NOTHING, "outside at first");
    assert_eq!(move_to(&mut tester, "1", 0.9, 0.9), ["enter site"]);
    assert_eq!(move_to(&mut tester, "1", 0.8, 0.8), NOTHING);
    assert_eq!(move_to(&mut tester, "1", 0.1, 0.1), ["enter ward"]);
    assert_eq!(move_to(&mut tester, "1", 0.0, 0.9), ["leave ward"]);
    assert_eq!(move_to(&mut tester, "1", 9.0, 9.0), ["leave site"]);
    assert!(tester.cache().is_empty(), "nothing is kept of a patient outside");
}

#[test]
fn a_first_position_inside_enters_and_one_record_may_give_several_alarms() {
    let mut tester = tester();
    assert_eq!(move_to(&mut tester, "1", 0.0, 0.0), ["enter site", "enter ward"]);
    assert_eq!(move_to(&mut tester, "2", 0.0, 0.0), ["enter site", "enter ward"], "patients are apart");
    assert_eq!(move_to(&mut tester, "1", 9.0, 0.0), ["leave site", "leave ward"]);
}

#[test]
fn an_alarm_is_keyed_by_patient_and_has_position_time_and_headers() {
    let mut tester = tester();
    let value = r#"{"patientId": 7, "lat": 0.9, "lon": -0.5, "ts": 42}"#;
    let outputs = tester.push(Record::keyless(value).at(5).header("trace", None)).expect("outputs");
    let expected = r#"{"patientId":"7","fence":"site","event":"enter","lat":0.9,"lon":-0.5,"ts":42}"#;
    let expected = Output::new(b"7".to_vec(), expected.as_bytes().to_vec())
        .with_headers(vec![Header { name: "trace".into(), value: None }]);
    assert_eq!(outputs, [expected]);
    let of_record: Value =
        serde_json::from_slice(tester.push(at("8", 0.9, 0.0)).expect("outputs")[0].value.as_deref().expect("a value"))
            .expect("JSON");
    assert_eq!(of_record["ts"], 5, "the record's, where the value has none");
}

#[test]
fn a_fence_that_is_in_the_config_no_more_is_left_without_an_alarm() {
    let mut tester = tester();
    tester.with_state(|| INSIDE.of("1").set(&["gone", "site"].map(String::from).into())).expect("room");
    assert_eq!(move_to(&mut tester, "1", 0.9, 0.9), NOTHING);
    assert_eq!(move_to(&mut tester, "1", 9.0, 9.0), ["leave site"]);
}

#[test]
fn a_tombstone_forgets_the_patient_and_is_passed_on() {
    let mut tester = tester();
    move_to(&mut tester, "1", 0.0, 0.0);
    assert_eq!(tester.push(Record::tombstone("1").at(2)), Ok(vec![Output::new(b"1".to_vec(), None).with_timestamp(2)]));
    assert!(tester.cache().is_empty());
    assert_eq!(move_to(&mut tester, "1", 0.0, 0.0), ["enter site", "enter ward"]);
}

#[test]
fn bad_input_is_rejected() {
    let mut tester = tester();
    for (value, rule) in cases::refused() {
        assert_eq!(tester.push(Record::new("1", value)), Err(reject(rule.to_string())));
    }
    for record in
        [Record::empty(), Record::tombstone(""), Record::tombstone(b"\xff"), Record::tombstone("7".repeat(513))]
    {
        assert_eq!(tester.push(record), Err(reject(location::Invalid::TombstoneKey.to_string())));
    }
    assert!(tester.cache().is_empty());
}

#[test]
fn a_patient_id_longer_than_a_cache_key_is_rejected_once_there_is_something_to_keep() {
    let mut tester = tester();
    assert_eq!(move_to(&mut tester, &"7".repeat(505), 0.9, 0.9), ["enter site"]);
    assert_eq!(move_to(&mut tester, &"7".repeat(506), 9.0, 9.0), NOTHING);
    assert!(tester.push(at(&"7".repeat(506), 0.9, 0.9)).is_err());
}

#[test]
fn large_extra_fields_and_any_text_are_fine() {
    let mut tester = PluginTester::of::<Geofence>().config("circle-é \"", "1 2, 10");
    let outputs = tester.push(Record::new("1", cases::with_large_extra_fields())).expect("outputs");
    let alarm: Value = serde_json::from_slice(outputs[0].value.as_deref().expect("a value")).expect("JSON");
    assert_eq!(alarm["fence"], "é \"");
}

#[test]
fn a_config_without_a_fence_or_with_one_that_cannot_be_is_refused_at_start() {
    assert!(refusal(&[]).contains("no fence in its config: add config = { circle-ward"));
    assert_eq!(refusal(&[("ward", "0 0, 1")]), "`ward` in the config: a fence is named `circle-…` or `polygon-…`");
    assert!(refusal(&[("circle-", "0 0, 1")]).contains("no name"));
    assert!(refusal(&[("circle-a", "0 0, 1"), ("polygon-a", "0 0, 0 1, 1 0")]).contains("another fence is named `a`"));
    assert!(refusal(&[("circle-a", "0 0")]).starts_with("`circle-a` in the config: a circle is its centre"));
    assert!(refusal(&[("polygon-a", "0 0, 1 1")]).starts_with("`polygon-a` in the config: a polygon has 3"));
}
