use gregor_sdk::Header;
use location::cases;

use super::*;

fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> Input {
    Input {
        topic: "locations".into(),
        partition: 0,
        offset: 0,
        timestamp: 1_700_000_000_000,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: vec![Header { name: "trace".into(), value: Some(b"1".into()) }],
    }
}

fn only_output(record: Input) -> Output {
    let mut outputs = PatientLocation::process(record).expect("a good record");
    assert_eq!(outputs.len(), 1);
    outputs.remove(0)
}

#[test]
fn a_location_becomes_a_sentence_under_the_same_key_and_headers() {
    let value = br#"{"patientId": "123", "lat": 38.7167, "lon": -9.1333}"#;
    let record = record(Some(b"123"), Some(value));
    let expected = Output {
        topic: None,
        partition: None,
        timestamp: None,
        key: record.key.clone(),
        value: Some(b"Patient 123 at location (38.7167, -9.1333)".into()),
        headers: record.headers.clone(),
    };
    assert_eq!(only_output(record), expected);
}

#[test]
fn a_null_key_stays_null() {
    let value = br#"{"patientId": 7, "lat": 38.0, "lon": -9}"#;
    let output = only_output(record(None, Some(value)));
    assert_eq!(output.key, None);
    assert_eq!(output.value.as_deref(), Some(&b"Patient 7 at location (38, -9)"[..]));
}

#[test]
fn a_tombstone_is_passed_on_under_its_key() {
    let output = only_output(record(Some(b"123"), None));
    assert_eq!((output.key.as_deref(), output.value), (Some(&b"123"[..]), None));
}

#[test]
fn a_tombstone_that_names_no_patient_is_rejected() {
    for key in [None, Some(&b""[..]), Some(b"\xff"), Some(&[b'7'; 513])] {
        let refused = PatientLocation::process(record(key, None));
        assert_eq!(refused, Err(reject(Invalid::TombstoneKey.to_string())));
    }
}

#[test]
fn every_bad_value_is_rejected_for_its_own_reason() {
    for (value, rule) in cases::refused() {
        let refused = PatientLocation::process(record(Some(b"1"), Some(&value)));
        assert_eq!(refused, Err(reject(rule.to_string())));
    }
}

#[test]
fn large_extra_fields_are_ignored() {
    let output = only_output(record(Some(b"1"), Some(&cases::with_large_extra_fields())));
    assert_eq!(output.value.as_deref(), Some(&b"Patient 1 at location (1, 2)"[..]));
}
