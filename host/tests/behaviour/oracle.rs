//! last-location against an oracle computed outside the host.
//!
//! GREGOR_TEST_RECORDS says how many records (1,000,000 for the full proof),
//! GREGOR_TEST_SEED which ones. Neither records nor outputs are kept: every
//! patient's n-th record follows from the seed.

use std::time::Duration;

use rdkafka::producer::Producer;

use crate::support::{PATIENCE, Pipeline, Received, Record, Setup, Stage, kafka, send};

const RECORDS: u64 = 20_000;
const PATIENTS: u64 = 500;
/// Where values carry no time of their own, the record's counts.
const EPOCH_MS: i64 = 1_700_000_000_000;
const EARTH_RADIUS_M: f64 = 6_371_000.0;

/// Sine and cosine differ in their last bits between the plugin's library and
/// this machine's, so distances agree to a part in 10^9 and not bit by bit.
const TOLERANCE: f64 = 1e-9;

#[test]
fn every_output_of_last_location_is_what_an_oracle_says() {
    let records = setting("GREGOR_TEST_RECORDS").unwrap_or(RECORDS);
    let seed = setting("GREGOR_TEST_SEED").unwrap_or(0x6772_6567_6f72);
    println!("{records} records, GREGOR_TEST_SEED={seed}");
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let produced = produce(&source, records, seed);

    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("last-location"));
    let setup = Setup::new().workers(3).pipeline(pipeline);
    let mut host = setup.spawn_as("one", &["--bounded"]);
    assert_eq!(host.wait_exit_within(PATIENCE + Duration::from_millis(records / 5)), Some(0));

    let mut tracks: Vec<Track> = (0..PATIENTS).map(|_| Track::default()).collect();
    let mut outputs = 0;
    kafka().read_each(&sink, |output| {
        outputs += 1;
        let patient: u64 = output.key().parse().expect("a patient's number");
        let track = &mut tracks[usize::try_from(patient).expect("a patient")];
        track.check(&Location::nth(seed, patient, track.count), patient, &output);
    });
    assert_eq!(outputs, records);
    let counted: Vec<u64> = tracks.iter().map(|track| track.count).collect();
    assert_eq!(counted, produced, "records of each patient");
    assert!(kafka().is_settled(&setup.app, &source));
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a whole number, not {text:?}")))
}

/// Produces patients' records in an order of chance; how many each got.
fn produce(source: &str, records: u64, seed: u64) -> Vec<u64> {
    let producer = kafka().producer(&[("linger.ms", "20")]);
    let mut counts = vec![0; usize::try_from(PATIENTS).expect("a few")];
    for index in 0..records {
        let patient = mix(seed ^ 0xff, index, 0) % PATIENTS;
        let count = &mut counts[usize::try_from(patient).expect("a patient")];
        let location = Location::nth(seed, patient, *count);
        let record = Record::new(patient.to_string(), location.value(patient)).timestamp(location.record_ts);
        send(&producer, source, &record);
        *count += 1;
    }
    producer.flush(PATIENCE).expect("every record is acknowledged");
    counts
}

/// A patient's n-th record.
struct Location {
    lat: f64,
    lon: f64,
    ts: Option<u64>,
    record_ts: i64,
}

impl Location {
    fn nth(seed: u64, patient: u64, n: u64) -> Location {
        let draw = |what| mix(seed, patient, n * 8 + what);
        // Most steps are small, some lead across the world, its poles and its date line.
        let (lat, lon) = match draw(0) % 10 {
            0 => (fraction(draw(1)) * 180.0 - 90.0, fraction(draw(2)) * 360.0 - 180.0),
            1 => ([90.0, -90.0, 0.0, 38.0][(draw(1) % 4) as usize], [180.0, -180.0, 0.0, -9.0][(draw(2) % 4) as usize]),
            _ => (
                (387_167 + (draw(1) % 2_000) as i64 - 1_000) as f64 / 1e4,
                (-91_333 + (draw(2) % 2_000) as i64 - 1_000) as f64 / 1e4,
            ),
        };
        let ts = (draw(3) % 3 == 0).then(|| draw(4) >> 1);
        Location { lat, lon, ts, record_ts: EPOCH_MS + (draw(5) % 100_000_000) as i64 }
    }

    fn value(&self, patient: u64) -> String {
        let Location { lat, lon, .. } = self;
        let ts = self.ts.map_or(String::new(), |ts| format!(r#", "ts": {ts}"#));
        match patient % 2 {
            0 => format!(r#"{{"patientId": "{patient}", "lat": {lat}, "lon": {lon}{ts}}}"#),
            _ => format!(r#"{{"ward":{{"lat":[7]}},"lon":{lon},"lat":{lat:e},"patientId":{patient}{ts}}}"#),
        }
    }
}

/// What the oracle knows of a patient.
#[derive(Default)]
struct Track {
    count: u64,
    position: Option<(f64, f64)>,
    total_m: f64,
}

impl Track {
    /// Takes one location more and compares.
    fn check(&mut self, location: &Location, patient: u64, output: &Received) {
        let text = output.text();
        let moved_m = self.position.map_or(0.0, |before| distance(before, (location.lat, location.lon)));
        self.count += 1;
        self.position = Some((location.lat, location.lon));
        self.total_m += moved_m;

        assert_eq!(field(text, "patientId"), format!("\"{patient}\""));
        assert_eq!(number(text, "lat").to_bits(), location.lat.to_bits(), "lat of {text}");
        assert_eq!(number(text, "lon").to_bits(), location.lon.to_bits(), "lon of {text}");
        let ts = location.ts.map_or(location.record_ts.to_string(), |ts| ts.to_string());
        assert_eq!(field(text, "ts"), ts, "ts of {text}");
        assert_eq!(field(text, "count"), self.count.to_string(), "count of {text}");
        for (name, expected) in [("movedM", moved_m), ("totalM", self.total_m)] {
            let told = number(text, name);
            let error = (told - expected).abs();
            assert!(error <= expected * TOLERANCE, "{name} is {told}, the oracle says {expected}: {text}");
        }
        assert_eq!(output.timestamp, location.record_ts, "the output's own timestamp");
    }
}

/// Haversine, in the form with an arc tangent.
fn distance((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let half = |from: f64, to: f64| ((to - from) / 2.0).to_radians().sin().powi(2);
    let a = half(lat1, lat2) + lat1.to_radians().cos() * lat2.to_radians().cos() * half(lon1, lon2);
    2.0 * EARTH_RADIUS_M * a.sqrt().atan2((1.0 - a).max(0.0).sqrt())
}

/// The text of a field of a flat JSON object without spaces.
fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let named = format!("\"{name}\":");
    let (_, rest) = json.split_once(&named).unwrap_or_else(|| panic!("no {name} in {json}"));
    &rest[..rest.find([',', '}']).expect("the object's end")]
}

/// Rust's own reading, which is exact where serde_json's may be a bit off.
fn number(json: &str, name: &str) -> f64 {
    field(json, name).parse().expect("a number")
}

/// 0 to 1, in steps of a float's own precision.
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number of chance for each triple: SplitMix64's last steps, chained.
fn mix(seed: u64, one: u64, other: u64) -> u64 {
    let step = |state: u64| {
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    };
    step(step(step(seed) ^ one) ^ other)
}
