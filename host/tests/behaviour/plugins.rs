//! The plugins that the host holds, with good and bad records.
//!
//! Each test sends all its records through one partition, so that outputs and
//! dead letters stand in the order of what they came from.

use sha2::{Digest, Sha256};

use crate::support::{Pipeline, Received, Record, Setup, Stage, kafka, plugin};

/// Values that break one rule of a location each.
const BAD_LOCATIONS: [&str; 26] = [
    "",
    " ",
    "not JSON",
    r#"{"patientId":"1","lat":1,"lon":2"#,
    r#"{"patientId":"1","lat":1,"lon":2}}"#,
    r#"{"patientId":"1","lat":NaN,"lon":2}"#,
    r#"[{"patientId":"1","lat":1,"lon":2}]"#,
    "123",
    "null",
    "{}",
    r#"{"lat":1,"lon":2}"#,
    r#"{"patientId":"1","lon":2}"#,
    r#"{"patientId":"1","lat":1,"lon":null}"#,
    r#"{"patientId":"","lat":1,"lon":2}"#,
    r#"{"patientId":1.5,"lat":1,"lon":2}"#,
    r#"{"patientId":["1"],"lat":1,"lon":2}"#,
    r#"{"patientId":"1","lat":"38.7","lon":2}"#,
    r#"{"patientId":"1","lat":1,"lon":"-9.1"}"#,
    r#"{"patientId":"1","lat":90.1,"lon":2}"#,
    r#"{"patientId":"1","lat":1,"lon":-180.1}"#,
    r#"{"patientId":"1","lat":1,"lon":2,"ts":-1}"#,
    r#"{"patientId":"1","lat":1,"lon":2,"ts":1.5}"#,
    r#"{"patientId":"1","lat":1,"lon":2,"ts":"1700000000000"}"#,
    r#"{"patientId":"1","patientId":"2","lat":1,"lon":2}"#,
    r#"{"patientId":"1","lat":1,"lon":2,"lon":2}"#,
    r#"{"patientId":true,"lat":1,"lon":2}"#,
];

/// A record's timestamp in these tests, in milliseconds.
pub const TIMESTAMP: i64 = 1_767_254_437_153;

