//! The versions that a task's state goes through, and `migrate`: a version that
//! exports it takes the state over before its first record.

use std::time::{Duration, Instant};

use super::order::{Ran, Recorded};
use super::{Task, Versions};
use crate::clock::Now;
use crate::kafka::GroupOffset;
use crate::plugin::{Engine, Failure};
use crate::position::Position;
use crate::record::Record;
use crate::state::StateError;

/// How long to wait when no instance could be made or the state did not answer.
const HOST_BACKOFF: Duration = Duration::from_secs(1);

/// What a task knows of the versions of its plugins.
#[derive(Default)]
pub struct Succession {
    /// Those whose state the group has committed.
    committed: Recorded,
    /// Those whose state the next commit will have.
    next: Recorded,
    /// Those in force.
    running: Recorded,
    unmigrated: Option<Unmigrated>,
}

/// A version in force has not taken over the state of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unmigrated {
    /// It is to do so before the next record.
    Due,
    /// Another try, as the host could not serve the last one.
    At(Instant),
    /// It failed: the partition waits for another version.
    Held,
}

/// Why a version did not take the state over.
#[derive(Debug)]
pub struct Refusal {
    /// Of the pipeline.
    pub stage: String,
    pub failure: Failure,
}

impl Task {
    /// The task as it goes on after the versions that the group has recorded.
    pub fn after(mut self, recorded: Recorded, versions: &Versions) -> Task {
        self.succession.committed = recorded.clone();
        self.take_standings(versions);
        self.succeed(&recorded);
        self
    }

    /// To be called when a version in force, or its standing, has changed.
    pub fn version_changed(&mut self, versions: &Versions) {
        self.take_standings(versions);
        let state_of = self.succession.next.clone();
        self.succeed(&state_of);
    }

    fn take_standings(&mut self, versions: &Versions) {
        let mut running = Recorded::default();
        for stage in self.stages() {
            let plugin = &stage.plan.scope.plugin;
            let returns = versions.get(plugin).map_or(0, |in_force| in_force.standing.returns);
            running.set(plugin, Ran { digest: stage.version.digest(), returns });
        }
        self.succession.running = running;
    }

    /// The versions in force go on with the state of `before`: at once, where
    /// they do not migrate it first.
    fn succeed(&mut self, before: &Recorded) {
        let (mut next, mut unmigrated) = (before.without_versions(), None);
        for stage in self.stages() {
            let plugin = &stage.plan.scope.plugin;
            let Some(running) = self.succession.running.of(plugin) else { continue };
            let ran = match before.of(plugin) {
                Some(before) if before.digest == running.digest => before.max(running),
                Some(before) if stage.version.migrates() => {
                    unmigrated = Some(Unmigrated::Due);
                    before
                }
                _ => running,
            };
            next.set(plugin, ran);
        }
        (self.succession.next, self.succession.unmigrated) = (next, unmigrated);
    }

    /// The metadata of its next commit.
    pub fn metadata(&self) -> String {
        self.position.metadata(self.stamps.words(self.succession.next.word()))
    }

    /// Whether what the group has committed is what this task's next commit
    /// was to be.
    pub fn stands_at(&self, group: &GroupOffset) -> bool {
        Position::committed(group.next, &group.metadata) == self.position
            && Recorded::committed(&group.metadata) == self.succession.next
    }

    /// The versions whose state the next commit will have.
    pub(super) fn next_versions(&self) -> &Recorded {
        &self.succession.next
    }

    /// Whether the versions are to be committed.
    pub(super) fn has_new_versions(&self) -> bool {
        self.succession.committed != self.succession.next
    }

    /// The versions are committed.
    pub(super) fn finish_versions(&mut self) {
        self.succession.committed = self.succession.next.clone();
    }

    /// Back to the state of the versions that the group has committed.
    pub(super) fn roll_back_versions(&mut self) {
        let committed = self.succession.committed.clone();
        self.succeed(&committed);
    }

    /// The versions that the group has committed.
    pub fn recorded(&self) -> &Recorded {
        &self.succession.committed
    }

    /// Whether no record may be processed yet, as a version in force has not
    /// taken the state over.
    pub fn is_unmigrated(&self) -> bool {
        self.succession.unmigrated.is_some()
    }

