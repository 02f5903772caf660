//! Topics whose settings change, or that are made anew, while hosts run.

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};

use super::kafka::{ANSWER, Kafka};
use super::wait::{eventually, until};

impl Kafka {
    /// Gives `topic` these settings, and the brokers' defaults for all others.
    #[track_caller]
    pub fn alter(&self, topic: &str, properties: &[(&str, &str)]) {
        let altered = properties
            .iter()
            .fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |altered, (name, value)| altered.set(name, value));
        let options = AdminOptions::new().request_timeout(Some(ANSWER));
        eventually("the topic takes its settings", || {
            block_on(self.admin.alter_configs([&altered], &options)).ok()?.pop()?.ok()
        });
    }

    /// Deletes `topic` and creates it again with so many partitions.
    #[track_caller]
    pub fn make_anew(&self, topic: &str, partitions: i32) {
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        block_on(self.admin.delete_topics(&[topic], &options)).expect("the topic is deleted");
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        eventually("the topic is created again", || {
            block_on(self.admin.create_topics([&new], &options)).ok()?.pop()?.ok()
        });
        until("the broker knows the topic", || self.partitions(topic) == partitions);
    }
}