/// What a location of either plugin is refused for, with keys and bytes besides.
pub fn bad_locations() -> Vec<Record> {
    let long_id = format!(r#"{{"patientId":"{}","lat":1,"lon":2}}"#, "7".repeat(513));
    let mut records: Vec<Record> = BAD_LOCATIONS.iter().map(|value| Record::new("1", *value)).collect();
    records.push(Record::new("1", long_id));
    records.push(Record::new("1", b"{\"patientId\":\"\xff\",\"lat\":1,\"lon\":2}"));
    records.push(Record::new("1", b"\x00\x01\xfe"));
    records.push(Record::default());
    records.push(Record::tombstone(""));
    records.push(Record::tombstone(b"\xff"));
    records.push(Record::tombstone("7".repeat(513)));
    records
}

/// A location of patient 1 with more than 1 MiB of extra fields.
fn large_location() -> String {
    format!(r#"{{"notes":"{}","patientId":"1","lat":1,"lon":2}}"#, "x".repeat(1 << 20))
}

/// Outputs and dead letters of one stage for `records`.
pub struct Outcome {
    pub outputs: Vec<Received>,
    pub letters: Vec<Received>,
}

pub fn run(stage: Stage, records: impl IntoIterator<Item = Record>) -> Outcome {
    let large = [("max.message.bytes", "4194304")];
    let [source, sink, dead] = [(); 3].map(|()| kafka().topic_with(1, &large));
    let records: Vec<Record> = records.into_iter().map(|record| record.timestamp(TIMESTAMP)).collect();
    kafka().produce(&source, records);
    let pipeline = Pipeline::new(&source).sink(&sink).dead_letter(&dead).stage(stage);
    Setup::new().workers(1).pipeline(pipeline).run_bounded();
    Outcome { outputs: kafka().read(&sink), letters: kafka().read(&dead) }
}

/// Every one of `records` became a dead letter, as it came and with where it came from.
#[track_caller]
pub fn assert_rejected(letters: &[Received], name: &str, records: &[Record], first_offset: i64) {
    assert_eq!(letters.len(), records.len());
    let digest: String = Sha256::digest(plugin(name)).iter().map(|byte| format!("{byte:02x}")).collect();
    for ((letter, record), offset) in letters.iter().zip(records).zip(first_offset..) {
        let what = record.value.as_deref().map(String::from_utf8_lossy);
        assert_eq!((&letter.key, &letter.value), (&record.key, &record.value), "{what:?} as it came");
        assert!(letter.timestamp > TIMESTAMP, "the letter has the time of the failure: {}", letter.timestamp);
        let (offset, timestamp) = (offset.to_string(), TIMESTAMP.to_string());
        for (header, expected) in [
            ("gregor-error", "reject"),
            ("gregor-attempts", "1"),
            ("gregor-pipeline", "main"),
            ("gregor-stage", name),
            ("gregor-digest", &digest),
            ("gregor-partition", "0"),
            ("gregor-offset", &offset),
            ("gregor-timestamp", &timestamp),
        ] {
            assert_eq!(letter.header(header), Some(expected), "{header} of {what:?}");
        }
        assert!(letter.header("gregor-topic").is_some());
    }
}

#[test]
fn patient_location_says_where_a_patient_is() {
    let good = [
        Record::new("123", r#"{"patientId": "123", "lat": 38.7167, "lon": -9.1333}"#).header("trace", Some(b"t")),
        Record::new("other", r#"{"patientId": 42, "lat": 38.0, "lon": -180, "ts": null, "ward": "B"}"#),
        Record::keyless(r#"{"patientId":"\u00e9","lat":-90,"lon":1e1}"#),
        Record::tombstone("123"),
        Record::new("1", large_location()),
    ];

    let Outcome { outputs, letters } = run(Stage::new("patient-location"), good);

    assert!(letters.is_empty());
    let told: Vec<_> = outputs.iter().map(|output| (output.key.as_deref(), output.value.as_deref())).collect();
    let expected: [(Option<&[u8]>, Option<&str>); 5] = [
        (Some(b"123"), Some("Patient 123 at location (38.7167, -9.1333)")),
        (Some(b"other"), Some("Patient 42 at location (38, -180)")),
        (None, Some("Patient é at location (-90, 10)")),
        (Some(b"123"), None),
        (Some(b"1"), Some("Patient 1 at location (1, 2)")),
    ];
    assert_eq!(told, expected.map(|(key, value)| (key, value.map(str::as_bytes))));
    assert_eq!(outputs[0].header("trace"), Some("t"));
}

#[test]
fn patient_location_rejects_what_is_no_location() {
    let records = bad_locations();
    let Outcome { outputs, letters } = run(Stage::new("patient-location"), records.clone());
    assert!(outputs.is_empty());
    assert_rejected(&letters, "patient-location", &records, 0);
}

#[test]
fn last_location_keeps_position_count_and_distance() {
    let records = [
        Record::new("123", r#"{"patientId": "123", "lat": 0, "lon": 0}"#),
        Record::new("123", r#"{"patientId": "123", "lat": 0, "lon": 90, "ts": 7}"#).header("trace", Some(b"t")),
        Record::keyless(r#"{"patientId": 123, "lat": 0, "lon": 90}"#),
        Record::new("9", r#"{"patientId": "9", "lat": 90, "lon": 0}"#),
        Record::new("1", large_location()),
    ];

    let Outcome { outputs, letters } = run(Stage::new("last-location"), records);

    assert!(letters.is_empty());
    let quarter = 6_371_000.0 * std::f64::consts::FRAC_PI_2;
    let expected = [
        ("123", 0.0, 0.0, TIMESTAMP, 1, 0.0, 0.0),
        ("123", 0.0, 90.0, 7, 2, quarter, quarter),
        ("123", 0.0, 90.0, TIMESTAMP, 3, 0.0, quarter),
        ("9", 90.0, 0.0, TIMESTAMP, 1, 0.0, 0.0),
        ("1", 1.0, 2.0, TIMESTAMP, 1, 0.0, 0.0),
    ];
    assert_eq!(outputs.len(), expected.len());
    for (output, (patient, lat, lon, ts, count, moved, total)) in outputs.iter().zip(expected) {
        let json = output.json();
        let mut names: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["count", "lat", "lon", "movedM", "patientId", "totalM", "ts"]);
        assert_eq!((output.key(), json["patientId"].as_str()), (patient, Some(patient)));
        assert_eq!((json["ts"].as_i64(), json["count"].as_i64()), (Some(ts), Some(count)));
        for (name, expected) in [("lat", lat), ("lon", lon), ("movedM", moved), ("totalM", total)] {
            let told = json[name].as_f64().expect("a number");
            assert!((told - expected).abs() <= expected.abs() * 1e-12, "{name} is {told}, not {expected}");
        }
    }
    assert_eq!(outputs[1].header("trace"), Some("t"));
}

#[test]
fn last_location_rejects_what_is_no_location_and_counts_on() {
    let good = Record::new("1", r#"{"patientId":"1","lat":1,"lon":2}"#);
    let bad = bad_locations();
    let records = std::iter::once(good.clone()).chain(bad.clone()).chain([good]);

    let Outcome { outputs, letters } = run(Stage::new("last-location"), records);

    assert_rejected(&letters, "last-location", &bad, 1);
    let counts: Vec<_> = outputs.iter().map(|output| output.json()["count"].as_u64()).collect();
    assert_eq!(counts, [Some(1), Some(2)], "a rejected record does not count");
}

#[test]
fn a_tombstone_makes_last_location_forget_its_patient() {
    let location = |patient: &str| Record::new(patient, format!(r#"{{"patientId":"{patient}","lat":1,"lon":2}}"#));
    let records = [location("1"), location("2"), location("1"), Record::tombstone("1"), location("1"), location("2")];

    let Outcome { outputs, letters } = run(Stage::new("last-location"), records);

    assert!(letters.is_empty());
    let counts: Vec<_> = outputs
        .iter()
        .map(|output| (output.key(), output.value.as_ref().and_then(|_| output.json()["count"].as_u64())))
        .collect();
    let expected = [("1", Some(1)), ("2", Some(1)), ("1", Some(2)), ("1", None), ("1", Some(1)), ("2", Some(2))];
    assert_eq!(counts, expected, "None is the tombstone, passed on");
}

#[test]
fn key_by_takes_the_key_from_the_configured_field() {
    let large = format!(r#"{{"notes":"{}","patient":{{"id":"late"}}}}"#, "x".repeat(1 << 20));
    let values = [
        r#"{"patient": {"id": "B"}, "id": "no"}"#,
        r#"{"patient":{"id":"\u00e9"}}"#,
        r#"{"patient":{"id":1.0}}"#,
        r#"{"patient":{"id":true}}"#,
        &large,
    ];
    let records = values.map(|value| Record::new("old", value).header("trace", Some(b"t")));
    let keyless = Record::keyless(r#"{"patient":{"id":"new"}}"#);
    let stage = Stage::new("key-by").set("config", "{ field = \"patient.id\" }");

    let Outcome { outputs, letters } = run(stage, records.into_iter().chain([keyless]));

    assert!(letters.is_empty());
    let keys: Vec<&str> = outputs.iter().map(Received::key).collect();
    assert_eq!(keys, ["B", "é", "1.0", "true", "late", "new"]);
    assert!(outputs.iter().zip(values).all(|(output, value)| output.text() == value), "values as they came");
    assert!(outputs[..5].iter().all(|output| output.header("trace") == Some("t") && output.timestamp == TIMESTAMP));
}

#[test]
fn key_by_rejects_what_makes_no_key() {
    let mut records: Vec<Record> = [
        "",
        " ",
        "not JSON",
        "[1]",
        "123",
        "null",
        "{}",
        r#"{"ward":"B""#,
        r#"{"ward":"B"}}"#,
        r#"{"ward":""}"#,
        r#"{"ward":null}"#,
        r#"{"ward":["B"]}"#,
        r#"{"ward":{"name":"B"}}"#,
        r#"{"ward":"A","ward":"B"}"#,
        r#"{"Ward":"B"}"#,
    ]
    .map(|value| Record::new("old", value))
    .into();
    records.push(Record::new("old", b"{\"ward\":\"\xff\"}"));
    records.push(Record::tombstone("old"));
    let stage = Stage::new("key-by").set("config", "{ field = \"ward\" }");

    let Outcome { outputs, letters } = run(stage, records.clone());

    assert!(outputs.is_empty());
    assert_rejected(&letters, "key-by", &records, 0);
}

#[test]
fn key_by_without_a_field_rejects_every_record() {
    let records = [Record::new("1", r#"{"ward":"B"}"#), Record::new("2", r#"{"ward":"B"}"#)];
    let Outcome { outputs, letters } = run(Stage::new("key-by"), records.clone());
    assert!(outputs.is_empty());
    assert_rejected(&letters, "key-by", &records, 0);
}
