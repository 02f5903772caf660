//! Parked records that are put through again, between two records of the source.

use std::time::Duration;

use super::Worker;
use crate::clock::Now;
use crate::commit::WorkerError;
use crate::record::TopicPartition;

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

    fn next_release(&self, now: Now) -> Option<TopicPartition> {
        let due = self.tasks.values().filter(|task| task.has_release(now.instant)).map(|task| &task.id);
        next_in_turn(due, self.released.as_ref()).cloned()
    }
}

/// The one whose turn it is: the next one after the last, and the first after all.
fn next_in_turn<'a>(
    due: impl Iterator<Item = &'a TopicPartition>,
    last: Option<&TopicPartition>,
) -> Option<&'a TopicPartition> {
    due.min_by_key(|id| (Some(*id) <= last, *id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_that_has_something_to_release_has_its_turn_before_one_has_another() {
        let id = |topic: &str, partition| TopicPartition { topic: topic.into(), partition };
        let all = [id("a", 0), id("a", 1), id("b", 0)];
        let mut last = None;
        let turns = (0..7).map(|_| {
            // The tasks' map has no order of its own.
            let next = next_in_turn(all.iter().rev(), last.as_ref()).cloned().expect("some are due");
            last = Some(next.clone());
            next
        });
        let expected: Vec<_> = all.iter().cycle().take(7).cloned().collect();
        assert_eq!(turns.collect::<Vec<_>>(), expected);

        let two = [&all[0], &all[1]].into_iter();
        assert_eq!(next_in_turn(two, Some(&all[1])), Some(&all[0]), "the other is done");
        assert_eq!(next_in_turn([&all[1]].into_iter(), Some(&all[1])), Some(&all[1]), "it is alone");
        assert_eq!(next_in_turn(std::iter::empty(), Some(&all[1])), None);
    }
}
