//! Commands, between two records: above all versions that take over from others.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{Agreement, Command, Flow, Swap, Swapped, Worker};
use crate::clock::Now;
use crate::clock::wall_ms;
use crate::commit::WorkerError;
use crate::plugin::Version;
use crate::record::TopicPartition;
use crate::task::InForce;

/// How often a worker that waits for the others says that it lives.
const BEAT: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn apply_commands(&mut self) -> Result<Flow, WorkerError> {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Stop => return Ok(Flow::Stop),
                Command::Pause(pause) => self.apply_pause(pause)?,
                Command::SetWatermarkBack(asked) => self.set_watermark_back(&asked)?,
                Command::Settle(settle) => self.settle(settle),
                Command::Look { lookup, answer } => {
                    let found = self.tasks.values_mut().filter_map(|task| task.look(&lookup)).collect();
                    // Nobody waits any more for an answer that comes late.
                    let _ = answer.send(found);
                }
                Command::Swap(Swap { to, agreement, answer }) => {
                    // No transaction has outputs of two versions; a migration is
                    // to go back to what is committed.
                    if self.committer.is_begun() || agreement.is_some() {
                        self.commit()?;
                    }
                    // What the old version did is counted as its own.
                    self.publish();
                    let unmigrated = self.tasks.values().filter(|task| task.is_unmigrated());
                    let stuck: Vec<_> = unmigrated.map(|task| task.id.clone()).collect();
                    let swapped = match agreement {
                        None => self.swap(&to),
                        Some(agreement) => self.swap_and_migrate(&to, agreement)?,
                    };
                    // Nobody waits for it any more when the deployment was given up.
                    let _ = answer.send(swapped);
                    self.go_on(&stuck)?;
                    self.take_up_awaiting()?;
                }
            }
        }
        Ok(Flow::Continue)
    }

    fn swap(&mut self, to: &InForce) -> Swapped {
        let started = Instant::now();
        let refused = self.instate(to, started).err();
        Swapped { worker: self.index, pause: started.elapsed(), refused }
    }

    /// All tasks of this worker, or none; why none.
    fn instate(&mut self, to: &InForce, now: Instant) -> Result<(), String> {
        let mut swapped = Vec::new();
        let mut refused = None;
        for task in self.tasks.values_mut() {
            match task.swap(&self.context.engine, &to.version, now) {
                Ok(()) => swapped.push(task),
                Err(failure) => {
                    refused = Some(failure.to_string());
                    break;
                }
            }
        }
        let plugin = to.version.plugin();
        let Some(refused) = refused else {
            self.versions.insert(plugin.to_owned(), to.clone());
            self.tasks.values_mut().for_each(|task| task.version_changed(&self.versions));
            return Ok(());
        };
        if let Some(old) = self.versions.get(plugin) {
            for task in swapped {
                if let Err(failure) = task.swap(&self.context.engine, &old.version, now) {
                    tracing::error!(plugin, %failure, "the old version cannot be instantiated either");
                }
            }
        }
        Err(refused)
    }

    /// Takes over with the state of this worker's partitions, once those of all
    /// workers can; else version and state are those of before. No record is
    /// processed and no partition comes or goes meanwhile.
    fn swap_and_migrate(&mut self, to: &InForce, Agreement { ready, go }: Agreement) -> Result<Swapped, WorkerError> {
        let now = self.clock.tick();
        let started = now.instant;
        let version = &to.version;
        let before = self.versions.get(version.plugin()).cloned();
        let mut refused = match self.halted {
            true => Some("the brokers or the state store do not answer: deploy it again once they do".to_owned()),
            false => self.instate(to, started).err(),
        };
        let instated = refused.is_none();
        if instated {
            refused = self.stage_migrations(version, now);
        }
        let staged = refused.is_none();
        // Whoever gave the deployment up has hung up.
        let _ = ready.send(refused.clone());
        drop(ready);
        if staged && self.agreed(&go) {
            self.tasks.values_mut().for_each(|task| task.keep_migration(Some(version.plugin())));
            self.commit()?;
        } else if instated {
            if staged {
                self.tasks.values_mut().for_each(|task| task.undo_migration());
                refused = Some("another worker could not migrate the state".to_owned());
            }
            if let Some(old) = before
                && let Err(failure) = self.instate(&old, started)
            {
                tracing::error!(
                    plugin = old.version.plugin(),
                    failure,
                    "the old version cannot be instantiated either"
                );
            }
        }
        Ok(Swapped { worker: self.index, pause: started.elapsed(), refused })
    }

    /// Calls `migrate` for every task, all within the longest time of one; why
    /// none is migrated.
    fn stage_migrations(&mut self, version: &Version, now: Now) -> Option<String> {
        let stages = self.plans.iter().flat_map(|plan| &plan.stages);
        let of_plugin = stages.filter(|stage| stage.scope.plugin == version.plugin());
        let bound = of_plugin.map(|stage| stage.migrate_timeout).max().unwrap_or_default();
        let until = now.instant + bound;
        let mut staged = Vec::new();
        for task in self.tasks.values_mut().filter(|task| task.is_unmigrated()) {
            self.shared.health.beat(self.index, wall_ms());
            match task.stage_migration(&self.context.engine, now, Some((version.plugin(), until))) {
                Ok(()) => staged.push(task),
                Err(refusal) => {
                    staged.into_iter().for_each(|task| task.undo_migration());
                    return Some(format!("{}, stage {}: {}", task.id, refusal.stage, refusal.failure));
                }
            }
        }
        None
    }

    /// Waits for the word whether all workers can.
    fn agreed(&self, go: &Receiver<bool>) -> bool {
        loop {
            match go.recv_timeout(BEAT) {
                Ok(go) => return go,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => self.shared.health.beat(self.index, wall_ms()),
            }
        }
    }

    /// Resumes those of `stuck` whose state could not be migrated before.
    fn go_on(&self, stuck: &[TopicPartition]) -> Result<(), WorkerError> {
        let tasks = stuck.iter().filter_map(|id| self.tasks.get(id));
        // Where all is paused, all is resumed together.
        let free = tasks.filter(|task| !task.waits() && !self.halted);
        free.map(|task| (&task.id, task.fetch_from())).try_for_each(|(id, from)| self.resume(id, from))
    }

    /// Lets versions take over the state of partitions that came to this worker
    /// with that of another, one each time: the others' records go on in between.
    pub(super) fn migrate_due(&mut self, now: Now) -> Result<(), WorkerError> {
        let Some(task) = self.tasks.values_mut().find(|task| task.migration_due(now.instant)) else { return Ok(()) };
        let migrated = task.migrate(&self.context.engine, now);
        let (id, from, waits) = (task.id.clone(), task.fetch_from(), task.waits());
        if migrated && !waits {
            self.resume(&id, from)?;
        }
        self.publish();
        Ok(())
    }
}
