//! What last-location must make of each patient's records, computed outside the host.

use super::patients::{Location, PATIENTS};
use super::record::Received;

const EARTH_RADIUS_M: f64 = 6_371_000.0;
/// Sine and cosine differ in their last bits between the plugin's library and
/// this machine's, so distances agree to a part in 10^9 and not bit by bit.
const TOLERANCE: f64 = 1e-9;
/// More records than any patient gets.
const MOST: u64 = 10_000_000;

/// Metres, after one of a patient's records.
#[derive(Clone, Copy)]
struct Way {
    moved_m: f64,
    total_m: f64,
}

pub struct Oracle {
    seed: u64,
    ways: Vec<Vec<Way>>,
}

/// One record: the `n`-th of a patient, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nth {
    pub patient: usize,
    pub n: u64,
}

impl Oracle {
    pub fn new(seed: u64) -> Oracle {
        Oracle { seed, ways: vec![Vec::new(); PATIENTS] }
    }

    /// Checks that an output is what the record that it counts as must give; which one.
    #[track_caller]
    pub fn check(&mut self, output: &Received) -> Nth {
        let text = output.text();
        let nth = Nth { patient: patient(output.key()), n: field(text, "count").parse().expect("a count") };
        let (location, way) = (self.location(nth), self.way(nth));
        assert_eq!(field(text, "patientId"), format!("\"{}\"", nth.patient));
        assert_eq!(number(text, "lat").to_bits(), location.lat.to_bits(), "lat of {text}");
        assert_eq!(number(text, "lon").to_bits(), location.lon.to_bits(), "lon of {text}");
        assert_eq!(field(text, "ts"), location.ts().to_string(), "ts of {text}");
        for (name, expected) in [("movedM", way.moved_m), ("totalM", way.total_m)] {
            assert_near(number(text, name), expected, &format!("{name} of {text}"));
        }
        nth
    }

    /// Checks that a patient's entry in the cache is as the record that it
    /// counts as must leave it; which one.
    #[track_caller]
    pub fn check_entry(&mut self, key: &str, entry: &[u8]) -> Nth {
        let ([lat, lon, ts, count, total_m], []) = entry.as_chunks::<8>() else {
            panic!("the entry of {key} has {} bytes", entry.len());
        };
        let nth = Nth { patient: patient(key), n: u64::from_le_bytes(*count) };
        let (location, way) = (self.location(nth), self.way(nth));
        assert_eq!(u64::from_le_bytes(*lat), location.lat.to_bits(), "lat of {nth:?}");
        assert_eq!(u64::from_le_bytes(*lon), location.lon.to_bits(), "lon of {nth:?}");
        assert_eq!(u64::from_le_bytes(*ts), location.ts(), "ts of {nth:?}");
        assert_near(f64::from_le_bytes(*total_m), way.total_m, &format!("metres of {nth:?}"));
        nth
    }

    /// The timestamp that the output of a record must have.
    pub fn timestamp(&self, nth: Nth) -> i64 {
        self.location(nth).record_ts
    }

    #[track_caller]
    fn location(&self, nth: Nth) -> Location {
        assert!((1..=MOST).contains(&nth.n), "no patient has so many records: {nth:?}");
        Location::nth(self.seed, nth.patient as u64, nth.n - 1)
    }

    fn way(&mut self, nth: Nth) -> Way {
        let known = self.ways[nth.patient].len() as u64;
        for n in known + 1..=nth.n {
            let here = self.location(Nth { n, ..nth });
            let before = (n > 1).then(|| self.location(Nth { n: n - 1, ..nth }));
            let moved_m = before.map_or(0.0, |before| distance((before.lat, before.lon), (here.lat, here.lon)));
            let ways = &mut self.ways[nth.patient];
            let total_m = ways.last().map_or(0.0, |way| way.total_m) + moved_m;
            ways.push(Way { moved_m, total_m });
        }
        self.ways[nth.patient][nth.n as usize - 1]
    }
}

#[track_caller]
fn patient(key: &str) -> usize {
    key.parse().ok().filter(|patient| *patient < PATIENTS).expect("a patient's number")
}

#[track_caller]
fn assert_near(told: f64, expected: f64, what: &str) {
    assert!((told - expected).abs() <= expected * TOLERANCE, "{told}, the oracle says {expected}: {what}");
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
