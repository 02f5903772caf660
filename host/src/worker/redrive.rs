//! Dead letters that someone redrives, between two records of the source.

use std::time::Duration;

use rdkafka::producer::Producer;

use super::Worker;
use crate::clock::Now;
use crate::commit::WorkerError;
use crate::kafka::flush;
use crate::task::{Progress, Task};

/// The longest wait for marks of redriven dead letters to arrive.
const MARKS: Duration = Duration::from_millis(500);
/// How long one round redrives dead letters: the source's records go on.
const REDRIVE: Duration = Duration::from_millis(10);

impl Worker {
    /// Puts dead letters that someone redrives through their pipelines.
    pub(super) fn redrive(&mut self, mut now: Now) -> Result<(), WorkerError> {
        let redrives = &self.shared.redrives;
        if redrives.is_empty() || now.instant < self.redrive_at {
            return Ok(());
        }
        let since = now.instant;
        self.redrive_at = since + REDRIVE;
        for task in self.tasks.values_mut() {
            while now.instant.duration_since(since) < REDRIVE
                && task.readiness().takes_back()
                && let Some(request) = task.next_redrive(redrives, now.instant)
            {
                if !self.committer.begin(&self.sender) {
                    return self.send_outputs();
                }
                // What waits to be tried again waits for a later round.
                if task.redrive(&self.context, request, &mut now, &mut self.outputs) == Progress::Waits {
                    break;
                }
                // There may be more: a record of the source, then on.
                self.redrive_at = since;
            }
        }
        self.send_outputs()
    }

    /// Counts what was redriven and, at least once, marks it as done: at once,
    /// so that another owner of the partition finds the marks.
    pub(super) fn finish_redrives(&mut self) -> Result<(), WorkerError> {
        let now = self.clock.read();
        for task in self.tasks.values_mut() {
            for plan in task.take_redriven(&self.context, now, &mut self.outputs) {
                self.shared.metrics.redriven(&plan.name);
            }
        }
        if !self.outputs.is_empty() {
            self.send_outputs()?;
            flush(&self.sender, MARKS);
            self.sender.poll(Duration::ZERO);
        }
        // What failed is traced back with the next commit.
        if self.sender.in_flight_count() == 0 && !self.sender.context().has_failed() {
            self.tasks.values_mut().for_each(Task::marks_arrived);
        }
        Ok(())
    }
}
