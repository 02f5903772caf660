//! Whether a task may go on, and with what: the one place that says so.

use std::time::Instant;

use super::Task;

/// What keeps a task from going on, if anything: the first of these that holds.
///
/// ```text
///             ┌──────────── may it … ────────────────────────────────────────┐
///              process a    try again    fire     put parked and redriven
///              record       what waits   timers   records through again
///   Broken       no           no          no       no
///   Paused       no           no          no       no
///   Unmigrated   no           no          no       no
///   Retrying     no           from `due`  no       yes
///   Held         no           no          no       yes
///   Unreadable   no           no          no       yes
///   Ready        yes          –           yes      yes
/// ```
///
/// A version takes state over (`migrate`) in every task that is not broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Its state cannot go on and is opened anew at what the group has committed;
    /// its records are processed then.
    Broken,
    /// Someone has paused its partition.
    Paused,
    /// A version in force has not taken over the state of the one before.
    Unmigrated,
    /// A record or a timer waits for another try.
    Retrying {
        due: Instant,
    },
    /// A record or a timer failed for good: it waits for a new version, or for what
    /// a topic takes.
    Held,
    /// Its records cannot be read; reading is tried again.
    Unreadable,
    Ready,
}

impl Readiness {
    /// Whether parked records and redriven dead letters may go through again.
    pub fn takes_back(self) -> bool {
        !matches!(self, Readiness::Broken | Readiness::Paused | Readiness::Unmigrated)
    }
}

impl Task {
    pub fn readiness(&self) -> Readiness {
        if self.broken().is_some() {
            return Readiness::Broken;
        }
        if self.paused {
            return Readiness::Paused;
        }
        if self.is_unmigrated() {
            return Readiness::Unmigrated;
        }
        match &self.waiting {
            Some(waiting) => waiting.due.map_or(Readiness::Held, |due| Readiness::Retrying { due }),
            None if self.is_unreadable() => Readiness::Unreadable,
            None => Readiness::Ready,
        }
    }

    /// Whether its partition is to be paused: no record may be processed.
    pub fn waits(&self) -> bool {
        self.readiness() != Readiness::Ready
    }

    /// When what waits is to be tried again.
    pub fn due(&self) -> Option<Instant> {
        match self.readiness() {
            Readiness::Retrying { due } => Some(due),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;
    use crate::record::TopicPartition;
    use crate::state::StateError;
    use crate::task::{Trouble, Versions, Waiting};

    fn task() -> Task {
        let id = TopicPartition::new("source", 0);
        Task::new(id, &[], &Versions::new(), Position::at(0), true, Vec::new())
    }

    fn waiting(due: Option<Instant>) -> Option<Waiting> {
        Some(Waiting { record: None, pipeline: 0, timer: None, attempts: 1, due, kind: Some("trap") })
    }

    #[test]
    fn the_first_that_holds_is_what_a_task_waits_for() {
        let now = Instant::now();
        let mut task = task();
        let mut seen = vec![task.readiness()];
        task.meets(Trouble::new("corrupt-batch", 7, now));
        seen.push(task.readiness());
        task.waiting = waiting(None);
        seen.push(task.readiness());
        task.waiting = waiting(Some(now));
        seen.push(task.readiness());
        task.set_paused(true);
        seen.push(task.readiness());
        task.break_off(StateError::Damaged("a file".into()));
        seen.push(task.readiness());
        use Readiness::{Broken, Held, Paused, Ready, Retrying, Unreadable};
        assert_eq!(seen, [Ready, Unreadable, Held, Retrying { due: now }, Paused, Broken]);
    }

    #[test]
    fn only_a_ready_task_processes_and_only_a_waiting_one_is_due() {
        let now = Instant::now();
        let mut task = task();
        assert!(!task.waits() && task.due().is_none() && task.readiness().takes_back());
        task.waiting = waiting(Some(now));
        assert!(task.waits() && task.due() == Some(now) && task.readiness().takes_back());
        task.set_paused(true);
        assert!(task.waits() && task.due().is_none() && !task.readiness().takes_back());
    }
}
