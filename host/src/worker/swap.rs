//! Commands, between two records: above all versions that take over from others.

use std::sync::Arc;
use std::time::Instant;

use super::{Command, Flow, Swapped, Worker};
use crate::error::WorkerError;
use crate::plugin::Version;

impl Worker {
    pub(super) fn apply_commands(&mut self) -> Result<Flow, WorkerError> {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Stop => return Ok(Flow::Stop),
                Command::Look { lookup, answer } => {
                    let found = self.tasks.values_mut().filter_map(|task| task.look(&lookup)).collect();
                    // Nobody waits any more for an answer that comes late.
                    let _ = answer.send(found);
                }
                Command::Swap { version, answer } => {
                    // No transaction has outputs of two versions.
                    if self.committer.is_begun() {
                        self.commit()?;
                    }
                    // What the old version did is counted as its own.
                    self.publish();
                    let swapped = self.swap(&version);
                    // Nobody waits for it any more when the deployment was given up.
                    let _ = answer.send(swapped);
                }
            }
        }
        Ok(Flow::Continue)
    }

    /// All tasks of this worker, or none.
    fn swap(&mut self, version: &Arc<Version>) -> Swapped {
        let started = Instant::now();
        let old = self.versions.get(version.plugin()).cloned();
        let mut refused = None;
        let mut swapped = Vec::new();
        for task in self.tasks.values_mut() {
            match task.swap(&self.context.engine, version, started) {
                Ok(()) => swapped.push(task),
                Err(failure) => {
                    refused = Some(failure.to_string());
                    break;
                }
            }
        }
        if refused.is_none() {
            self.versions.insert(version.plugin().to_owned(), version.clone());
        } else if let Some(old) = old {
            for task in swapped {
                if let Err(failure) = task.swap(&self.context.engine, &old, started) {
                    tracing::error!(plugin = old.plugin(), %failure, "the old version cannot be instantiated either");
                }
            }
        }
        Swapped { worker: self.index, pause: started.elapsed(), refused }
    }
}
