mod json;
mod track;

use location::{Invalid, cases};

use super::*;

fn record(key: Option<&[u8]>, value: Option<&[u8]>) -> Input {
    Input {
        topic: "locations".into(),
        partition: 0,
        offset: 0,
        timestamp: 1_700_000_000_000,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: Vec::new(),
    }
}

#[test]
fn a_null_key_is_fine_for_the_value_names_the_patient() {
    let record = record(None, Some(br#"{"patientId": "123", "lat": 38.7167, "lon": -9.1333}"#));
    let expected = Location { patient_id: "123".into(), lat: 38.7167, lon: -9.1333, ts: None };
    assert_eq!(read(&record), Ok(Change::Moved(expected)));
}

#[test]
fn a_tombstone_forgets_the_patient_its_key_names() {
    assert_eq!(read(&record(Some(b"123"), None)), Ok(Change::Forgotten("123")));
}

#[test]
fn a_tombstone_that_names_no_patient_is_rejected() {
    for key in [None, Some(&b""[..]), Some(b"\xff"), Some(&[b'7'; 513])] {
        let expected = Err(reject(Invalid::TombstoneKey.to_string()));
        assert_eq!(read(&record(key, None)), expected);
    }
}

#[test]
fn every_bad_value_is_rejected_for_its_own_reason() {
    for (value, rule) in cases::refused() {
        let expected = Err(reject(rule.to_string()));
        assert_eq!(read(&record(Some(b"1"), Some(&value))), expected);
    }
}

#[test]
fn large_extra_fields_are_ignored() {
    let record = record(Some(b"1"), Some(&cases::with_large_extra_fields()));
    let expected = Location { patient_id: "1".into(), lat: 1.0, lon: 2.0, ts: None };
    assert_eq!(read(&record), Ok(Change::Moved(expected)));
}
