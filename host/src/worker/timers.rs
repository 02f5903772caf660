//! Timers of partitions that give no record now.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::Worker;
use crate::error::WorkerError;
use crate::task::{Now, Progress};

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
        // An end that the client tells may be that of another source's partition.
        let several = self.plans.iter().any(|plan| plan.source != self.plans[0].source);
        let member = self.member.context();
        for task in self.tasks.values_mut() {
            let may_idle = !several || member.has_fetched_all(&task.id.topic, task.id.partition);
            if !task.has_due(&now, may_idle) {
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
