//! What the group has committed.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::record::TopicPartition;

/// Where a partition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionEnd {
    /// As far as this group may read: up to the first open transaction.
    pub stable: i64,
    /// All there is.
    pub high: i64,
}

/// What the group has committed of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// That of the next record.
    pub next: i64,
    /// As it was committed: by whom is not known.
    pub metadata: String,
}

/// What the group has committed of each of `partitions`; those without an offset are left out. Asks for at most `patience`.
///
/// # Errors
/// When the group does not tell it of every one: an offset that is in a
/// transaction not yet ended is told by an error of its own, and is not to be
/// taken for none.
pub fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: impl IntoIterator<Item = TopicPartition>,
    patience: Duration,
) -> Result<HashMap<TopicPartition, GroupOffset>, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for id in partitions {
        asked.add_partition(&id.topic, id.partition);
    }
    let mut committed = HashMap::with_capacity(asked.count());
    if asked.count() == 0 {
        return Ok(committed);
    }
    for element in consumer.committed_offsets(asked, patience)?.elements() {
        element.error()?;
        if let Offset::Offset(next) = element.offset() {
            let id = TopicPartition::new(element.topic(), element.partition());
            committed.insert(id, GroupOffset { next, metadata: element.metadata().to_owned() });
        }
    }
    Ok(committed)
}
