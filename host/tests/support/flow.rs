//! Records that keep coming while a test does something else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::producer::Producer;

use super::kafka::{kafka, send};
use super::record::{Received, Record, by_key};
use super::wait::PATIENCE;

/// Between two rounds of records, one for each key: about 3,000 records a
/// second for 30 keys.
const PAUSE: Duration = Duration::from_millis(10);

/// A thread that produces records numbered from 0 for each of some keys.
pub struct Flow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Produced>,
}

/// What a [`Flow`] has produced: `0` to `rounds` - 1 for each key.
pub struct Produced {
    keys: usize,
    pub rounds: usize,
}

impl Flow {
    /// Starts producing to `topic`, keys `key-0` to `key-{keys - 1}`.
    pub fn start(topic: &str, keys: usize) -> Flow {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic) = (stop.clone(), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let producer = kafka().producer(&[]);
            let mut rounds = 0;
            while !stopped.load(Relaxed) {
                for key in 0..keys {
                    send(&producer, &topic, &Record::new(format!("key-{key}"), rounds.to_string()));
                }
                rounds += 1;
                std::thread::sleep(PAUSE);
            }
            producer.flush(PATIENCE).expect("every record is acknowledged");
            Produced { keys, rounds }
        });
        Flow { stop, thread }
    }

    /// Stops, and waits until everything is acknowledged.
    pub fn stop(self) -> Produced {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("the producing thread")
    }
}

impl Produced {
    /// The values of each key, in order.
    pub fn values(&self) -> BTreeMap<String, Vec<String>> {
        let values: Vec<String> = (0..self.rounds).map(|round| round.to_string()).collect();
        (0..self.keys).map(|key| (format!("key-{key}"), values.clone())).collect()
    }

    /// Each record is among `outputs` once, and those of a key are in order.
    #[track_caller]
    pub fn assert_came_out_once(&self, outputs: &[Received]) {
        let expected = self.values();
        for (key, values) in by_key(outputs) {
            assert_eq!(values.len(), self.rounds, "records of {key}");
            assert_eq!(Some(&values), expected.get(&key), "records of {key} in order");
        }
        assert_eq!(outputs.len(), self.keys * self.rounds);
    }
}
