use std::collections::BTreeMap;

use gregor_sdk::Header;
use gregor_sdk::testing::{PluginTester, Record};
use location::cases;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MINUTE: u64 = 60_000;

fn tester() -> PluginTester {
    PluginTester::of::<AverageLocation>()
}

fn at(patient: &str, lat: f64, lon: f64, timestamp: u64) -> Record {
    let value = json!({"patientId": patient, "lat": lat, "lon": lon});
    Record::json(patient, &value).expect("JSON").at(timestamp)
}

/// The values of `outputs`, all of which are averages.
fn values(outputs: Result<Vec<Output>, Failure>) -> Vec<Value> {
    let read = |output: Output| serde_json::from_slice(&output.value.expect("a value")).expect("JSON");
    outputs.expect("outputs").into_iter().map(read).collect()
}

fn refusal(name: &str, value: &str) -> String {
    tester().config(name, value).init().expect_err("refused")
}

#[test]
fn the_mean_of_each_patients_five_minutes_comes_when_they_are_over() {
    let mut tester = tester();
    for record in [at("123", 38.0, -9.0, 0), at("9", 1.5, 2.0, 1), at("123", 39.0, -10.0, 5 * MINUTE - 1)] {
        assert_eq!(tester.push(record), Ok(vec![]));
    }
    let outputs = tester.push(at("123", 50.0, 0.0, 5 * MINUTE)).expect("outputs");
    let told: Vec<_> = outputs
        .iter()
        .map(|output| (output.key.as_deref(), output.value.as_deref().map(String::from_utf8_lossy)))
        .collect();
    let of_123 = r#"{"patientId":"123","windowStart":0,"windowEnd":300000,"count":2,"meanLat":38.5,"meanLon":-9.5}"#;
    let of_9 = r#"{"patientId":"9","windowStart":0,"windowEnd":300000,"count":1,"meanLat":1.5,"meanLon":2.0}"#;
    assert_eq!(told, [(Some(&b"123"[..]), Some(of_123.into())), (Some(b"9"), Some(of_9.into()))]);
    assert!(outputs.iter().all(|output| output.timestamp == Some(299_999) && output.topic.is_none()));
}

#[test]
fn the_records_timestamp_counts_and_not_the_values() {
    let mut tester = tester();
    let value = r#"{"patientId":"1","lat":1,"lon":2,"ts":999999999}"#;
    tester.push(Record::new("1", value).at(7)).expect("counted");
    assert_eq!(values(tester.advance_watermark(5 * MINUTE)).len(), 1);
}

#[test]
fn window_and_lateness_are_configured() {
    let mut tester = tester().config("window", "10s").config("allowed-lateness", "5s");
    tester.push(at("1", 1.0, 2.0, 3_000)).expect("counted");
    assert_eq!(values(tester.push(at("1", 3.0, 4.0, 10_000)))[0]["windowEnd"], 10_000);
    let again = values(tester.push(at("1", 3.0, 4.0, 4_000)));
    assert_eq!(
        again,
        [json!({"patientId": "1", "windowStart": 0, "windowEnd": 10_000,
        "count": 2, "meanLat": 2.0, "meanLon": 3.0})]
    );
}

#[test]
fn with_once_there_is_one_result_when_the_lateness_is_over() {
    let mut tester = tester().config("window", "10s").config("allowed-lateness", "5s").config("once", "true");
    for timestamp in [3_000, 14_999, 4_000] {
        assert_eq!(tester.push(at("1", 1.0, 2.0, timestamp)), Ok(vec![]));
    }
    assert_eq!(values(tester.advance_watermark(15_000))[0]["count"], 2);
}

#[test]
fn a_late_record_is_counted_and_dropped() {
    let mut tester = tester();
    tester.push(at("1", 1.0, 2.0, 5 * MINUTE)).expect("counted");
    assert_eq!(tester.push(at("1", 1.0, 2.0, 5 * MINUTE - 1)), Ok(vec![]));
    assert_eq!(tester.count("late_records"), 1);
}

#[test]
fn a_late_record_goes_to_its_topic_as_it_came() {
    let mut tester = tester().config("late-topic", "late");
    tester.push(at("1", 1.0, 2.0, 5 * MINUTE)).expect("counted");
    let value = r#"{"patientId": "1", "lat": 1, "lon": 2}"#;
    let outputs = tester.push(Record::keyless(value).at(7).header("trace", Some(b"t")));
    let headers = vec![Header { name: "trace".into(), value: Some(b"t".into()) }];
    let expected = Output::new(None, value.as_bytes().to_vec())
        .with_topic(Some("late".into()))
        .with_timestamp(7)
        .with_headers(headers);
    assert_eq!(outputs, Ok(vec![expected]));
    assert_eq!(tester.count("late_records"), 1);
}

