//! What transactions leave to be seen.

use std::collections::BTreeMap;

use futures_executor::block_on;
use gregor::state::RESERVED;
use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::kafka::{ANSWER, Kafka, answer};
use super::wait::{PATIENCE, eventually, until};

impl Kafka {
    /// Waits until no transaction on `topic` is open, so that what is committed
    /// can be read to the end.
    #[track_caller]
    pub fn wait_until_decided(&self, topic: &str) {
        let committed: BaseConsumer =
            self.config().set("isolation.level", "read_committed").create().expect("a client");
        until(&format!("every transaction on {topic} has ended"), || {
            let stable = |partition| answer("watermarks", || committed.fetch_watermarks(topic, partition, ANSWER)).1;
            self.ends(topic).into_iter().zip(0..).all(|(end, partition)| stable(partition) == end)
        });
    }

    /// The committed value that each key of a compacted topic has; keys that
    /// are deleted are left out, and entries of the host's own.
    #[track_caller]
    pub fn last_values(&self, topic: &str) -> BTreeMap<String, Vec<u8>> {
        let mut values = BTreeMap::new();
        self.read_each(topic, |record| {
            let key = record.key().to_owned();
            if key.starts_with(RESERVED) {
                return;
            }
            match record.value {
                Some(value) => values.insert(key, value),
                None => values.remove(&key),
            };
        });
        values
    }

    /// The shortest session that the broker grants a member and a loaded
    /// machine can keep, in milliseconds: what a killed host's partitions wait for.
    pub fn shortest_session(&self) -> u64 {
        const KEPT: u64 = 3_000;
        // One that has just started, or got no time for its heartbeats, answers
        // before it counts itself.
        let broker = eventually("the broker is among the brokers", || {
            let metadata = answer("metadata", || self.asking.fetch_metadata(None, ANSWER));
            metadata.brokers().first().map(|broker| broker.id())
        });
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let described = block_on(self.admin.describe_configs([&ResourceSpecifier::Broker(broker)], &options));
        let properties = described.expect("the broker's properties").remove(0).expect("the broker's properties");
        let shortest = properties.get("group.min.session.timeout.ms").and_then(|entry| entry.value.as_ref());
        shortest.and_then(|value| value.parse::<u64>().ok()).expect("the broker's shortest session").max(KEPT)
    }
}
