//! Topics that grow, change their settings or go.

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};

use super::kafka::Kafka;
use super::wait::{PATIENCE, until};

impl Kafka {
    /// Gives `topic` more partitions, so many in all.
    #[track_caller]
    pub fn grow(&self, topic: &str, partitions: i32) {
        let grown = NewPartitions::new(topic, partitions as usize);
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let answer = block_on(self.admin.create_partitions([&grown], &options)).expect("topics can grow");
        answer.into_iter().next().expect("an answer").expect("the topic grows");
        until("the broker knows the new partitions", || self.partitions(topic) == partitions);
    }

    /// Sets `properties` of `topic`, and its others back to the broker's defaults.
    #[track_caller]
    pub fn alter(&self, topic: &str, properties: &[(&str, &str)]) {
        let altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let altered = properties.iter().fold(altered, |altered, (property, value)| altered.set(property, value));
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let answer = block_on(self.admin.alter_configs([&altered], &options)).expect("topics can be altered");
        answer.into_iter().next().expect("an answer").expect("the settings are taken");
    }

    /// Deletes `topic`, as `kafka-topics.sh --delete` does.
    #[track_caller]
    pub fn delete(&self, topic: &str) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let answer = block_on(self.admin.delete_topics(&[topic], &options)).expect("topics can be deleted");
        answer.into_iter().next().expect("an answer").expect("the topic is there");
        until("the topic is gone", || self.partitions(topic) == 0);
    }
}
