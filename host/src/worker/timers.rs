//! Timers of partitions that give no record now.

use std::time::Duration;

use super::Worker;
use crate::clock::Now;
use crate::commit::WorkerError;
use crate::task::Progress;

/// How often they are looked for: a busy worker passes here with each record.
const LOOK: Duration = Duration::from_millis(10);

impl Worker {
    /// Fires what is due in partitions that nothing waits in. A partition with
    /// records fires its own ahead of each.
    pub(super) fn fire_due(&mut self, mut now: Now) -> Result<(), WorkerError> {
        if now.instant < self.timers_at {
            return Ok(());
        }
        self.timers_at = now.instant + LOOK;
        let mut wait = Vec::new();
        for task in self.tasks.values_mut() {
            if !task.has_due(&now) {
                continue;
            }
            if !self.committer.begin(&self.sender) {
                break;
            }
            if task.fire(&self.context, &mut now, &mut self.outputs) == Progress::Waits {
                wait.push(task.id.clone());
            }
        }
        self.send_outputs()?;
        wait.iter().try_for_each(|id| self.pause(id))
    }
}
