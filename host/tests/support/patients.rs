//! Patients' records, all of which follow from a seed.

use std::collections::BTreeSet;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, Producer};

use super::chance::mix;
use super::kafka::send;
use super::record::Record;
use super::wait::PATIENCE;

pub const PATIENTS: usize = 500;
/// Where values carry no time of their own, the record's counts.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// Between two handfuls of records.
const PAUSE: Duration = Duration::from_millis(10);

/// Records without end, patients in an order of chance.
pub struct Patients {
    seed: u64,
    /// Of how many records one is of no patient.
    poison: Option<u64>,
    produced: Produced,
}

/// What a topic was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Produced {
    pub records: u64,
    /// Records of each patient.
    pub counts: Vec<u64>,
    /// Keys of the records that no plugin can read.
    pub poison: BTreeSet<String>,
}

impl Patients {
    pub fn new(seed: u64) -> Patients {
        let produced = Produced { counts: vec![0; PATIENTS], ..Produced::default() };
        Patients { seed, poison: None, produced }
    }

    /// One of so many records is one that last-location rejects.
    pub fn with_poison(self, one_in: u64) -> Patients {
        Patients { poison: Some(one_in), ..self }
    }

    /// The records so far.
    pub fn produced(self) -> Produced {
        self.produced
    }
}

impl Iterator for Patients {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let Produced { records, counts, poison } = &mut self.produced;
        let drawn = mix(self.seed ^ 0xff, *records, 0);
        *records += 1;
        if self.poison.is_some_and(|one_in| (drawn >> 32).is_multiple_of(one_in)) {
            let key = format!("poison-{records}");
            poison.insert(key.clone());
            return Some(Record::new(key, "no location"));
        }
        let patient = drawn % PATIENTS as u64;
        let count = &mut counts[patient as usize];
        let location = Location::nth(self.seed, patient, *count);
        *count += 1;
        Some(Record::new(patient.to_string(), location.value(patient)).timestamp(location.record_ts))
    }
}

/// One record of a patient.
pub struct Location {
    pub lat: f64,
    pub lon: f64,
    ts: Option<u64>,
    pub record_ts: i64,
}

impl Location {
    /// The patient's record number `n`, from 0.
    pub fn nth(seed: u64, patient: u64, n: u64) -> Location {
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

    /// The time that counts, in milliseconds since the Unix epoch.
    pub fn ts(&self) -> u64 {
        self.ts.unwrap_or(self.record_ts as u64)
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

/// 0 to 1, in steps of a float's own precision.
fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A thread that sends patients' records at a steady pace, until the value
/// goes or it is to finish.
pub struct Stream {
    finish: Sender<()>,
    thread: JoinHandle<Produced>,
}

impl Stream {
    /// Sends `pace` records a second until it is to finish; then what `records`
    /// lack as fast as they go.
    pub fn start(producer: BaseProducer, topic: &str, mut patients: Patients, pace: u64, records: u64) -> Stream {
        let (finish, finishes) = channel();
        let topic = topic.to_owned();
        let thread = std::thread::spawn(move || {
            let send_up_to = |patients: &mut Patients, end: u64| {
                let missing = end.saturating_sub(patients.produced.records);
                patients.take(missing as usize).for_each(|record| send(&producer, &topic, &record));
            };
            let started = Instant::now();
            while finishes.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                send_up_to(&mut patients, (started.elapsed().as_secs_f64() * pace as f64) as u64);
            }
            send_up_to(&mut patients, records);
            producer.flush(PATIENCE).expect("every record is acknowledged");
            patients.produced()
        });
        Stream { finish, thread }
    }

    /// Sends what is missing and waits until all is acknowledged.
    pub fn finish(self) -> Produced {
        drop(self.finish);
        self.thread.join().expect("the sending thread")
    }
}
