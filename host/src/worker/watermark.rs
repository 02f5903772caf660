//! Event time that someone sets back, after a record moved it too far.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::Worker;
use crate::commit::Committed;
use crate::commit::WorkerError;

/// Sets event time of a pipeline's partitions back, as far as this worker owns them.
pub struct SetBack {
    pub pipeline: Arc<str>,
    /// Its source.
    pub topic: Arc<str>,
    /// None for all.
    pub partition: Option<i32>,
    /// Milliseconds since the Unix epoch.
    pub to: u64,
    pub answer: Sender<Vec<SetBackTo>>,
}

/// A partition whose event time was past the time that it was to be set back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBackTo {
    pub partition: i32,
    /// Where it was, in milliseconds since the Unix epoch.
    pub from: u64,
    /// Whether it is committed; else it is where it was.
    pub done: bool,
}

impl Worker {
    /// Commits what stands open, so that nothing else is lost should the commit of
    /// the watermarks fail.
    pub(super) fn set_watermark_back(&mut self, asked: &SetBack) -> Result<(), WorkerError> {
        self.commit()?;
        let mut set = Vec::new();
        if !self.halted && self.committer.begin(&self.sender) {
            let of_pipeline = |partition: i32| asked.partition.is_none_or(|wanted| wanted == partition);
            for task in self.tasks.values_mut().filter(|task| task.id.topic == asked.topic) {
                let partition = task.id.partition;
                if !of_pipeline(partition) || task.broken().is_some() {
                    continue;
                }
                if let Some(from) = task.set_watermark_back(&asked.pipeline, asked.to) {
                    set.push(SetBackTo { partition, from, done: true });
                }
            }
            if !set.is_empty() && self.commit()? == Committed::RolledBack {
                set.iter_mut().for_each(|set| set.done = false);
            }
        }
        // Nobody waits any more for an answer that comes late.
        let _ = asked.answer.send(set);
        Ok(())
    }
}
