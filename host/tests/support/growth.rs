//! Topics that grow or go.

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, NewPartitions};

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

    /// Deletes `topic`, as `kafka-topics.sh --delete` does.
    #[track_caller]
    pub fn delete(&self, topic: &str) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let answer = block_on(self.admin.delete_topics(&[topic], &options)).expect("topics can be deleted");
        answer.into_iter().next().expect("an answer").expect("the topic is there");
        until("the topic is gone", || self.partitions(topic) == 0);
    }
}
