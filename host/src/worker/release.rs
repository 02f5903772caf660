//! Parked records that are put through again, between two records of the source.

use std::time::Duration;

use super::Worker;
use crate::error::WorkerError;
use crate::record::TopicPartition;
use crate::task::Now;

/// How often they are looked for: a busy worker passes here with each record.
const LOOK: Duration = Duration::from_millis(10);

impl Worker {
    /// Puts parked records through their pipeline: after a swap, and once a
    /// partition has been taken up. One partition each time, in turn: the calls
    /// may take long, and a commit is to come in between, while its transaction lives.
    pub(super) fn release(&mut self, now: Now) -> Result<(), WorkerError> {
        if now.instant < self.release_at {
            return Ok(());
        }
        // What came before this has taken its time.
        let mut now = self.clock.tick();
        let since = now.instant;
        if let Some(id) = self.next_release(now)
            && let Some(task) = self.tasks.get_mut(&id)
            && self.committer.begin(&self.sender)
        {
            task.release(&self.context, &mut now, &mut self.outputs);
            self.released = Some(id);
        }
        // Half of the time is for the source's records, however long those here take.
        self.release_at = now.instant + LOOK.max(now.instant.saturating_duration_since(since));
        self.send_outputs()
    }

    /// The partition whose turn it is: the next one after the last, and the first after all.
    fn next_release(&self, now: Now) -> Option<TopicPartition> {
        let due = self.tasks.values().filter(|task| task.has_release(now.instant)).map(|task| &task.id);
        due.min_by_key(|id| (Some(*id) <= self.released.as_ref(), *id)).cloned()
    }
}
