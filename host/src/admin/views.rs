//! The tasks as other threads see them.

use dashmap::DashMap;

use crate::record::TopicPartition;
use crate::state::{Copies, StoreId};
use crate::task::{PartitionState, View};

/// What tasks look like to other threads.
pub type Views = DashMap<TopicPartition, View>;

/// How far each standby copy is behind, in order.
pub fn behind(copies: &Copies) -> Vec<(StoreId, u64)> {
    let mut sorted: Vec<_> = copies.iter().map(|copy| (copy.key().clone(), *copy.value())).collect();
    sorted.sort_unstable();
    sorted
}

/// A copy of `views`, by topic and partition.
pub fn sorted(views: &Views) -> Vec<(TopicPartition, View)> {
    let mut sorted: Vec<_> = views.iter().map(|view| (view.key().clone(), view.value().clone())).collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    sorted
}

/// Whether no partition waits for what only a person can give.
///
/// # Errors
/// One sentence that names the first that does and what to do.
pub fn served(views: &Views) -> Result<(), String> {
    let waits = |view: &View| matches!(view.state, PartitionState::Unreadable | PartitionState::WaitingForInstance);
    let first = views.iter().filter(|view| waits(view)).min_by(|one, other| one.key().cmp(other.key()));
    let Some(first) = first else { return Ok(()) };
    let (id, position) = (first.key(), first.position);
    Err(match first.state {
        PartitionState::Unreadable => format!(
            "partition {id} cannot be read at offset {position} ({}): this host's log says what to do",
            first.failure.unwrap_or_default()
        ),
        _ => format!("partition {id} waits for an instance: raise `host.max-instances`, or start another host"),
    })
}
