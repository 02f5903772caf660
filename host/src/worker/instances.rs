//! Whether the host's partitions need more instances than it has.

use std::sync::{Mutex, PoisonError};

/// Touched at rebalances only.
#[derive(Debug)]
pub struct Instances {
    /// `host.max-instances`.
    limit: usize,
    wanted: Mutex<usize>,
}

impl Instances {
    pub fn new(limit: usize) -> Instances {
        Instances { limit, wanted: Mutex::new(0) }
    }

    /// Partitions came that need so many; told where that is more than there are.
    pub fn add(&self, count: usize) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted += count;
        if count > 0 && *wanted > self.limit {
            let (wanted, limit) = (*wanted, self.limit);
            tracing::error!(
                wanted,
                limit,
                "the partitions of this host need {wanted} instances of plugins, one for each stage of each partition, \
                 and `host.max-instances` is {limit}: partitions wait for an instance. Raise it to {wanted}, or start \
                 another host"
            );
        }
    }

    /// Partitions went that needed so many.
    pub fn remove(&self, count: usize) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        *wanted = wanted.saturating_sub(count);
    }
}
