//! The plugin `average-location`: windows of event time, through the whole host.

use serde_json::{Value, json};

use crate::plugins::{assert_rejected, bad_locations, run};
use crate::support::{Pipeline, Received, Record, Setup, Stage, kafka};

const MINUTE: i64 = 60_000;
/// A multiple of five minutes, in milliseconds since the Unix epoch.
const START: i64 = 1_767_254_400_000;

/// Five minutes, ten seconds out of order.
struct Line {
    setup: Setup,
    source: String,
    sink: String,
    late: String,
}

impl Line {
    fn new(partitions: i32, config: &str) -> Line {
        let [source, sink, late] = [partitions, 1, 1].map(|partitions| kafka().topic(partitions));
        let config = format!(r#"{{ {config} late-topic = "{late}" }}"#);
        let stage = Stage::new("average-location").set("topics", &format!("[{late:?}]")).set("config", &config);
        let pipeline = Pipeline::new(&source).sink(&sink).set("max-out-of-orderness", "\"10s\"").stage(stage);
        Line { setup: Setup::new().workers(1).pipeline(pipeline), source, sink, late }
    }

    /// The averages that come of `records`, in the order of the sink, and the late ones.
    fn run(self, records: impl IntoIterator<Item = Record>) -> (Vec<Received>, Vec<Received>) {
        kafka().produce(&self.source, records);
        self.setup.run_bounded();
        (kafka().read(&self.sink), kafka().read(&self.late))
    }
}

/// A location `after` milliseconds past [`START`].
fn at(patient: &str, lat: f64, lon: f64, after: i64) -> Record {
    let value = json!({"patientId": patient, "lat": lat, "lon": lon});
    Record::new(patient, value.to_string()).timestamp(START + after)
}

fn average(patient: &str, start: i64, count: u64, lat: f64, lon: f64) -> Value {
    let (start, end) = (START + start, START + start + 5 * MINUTE);
    json!({"patientId": patient, "windowStart": start, "windowEnd": end, "count": count, "meanLat": lat, "meanLon": lon})
}

#[test]
fn each_window_of_each_patient_is_told_once_when_the_watermark_reaches_its_end() {
    let records = [
        at("1", 1.0, 10.0, 0),
        at("2", 5.5, -6.5, MINUTE),
        at("1", 2.0, 20.0, 5 * MINUTE - 1),
        at("1", 7.0, 8.0, 5 * MINUTE),
        // Nine seconds back, in the first window still.
        at("1", 6.0, 60.0, 5 * MINUTE - 9_000),
        at("2", 0.0, 0.0, 5 * MINUTE + 9_999),
        at("3", 1.0, 1.0, 5 * MINUTE + 10_000),
        // The watermark is the end of the first window.
        at("2", 9.0, 9.0, 5 * MINUTE - 1).header("trace", Some(b"t")),
        at("end", 0.0, 0.0, 60 * MINUTE),
    ];

    let (averages, late) = Line::new(1, "").run(records);

    let told: Vec<Value> = averages.iter().map(Received::json).collect();
    let expected = [
        average("1", 0, 3, 3.0, 30.0),
        average("2", 0, 1, 5.5, -6.5),
        average("1", 5 * MINUTE, 1, 7.0, 8.0),
        average("2", 5 * MINUTE, 1, 0.0, 0.0),
        average("3", 5 * MINUTE, 1, 1.0, 1.0),
    ];
    assert_eq!(told, expected);
    for (average, value) in averages.iter().zip(told) {
        assert_eq!(Some(average.key()), value["patientId"].as_str());
        assert_eq!(Some(average.timestamp + 1), value["windowEnd"].as_i64());
    }
    let [late] = &late[..] else { panic!("{} late records", late.len()) };
    assert_eq!((late.key(), late.timestamp), ("2", START + 5 * MINUTE - 1), "as it came");
    assert_eq!((&late.json()["lat"], late.header("trace")), (&json!(9.0), Some("t")));
}

#[test]
fn a_record_within_the_allowed_lateness_gives_the_average_again() {
    let records = [
        at("1", 1.0, 10.0, 0),
        at("2", 0.0, 0.0, 6 * MINUTE),
        at("1", 3.0, 30.0, 1),
        at("2", 0.0, 0.0, 6 * MINUTE + 10_000),
        at("1", 5.0, 50.0, 2),
    ];
    let (averages, late) = Line::new(1, r#"allowed-lateness = "1m","#).run(records);
    let told: Vec<Value> = averages.iter().map(Received::json).collect();
    assert_eq!(told, [average("1", 0, 1, 1.0, 10.0), average("1", 0, 2, 2.0, 20.0)]);
    assert_eq!(late.len(), 1, "at six minutes the window takes no more");
}

#[test]
fn each_partition_has_event_time_of_its_own() {
    let records = [
        at("1", 1.0, 1.0, 0).partition(0),
        at("end", 0.0, 0.0, 60 * MINUTE).partition(0),
        at("2", 2.0, 2.0, 0).partition(1),
        at("2", 4.0, 4.0, 1).partition(1),
    ];
    let (averages, late) = Line::new(2, "").run(records);
    let told: Vec<Value> = averages.iter().map(Received::json).collect();
    assert_eq!(told, [average("1", 0, 1, 1.0, 1.0)], "the window of the other partition is open");
    assert!(late.is_empty());
}

#[test]
fn what_is_no_location_is_rejected() {
    let records = bad_locations();
    let outcome = run(Stage::new("average-location"), records.clone());
    assert!(outcome.outputs.is_empty());
    assert_rejected(&outcome.letters, "average-location", &records, 0);
}

#[test]
fn a_config_that_cannot_work_refuses_the_plugin_at_start() {
    let stage = Stage::new("average-location").set("config", r#"{ window = "5 minutes" }"#);
    let pipeline = Pipeline::new(&kafka().topic(1)).sink(&kafka().topic(1)).stage(stage);
    let (code, log) = Setup::new().pipeline(pipeline).run_refused();
    assert!(code.is_some_and(|code| code != 0));
    assert!(log.contains("`window` in the config must be a whole number with ms, s, m or h"), "{log}");
}
