//! The tasks as other threads see them.

use dashmap::DashMap;

use crate::record::TopicPartition;
use crate::task::{PartitionState, View};

/// What tasks look like to other threads.
pub type Views = DashMap<TopicPartition, View>;

pub const STATES: [PartitionState; 4] =
    [PartitionState::Running, PartitionState::Retrying, PartitionState::Held, PartitionState::Finished];

/// A state's name in metrics and documents.
pub fn state_name(state: PartitionState) -> &'static str {
    match state {
        PartitionState::Running => "running",
        PartitionState::Retrying => "retrying",
        PartitionState::Held => "held",
        PartitionState::Finished => "finished",
    }
}

/// A copy of `views`, by topic and partition.
pub fn sorted(views: &Views) -> Vec<(TopicPartition, View)> {
    let mut sorted: Vec<_> = views.iter().map(|view| (view.key().clone(), view.value().clone())).collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    sorted
}
