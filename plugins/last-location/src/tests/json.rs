use super::*;
use crate::track::Step;

fn written(patient_id: &str, track: Track, moved_m: f64) -> String {
    let step = Step {
        moved_m,
        #[cfg(feature = "speed")]
        speed_mps: moved_m / 7.0,
    };
    String::from_utf8(crate::json::write(patient_id, &track, &step).expect("JSON")).expect("UTF-8")
}

#[test]
fn the_fields_come_in_their_order() {
    let track = Track { lat: 38.7167, lon: -9.0, ts: 5, count: 2, total_m: 1.5e-7 };
    let speed = if cfg!(feature = "speed") { r#","speedMps":1.0"# } else { "" };
    let expected = format!(
        r#"{{"patientId":"123","lat":38.7167,"lon":-9.0,"ts":5,"count":2,"movedM":7.0,"totalM":1.5e-7{speed}}}"#
    );
    assert_eq!(written("123", track, 7.0), expected);
}

#[test]
fn any_patient_id_is_escaped_so_that_it_reads_back() {
    let controls: String = (0..=0x7f_u8).map(char::from).collect();
    let track = Track { lat: 1.0, lon: 2.0, ts: 3, count: 4, total_m: 5.0 };
    for id in [&*controls, "\"", "\\", "é😀\u{2028}"] {
        let read: serde_json::Value = serde_json::from_str(&written(id, track, 0.0)).expect("JSON");
        assert_eq!(read["patientId"], id);
    }
}
