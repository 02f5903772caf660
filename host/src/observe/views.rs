//! The tasks as other threads see them.

use dashmap::DashMap;

use crate::observe::{PartitionState, View};
use crate::plan::StoreId;
use crate::plugin::Failure;
use crate::record::TopicPartition;
use crate::state::Copies;

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

/// Whether brokers take none of its outputs to some topic.
fn is_refused(view: &View) -> bool {
    view.failure == Some(Failure::TOPIC_UNAVAILABLE)
}

/// Whether no partition waits for what only a person can give.
///
/// # Errors
/// One sentence that names the first that does and what to do.
pub fn served(views: &Views) -> Result<(), String> {
    let waits = |view: &View| {
        matches!(view.state, PartitionState::Unreadable | PartitionState::WaitingForInstance) || is_refused(view)
    };
    let first = views.iter().filter(|view| waits(view)).min_by(|one, other| one.key().cmp(other.key()));
    let Some(first) = first else { return Ok(()) };
    let (id, position) = (first.key(), first.position);
    Err(match first.state {
        _ if is_refused(&first) => format!(
            "the brokers do not take what partition {id} sends (topic-unavailable): this host's log names the topic \
             and the right that it lacks"
        ),
        PartitionState::Unreadable => format!(
            "partition {id} cannot be read at offset {position} ({}): this host's log says what to do",
            first.failure.unwrap_or_default()
        ),
        _ => format!("partition {id} waits for an instance: raise `host.max-instances`, or start another host"),
    })
}
