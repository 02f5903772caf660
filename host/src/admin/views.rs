//! The tasks as other threads see them.

use dashmap::DashMap;

use crate::record::TopicPartition;
use crate::state::{Copies, StoreId};
use crate::task::View;

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