#[test]
fn a_tombstone_forgets_the_patients_open_windows_and_is_passed_on() {
    let mut tester = tester();
    tester.push(at("1", 1.0, 2.0, 0)).expect("counted");
    tester.push(at("2", 1.0, 2.0, 0)).expect("counted");
    assert_eq!(tester.push(Record::tombstone("1").at(1)), Ok(vec![Output::new(b"1".to_vec(), None).with_timestamp(1)]));
    let told = values(tester.advance_watermark(5 * MINUTE));
    assert_eq!(told.iter().map(|average| &average["patientId"]).collect::<Vec<_>>(), ["2"]);
    assert!(tester.cache().is_empty());
}

#[test]
fn a_tombstone_that_names_no_patient_is_rejected() {
    for record in
        [Record::empty(), Record::tombstone(""), Record::tombstone(b"\xff"), Record::tombstone("7".repeat(513))]
    {
        let expected = Err(reject(location::Invalid::TombstoneKey.to_string()));
        assert_eq!(tester().push(record), expected);
    }
}

#[test]
fn every_bad_value_is_rejected_for_its_own_reason_and_counts_nowhere() {
    let mut tester = tester();
    for (value, rule) in cases::refused() {
        assert_eq!(tester.push(Record::new("1", value)), Err(reject(rule.to_string())));
    }
    assert!(tester.cache().is_empty());
}

#[test]
fn large_extra_fields_null_keys_and_any_text_are_fine() {
    let mut tester = tester();
    tester.push(Record::new("1", cases::with_large_extra_fields())).expect("counted");
    tester.push(Record::keyless(r#"{"patientId":"\u00e9 \"/","lat":-90,"lon":180}"#)).expect("counted");
    let told = values(tester.advance_watermark(5 * MINUTE));
    assert_eq!(told[1]["patientId"], "é \"/");
}

#[test]
fn a_patient_id_longer_than_a_timers_name_is_rejected() {
    let id = |length| Record::json("k", &json!({"patientId": "7".repeat(length), "lat": 1, "lon": 2})).expect("JSON");
    assert_eq!(tester().push(id(251)), Ok(vec![]));
    let Err(Failure::Reject(reason)) = tester().push(id(252)) else { panic!("not rejected") };
    assert!(reason.contains("at most 251"), "{reason}");
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    assert!(
        refusal("window", "5 minutes").contains("`window` in the config must be a whole number with ms, s, m or h")
    );
    assert!(refusal("window", "0s").contains("at least a millisecond"));
    assert!(refusal("allowed-lateness", "-1s").contains("`allowed-lateness`"));
    assert!(refusal("late-topic", "").contains("empty"));
    assert!(refusal("once", "yes").contains("true or false"));
    assert!(refusal("windows", "5m").contains("`windows` in the config is unknown"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    /// Each window of each patient has the sums of its records in their order, whatever
    /// order they come in, as long as none is late.
    #[test]
    fn every_record_that_is_not_late_is_in_its_window(
        records in prop::collection::vec((0..5_u8, -90.0..90.0_f64, -180.0..180.0_f64, 0..30 * MINUTE), 1..200),
    ) {
        let mut tester = tester().max_out_of_orderness(Duration::from_millis(30 * MINUTE));
        let mut expected = BTreeMap::<(u64, String), (u64, f64, f64)>::new();
        for (patient, lat, lon, timestamp) in records {
            prop_assert_eq!(tester.push(at(&patient.to_string(), lat, lon, timestamp)), Ok(vec![]));
            let window = (timestamp / (5 * MINUTE) * 5 * MINUTE, patient.to_string());
            let (count, lats, lons) = expected.entry(window).or_default();
            (*count, *lats, *lons) = (*count + 1, *lats + lat, *lons + lon);
        }
        let told = values(tester.advance_watermark(u64::MAX));
        let expected: Vec<Value> = expected
            .into_iter()
            .map(|((start, patient), (count, lats, lons))| json!({
                "patientId": patient, "windowStart": start, "windowEnd": start + 5 * MINUTE,
                "count": count, "meanLat": lats / count as f64, "meanLon": lons / count as f64,
            }))
            .collect();
        prop_assert_eq!(told, expected);
        prop_assert!(tester.cache().is_empty());
    }
}
