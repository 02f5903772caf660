//! State of partitions on their way from one worker of this process to another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::TopicPartition;
use crate::task::Carried;

/// How long the state of a partition that left is kept for another worker.
const LIFE: Duration = Duration::from_secs(300);

/// Touched at rebalances only.
#[derive(Default)]
pub struct Shelf(Mutex<HashMap<TopicPartition, (Instant, Carried)>>);

impl Shelf {
    pub fn put(&self, id: TopicPartition, carried: Carried) {
        self.locked().insert(id, (Instant::now(), carried));
    }

    pub fn take(&self, id: &TopicPartition) -> Option<Carried> {
        self.locked().remove(id).map(|(_, carried)| carried)
    }

    /// Lets go of what nobody took for long: its partition went to another host.
    pub fn clear_old(&self) {
        self.locked().retain(|_, (since, _)| since.elapsed() < LIFE);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<TopicPartition, (Instant, Carried)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
