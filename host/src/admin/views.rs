//! The tasks as other threads see them.

use dashmap::DashMap;

use crate::record::TopicPartition;
use crate::task::View;

/// What tasks look like to other threads.
pub type Views = DashMap<TopicPartition, View>;

/// A copy of `views`, by topic and partition.
pub fn sorted(views: &Views) -> Vec<(TopicPartition, View)> {
    let mut sorted: Vec<_> = views.iter().map(|view| (view.key().clone(), view.value().clone())).collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    sorted
}
