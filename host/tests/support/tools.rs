//! What Kafka's own tools do to groups and topics, by the calls that they make.

use std::process::Command;

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::kafka::{ANSWER, Kafka, answer};
use super::wait::{PATIENCE, eventually, until};

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

impl Kafka {
    /// `kafka-consumer-groups --reset-offsets --to-offset`: commits without metadata.
    #[track_caller]
    pub fn move_group(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().expect("a client");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        // A member that has just left may still be counted.
        eventually("the group takes the offset", || consumer.commit(&offsets, CommitMode::Sync).ok());
    }

    /// The metadata of what `group` has committed.
    pub fn metadata(&self, group: &str, topic: &str, partition: i32) -> String {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().expect("a client");
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, partition);
        let committed = answer("the group's offsets", || consumer.committed_offsets(asked.clone(), ANSWER));
        committed.elements().first().map(|element| element.metadata().to_owned()).unwrap_or_default()
    }

    /// `kafka-consumer-groups --delete`.
    #[track_caller]
    pub fn delete_group(&self, group: &str) {
        eventually("the group is deleted", || {
            let deleted = block_on(self.admin.delete_groups(&[group], &options())).expect("an answer");
            deleted.into_iter().next().expect("of one group").ok()
        });
    }

    /// `kafka-topics --delete`, and the same name again with so many partitions.
    #[track_caller]
    pub fn make_anew(&self, topic: &str, partitions: i32, properties: &[(&str, &str)]) {
        self.delete(topic);
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let new = properties.iter().fold(new, |new, (name, value)| new.set(name, value));
        eventually("the topic is made anew", || {
            let made = block_on(self.admin.create_topics([&new], &options())).expect("an answer");
            match made.into_iter().next().expect("of one topic") {
                Ok(_) => Some(()),
                Err((_, Code::TopicAlreadyExists)) => None,
                Err(error) => panic!("the topic is new: {error:?}"),
            }
        });
        until("the broker knows the topic", || self.partitions(topic) == partitions);
    }

    /// `kafka-delete-records`: the partition begins at `offset` then.
    #[track_caller]
    pub fn cut(&self, topic: &str, partition: i32, offset: i64) {
        let mut before = TopicPartitionList::new();
        before.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        // A broker applies a topic's new policy a moment after it has taken it.
        eventually("the topic is one that deletes", || {
            let deleted = block_on(self.admin.delete_records(&before, &options())).expect("records can be deleted");
            deleted.elements().iter().all(|element| element.error().is_ok()).then_some(())
        });
        until("the beginning is cut off", || {
            answer("watermarks", || self.asking.fetch_watermarks(topic, partition, ANSWER)).0 == offset
        });
    }

    /// Kafka's own `kafka-consumer-groups`, with these arguments; what it prints.
    #[track_caller]
    pub fn consumer_groups(&self, arguments: &[&str]) -> String {
        let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "kafka", "groups"])
            .args(["--bootstrap-server", self.bootstrap()])
            .args(arguments)
            .output()
            .expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}