    /// Why records wait, as a view shows it: whether it will be tried again.
    pub(super) fn migration_waits(&self) -> Option<bool> {
        match self.succession.unmigrated {
            None | Some(Unmigrated::Due) => None,
            Some(Unmigrated::At(_)) => Some(true),
            Some(Unmigrated::Held) => Some(false),
        }
    }

    /// Whether `migrate` is to be called by now.
    pub fn migration_due(&self, now: Instant) -> bool {
        if self.broken().is_some() {
            return false;
        }
        match self.succession.unmigrated {
            Some(Unmigrated::Due) => true,
            Some(Unmigrated::At(due)) => due <= now,
            None | Some(Unmigrated::Held) => false,
        }
    }

    /// Lets the versions in force take the state over, outside of a swap: there
    /// is no version to go back to. Where one fails, the partition waits for
    /// another; whether records may go on.
    pub fn migrate(&mut self, engine: &Engine, now: Now) -> bool {
        let refusal = match self.stage_migration(engine, now, None) {
            Ok(()) => {
                self.keep_migration(None);
                tracing::info!(partition = %self.id, "the state is migrated");
                return true;
            }
            Err(refusal) => refusal,
        };
        let Refusal { stage, failure } = &refusal;
        match failure {
            Failure::State(error @ (StateError::Damaged(_) | StateError::Refused(_) | StateError::Fenced)) => {
                self.break_off(error.clone());
            }
            Failure::State(_) | Failure::NoInstance(_) | Failure::PoolFull(_) => {
                tracing::warn!(partition = %self.id, stage, "the state is not migrated yet: {failure}; trying again");
                self.succession.unmigrated = Some(Unmigrated::At(now.instant + HOST_BACKOFF));
            }
            _ => {
                tracing::error!(
                    partition = %self.id,
                    stage,
                    "the state of the version before cannot be migrated: {failure}; the partition waits: deploy a \
                     version that can, or the one before"
                );
                self.succession.unmigrated = Some(Unmigrated::Held);
            }
        }
        false
    }

    /// Calls `migrate` of every stage whose version has not taken the state
    /// over; in a swap of those of one plugin, by a time at which all have to
    /// be done. What they write is kept or undone by what is called next.
    ///
    /// # Errors
    /// The first that fails; all is undone by then.
    pub fn stage_migration(&mut self, engine: &Engine, now: Now, swap: Option<(&str, Instant)>) -> Result<(), Refusal> {
        // Its place in the topic: for the guest's seed.
        let at = Record {
            topic: &self.id.topic,
            partition: self.id.partition,
            offset: self.position.next,
            timestamp: 0,
            key: None,
            value: None,
            headers: &[],
        };
        let (next, mut outcome) = (&self.succession.next, Ok(()));
        for stage in self.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.stages) {
            let plugin = stage.plan.scope.plugin.as_str();
            let Some(before) = next.of(plugin) else { continue };
            let due = stage.version.migrates() && before.digest != stage.version.digest();
            if !due || swap.is_some_and(|(swapped, _)| swapped != plugin) {
                continue;
            }
            let most = stage.plan.migrate_timeout;
            let left = swap.map_or(most, |(_, until)| until.saturating_duration_since(Instant::now()).min(most));
            if let Err(failure) = stage.migrate(engine, before.digest, &at, now.wall_ms, left) {
                outcome = Err(Refusal { stage: stage.plan.scope.stage.clone(), failure });
                break;
            }
        }
        if outcome.is_err() {
            self.undo_migration();
        }
        outcome
    }

    /// Keeps what `migrate` wrote, in a swap of the stages of one plugin: the
    /// next commit has it, and says so.
    pub fn keep_migration(&mut self, swapped: Option<&str>) {
        let mut state_of = self.succession.next.clone();
        for stage in self.pipelines.iter_mut().flat_map(|pipeline| &mut pipeline.stages) {
            let plugin = stage.plan.scope.plugin.as_str();
            if stage.version.migrates()
                && swapped.is_none_or(|swapped| swapped == plugin)
                && let Some(running) = self.succession.running.of(plugin)
            {
                stage.cache.keep();
                state_of.set(plugin, running);
            }
        }
        if state_of != self.succession.next {
            self.position.migrated = self.position.migrated.saturating_add(1);
            self.succeed(&state_of);
        }
    }

    /// The state is again what the version before left.
    pub fn undo_migration(&mut self) {
        self.stages_mut().for_each(|stage| stage.cache.undo());
    }
}
