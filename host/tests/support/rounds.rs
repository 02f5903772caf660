//! Patients on their rounds, in event time: records out of order and late,
//! partitions that fall silent, and the mean positions that must come of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::chance::Chance;
use super::record::{Received, Record};

pub const PARTITIONS: i32 = 6;
pub const WINDOW_MS: i64 = 300_000;
/// The out-of-orderness that jobs and pipelines are given.
pub const BOUND_MS: i64 = 30_000;

/// A multiple of the window.
const START_MS: i64 = 1_700_000_100_000;
const PATIENTS: u64 = 12;
/// Of so many records one is no location.
const POISON: u64 = 1_000;
/// Of so many records one comes after a gap of several windows.
const GAP: u64 = 500;
/// The partition that is silent at first, in a time of its own once it speaks.
const SLOW: u64 = 4;
/// The partition that falls silent, and comes back near the end.
const IDLE: u64 = 5;

/// Records of all partitions, which follow from a seed. The last of each
/// partition is so far ahead that all windows before it close.
pub struct Rounds {
    chance: Chance,
    /// Some records are later than the bound.
    late: bool,
    records: u64,
    made: u64,
    /// The time that each partition has come to, in milliseconds since the Unix epoch.
    clocks: [i64; PARTITIONS as usize],
    expected: Expected,
}

impl Rounds {
    pub fn new(seed: u64, records: u64, late: bool) -> Rounds {
        let clocks = [START_MS; PARTITIONS as usize];
        Rounds { chance: Chance::new(seed), late, records, made: 0, clocks, expected: Expected::default() }
    }

    /// What must come of the records so far.
    pub fn expected(self) -> Expected {
        self.expected
    }

    fn partition(&mut self) -> u64 {
        let part = 10 * self.made / self.records;
        match self.chance.below(PARTITIONS as u64) {
            SLOW if part < 5 => 0,
            IDLE if (1..9).contains(&part) => 1,
            partition => partition,
        }
    }

    /// In whole seconds, so that times meet the ends of windows and the bound exactly.
    fn timestamp(&mut self, partition: u64) -> i64 {
        let chance = &mut self.chance;
        let clock = &mut self.clocks[partition as usize];
        *clock += 1_000 * chance.below(3) as i64;
        if chance.one_in(GAP) {
            *clock += 3 * WINDOW_MS + 1_000 * chance.below(1_000) as i64;
        }
        let behind = match chance.below(20) {
            0..12 => 0,
            12..18 => chance.below(BOUND_MS as u64 / 1_000 + 1),
            _ if self.late => (BOUND_MS as u64 / 1_000) + chance.below(2 * WINDOW_MS as u64 / 1_000),
            _ => BOUND_MS as u64 / 1_000,
        };
        *clock - 1_000 * behind as i64
    }
}

impl Iterator for Rounds {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let made = self.made;
        self.made += 1;
        if made >= self.records {
            let partition = made - self.records;
            let clock = *self.clocks.get(partition as usize)?;
            let value = r#"{"patientId": "last", "lat": 0, "lon": 0}"#;
            let record = Record::new("last", value).partition(partition as i32);
            return Some(record.timestamp(clock + 10 * WINDOW_MS));
        }
        let partition = self.partition();
        let timestamp = self.timestamp(partition);
        let patient = (partition + PARTITIONS as u64 * self.chance.below(PATIENTS)).to_string();
        let record = if self.chance.one_in(POISON) {
            self.expected.passes(partition, timestamp);
            Record::new(patient, "no location")
        } else {
            let degrees = |chance: &mut Chance, bound: u64| chance.below(2 * bound + 1) as i64 - bound as i64;
            let lat = degrees(&mut self.chance, 90_000_000) as f64 / 1e6;
            let lon = degrees(&mut self.chance, 180_000_000) as f64 / 1e6;
            self.expected.take(partition, timestamp, &patient, lat, lon);
            let value = format!(r#"{{"patientId": "{patient}", "lat": {lat}, "lon": {lon}}}"#);
            Record::new(patient, value)
        };
        Some(record.partition(partition as i32).timestamp(timestamp))
    }
}

