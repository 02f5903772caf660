//! What the group has committed.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::record::TopicPartition;
use crate::task::{Position, Recorded};

/// Up to where the group has committed each of `partitions`, and by which
/// versions; those without an offset are left out. Asks for at most `patience`.
///
/// # Errors
/// When the group does not tell it of every one: an offset that is in a
/// transaction not yet ended is told by an error of its own, and is not to be
/// taken for none.
pub fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: impl IntoIterator<Item = TopicPartition>,
    patience: Duration,
) -> Result<HashMap<TopicPartition, (Position, Recorded)>, KafkaError> {
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
            let metadata = element.metadata();
            committed.insert(id, (Position::committed(next, metadata), Recorded::committed(metadata)));
        }
    }
    Ok(committed)
}
