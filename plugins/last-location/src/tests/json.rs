//! The hand-written JSON against serde_json's.

use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::track::Step;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Plain<'a> {
    patient_id: &'a str,
    lat: f64,
    lon: f64,
    ts: u64,
    count: u64,
    #[serde(rename = "movedM")]
    moved_m: f64,
    #[serde(rename = "totalM")]
    total_m: f64,
    #[cfg(feature = "speed")]
    speed_mps: f64,
}

fn both(patient_id: &str, track: Track, moved_m: f64) -> (String, String) {
    let step = Step {
        moved_m,
        #[cfg(feature = "speed")]
        speed_mps: moved_m / 7.0,
    };
    let location = Location { patient_id: patient_id.into(), lat: track.lat, lon: track.lon, ts: None };
    let plain = Plain {
        patient_id,
        lat: track.lat,
        lon: track.lon,
        ts: track.ts,
        count: track.count,
        moved_m,
        total_m: track.total_m,
        #[cfg(feature = "speed")]
        speed_mps: moved_m / 7.0,
    };
    let written = String::from_utf8(crate::json::write(&location, &track, &step)).expect("UTF-8");
    (written, serde_json::to_string(&plain).expect("JSON"))
}

#[test]
#[cfg(not(feature = "speed"))]
fn the_fields_come_in_their_order() {
    let track = Track { lat: 38.7167, lon: -9.0, ts: 5, count: 2, total_m: 1.5e-7 };
    let expected = r#"{"patientId":"123","lat":38.7167,"lon":-9.0,"ts":5,"count":2,"movedM":0.0,"totalM":1.5e-7}"#;
    assert_eq!(both("123", track, 0.0).0, expected);
}

#[test]
fn text_is_escaped_as_serde_json_does() {
    let controls: String = (0..=0x7f_u8).map(char::from).collect();
    let track = Track { lat: 1.0, lon: 2.0, ts: 3, count: 4, total_m: 5.0 };
    for id in [&*controls, "\"", "\\", "é😀\u{2028}", "plain"] {
        let (written, plain) = both(id, track, 0.0);
        assert_eq!(written, plain);
    }
}

fn finite() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn it_is_serde_jsons_to_the_byte(
        id in ".{0,40}",
        lat in finite(),
        lon in -180.0..180.0,
        ts: u64,
        count: u64,
        moved_m in 0.0..3e7,
        total_m in finite(),
    ) {
        let (written, plain) = both(&id, Track { lat, lon, ts, count, total_m }, moved_m);
        prop_assert_eq!(written, plain);
    }
}
