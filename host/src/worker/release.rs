//! Parked records that are put through again, between two records of the source.

use std::time::Duration;

use super::Worker;
use crate::error::WorkerError;
use crate::task::Now;

/// How often they are looked for: a busy worker passes here with each record.
const LOOK: Duration = Duration::from_millis(10);

impl Worker {
    /// Puts parked records through their pipelines, a turn of each task: after a
    /// swap, and once a partition has been taken up.
    pub(super) fn release(&mut self, mut now: Now) -> Result<(), WorkerError> {
        if now.instant < self.release_at {
            return Ok(());
        }
        let since = now.instant;
        for task in self.tasks.values_mut() {
            if !task.has_release(now.instant) {
                continue;
            }
            if !self.committer.begin(&self.sender) {
                break;
            }
            task.release(&self.context, &mut now, &mut self.outputs);
        }
        // Half of the time is for the source's records, however long those here take.
        self.release_at = now.instant + LOOK.max(now.instant.saturating_duration_since(since));
        self.send_outputs()
    }
}
