//! What the group has committed.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::record::TopicPartition;
use crate::task::{Noted, Position, Recorded};

/// What the group has committed of a partition.
#[derive(Clone, Debug)]
pub struct GroupOffset {
    pub position: Position,
    /// The versions that processed it last.
    pub recorded: Recorded,
    /// What it tells of state.
    pub noted: Noted,
}

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
            let metadata = element.metadata();
            let (position, recorded) = (Position::committed(next, metadata), Recorded::committed(metadata));
            committed.insert(id, GroupOffset { position, recorded, noted: Noted::of(metadata) });
        }
    }
    Ok(committed)
}
