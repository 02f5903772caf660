//! Topics that are made anew while hosts run.

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};

use super::kafka::{ANSWER, Kafka};
use super::wait::{eventually, until};

impl Kafka {
    /// Deletes `topic` and creates it again with so many partitions.
    #[track_caller]
    pub fn make_anew(&self, topic: &str, partitions: i32) {
        self.delete(topic);
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        eventually("the topic is created again", || {
            block_on(self.admin.create_topics([&new], &options)).ok()?.pop()?.ok()
        });
        until("the broker knows the topic", || self.partitions(topic) == partitions);
    }
}
