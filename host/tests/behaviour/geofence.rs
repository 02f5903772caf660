//! The plugin `geofence`: patients who enter and leave circles and polygons.

use crate::plugins::{Outcome, assert_rejected, bad_locations, run};
use crate::support::{Pipeline, Record, Setup, Stage, kafka};

fn stage(config: &str) -> Stage {
    Stage::new("geofence").set("config", config)
}

/// Some 111 km wide around (0, 0), and a square over the antimeridian.
const FENCES: &str = r#"{ circle-ward = "0 0, 55000", polygon-site = "-1 179, -1 -179, 1 -179, 1 179" }"#;

fn at(patient: &str, lat: f64, lon: f64) -> Record {
    Record::new(patient, format!(r#"{{"patientId":"{patient}","lat":{lat},"lon":{lon}}}"#))
}

#[test]
fn each_fence_that_a_patient_enters_or_leaves_gives_an_alarm() {
    let records = [
        at("1", 5.0, 5.0),
        at("1", 0.1, 0.1).header("trace", Some(b"t")),
        at("2", 0.5, -179.5),
        at("1", 0.2, 0.2),
        at("1", 0.5, 179.5),
        Record::tombstone("2"),
        at("2", 0.5, 180.0),
        at("1", 9.0, 9.0),
    ];

    let Outcome { outputs, letters } = run(stage(FENCES), records);

    assert!(letters.is_empty());
    let told: Vec<_> = outputs
        .iter()
        .map(|output| match &output.value {
            Some(_) => (output.key(), format!("{} {}", output.json()["event"], output.json()["fence"])),
            None => (output.key(), "forgotten".to_owned()),
        })
        .collect();
    let expected = [
        ("1", r#""enter" "ward""#),
        ("2", r#""enter" "site""#),
        ("1", r#""leave" "ward""#),
        ("1", r#""enter" "site""#),
        ("2", "forgotten"),
        ("2", r#""enter" "site""#),
        ("1", r#""leave" "site""#),
    ];
    assert_eq!(told, expected.map(|(key, text)| (key, text.to_owned())));
    assert_eq!(outputs[0].header("trace"), Some("t"));
}

#[test]
fn what_is_no_location_is_rejected() {
    let records = bad_locations();
    let Outcome { outputs, letters } = run(stage(FENCES), records.clone());
    assert!(outputs.is_empty());
    assert_rejected(&letters, "geofence", &records, 0);
}

#[test]
fn a_fence_that_cannot_be_refuses_the_plugin_at_start() {
    for (config, told) in [
        ("{}", "geofence has no fence in its config"),
        (r#"{ polygon-site = "0 0, 1 1, 1 0, 0 1" }"#, "the polygon crosses itself"),
        (r#"{ circle-ward = "0 0" }"#, "a circle is its centre and its radius"),
    ] {
        let pipeline = Pipeline::new(&kafka().topic(1)).sink(&kafka().topic(1)).stage(stage(config));
        let (code, log) = Setup::new().pipeline(pipeline).run_refused();
        assert!(code.is_some_and(|code| code != 0), "{config}");
        assert!(log.contains(told), "{log}");
    }
}
