//! A foreign member of a host's group, to move partitions with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::kafka::kafka;

/// Takes its share of the partitions and reads them, but commits nothing;
/// leaves with the value.
pub struct Intruder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Intruder {
    /// Joins `group` for `topics`, which may be fewer than the host's.
    pub fn join(group: &str, topics: &[&str]) -> Intruder {
        let mut config = kafka().config();
        config
            .set("group.id", group)
            .set("client.id", "intruder")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("heartbeat.interval.ms", "500")
            .set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(topics).expect("a subscription");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Relaxed) {
                drop(consumer.poll(Duration::from_millis(50)));
            }
        });
        Intruder { stop, thread: Some(thread) }
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of its own says what went wrong.
            let _ = thread.join();
        }
    }
}