/// The mean of one patient in one window; its floats as bits, so that equal is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mean {
    pub window_end: i64,
    pub count: u64,
    pub lat: u64,
    pub lon: u64,
}

/// By the window's start and the patient.
pub type Means = BTreeMap<(i64, String), Mean>;

/// What an onlooker makes of the records, one partition at a time.
#[derive(Default)]
pub struct Expected {
    newest: [Option<i64>; PARTITIONS as usize],
    sums: BTreeMap<(i64, String), (u64, f64, f64)>,
    pub late: Bag,
    pub sentences: Bag,
}

impl Expected {
    /// Event time goes on, whatever the record is.
    fn passes(&mut self, partition: u64, timestamp: i64) {
        let newest = &mut self.newest[partition as usize];
        *newest = Some(newest.map_or(timestamp, |newest| newest.max(timestamp)));
    }

    fn take(&mut self, partition: u64, timestamp: i64, patient: &str, lat: f64, lon: f64) {
        self.sentences.put(&format!("Patient {patient} at location ({lat}, {lon})"));
        let start = timestamp - timestamp % WINDOW_MS;
        if self.newest[partition as usize].is_some_and(|newest| start + WINDOW_MS <= newest - BOUND_MS) {
            self.late.put(&(patient, lat.to_bits(), lon.to_bits()));
        } else {
            let (count, lats, lons) = self.sums.entry((start, patient.to_owned())).or_default();
            (*count, *lats, *lons) = (*count + 1, *lats + lat, *lons + lon);
        }
        self.passes(partition, timestamp);
    }

    pub fn means(&self) -> Means {
        let mean = |(&(start, ref patient), &(count, lat, lon)): (&(i64, String), &(u64, f64, f64))| {
            let [lat, lon] = [lat, lon].map(|sum| (sum / count as f64).to_bits());
            ((start, patient.clone()), Mean { window_end: start + WINDOW_MS, count, lat, lon })
        };
        self.sums.iter().map(mean).collect()
    }
}

/// What was seen, in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bag {
    pub count: u64,
    hashes: u64,
}

impl Bag {
    pub fn put(&mut self, what: &(impl Hash + ?Sized)) {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.count += 1;
        self.hashes = self.hashes.wrapping_add(hasher.finish());
    }
}

/// The means in `outputs`, each of which is there once; those of the records
/// that end each partition are left out.
#[track_caller]
pub fn means_of(outputs: impl IntoIterator<Item = Received>) -> Means {
    let mut means = Means::new();
    for output in outputs {
        let text = output.text();
        let patient = field(text, "patientId").trim_matches('"');
        if patient == "last" {
            continue;
        }
        assert_eq!(output.key(), patient);
        let number = |name| field(text, name).parse::<i64>().expect(name);
        let mean = Mean {
            window_end: number("windowEnd"),
            count: number("count") as u64,
            lat: bits(text, "meanLat"),
            lon: bits(text, "meanLon"),
        };
        let before = means.insert((number("windowStart"), patient.to_owned()), mean);
        assert_eq!(before, None, "twice: {text}");
    }
    means
}

/// The late locations in `outputs`.
pub fn late_of(outputs: impl IntoIterator<Item = Received>) -> Bag {
    let mut late = Bag::default();
    for output in outputs {
        let text = output.text();
        late.put(&(field(text, "patientId").trim_matches('"'), bits(text, "lat"), bits(text, "lon")));
    }
    late
}

/// The sentences in `outputs`, without those of the records that end each partition.
pub fn sentences_of(outputs: impl IntoIterator<Item = Received>) -> Bag {
    let mut sentences = Bag::default();
    let said = outputs.into_iter().filter(|output| !output.text().starts_with("Patient last "));
    said.for_each(|output| sentences.put(output.text()));
    sentences
}

/// The bits of a float; Rust's own reading is exact where serde_json's may be a bit off.
#[track_caller]
fn bits(json: &str, name: &str) -> u64 {
    field(json, name).parse::<f64>().expect("a number").to_bits()
}

/// The text of a field of a flat JSON object.
#[track_caller]
fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {json}"));
    rest[..rest.find([',', '}']).expect("the object's end")].trim()
}
