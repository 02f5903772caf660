//! Partitions that wait for a version: another host's was the last to process
//! them, and this host does not know it as one before its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Worker;
use super::restore::Restoring;
use crate::commit::WorkerError;
use crate::config::UnknownVersions;
use crate::observe::{PartitionState, View};
use crate::record::TopicPartition;
use crate::task::Ran;

/// Versions that partitions of this host were found to wait for, by plugin:
/// what someone deploys here on purpose from then on is newer.
#[derive(Debug, Default)]
pub struct Awaited(Mutex<HashMap<String, BTreeSet<Ran>>>);

impl Awaited {
    fn note(&self, plugin: &str, ran: Ran) {
        self.locked().entry(plugin.to_owned()).or_default().insert(ran);
    }

    pub fn of(&self, plugin: &str) -> Vec<Ran> {
        self.locked().get(plugin).map(|found| found.iter().copied().collect()).unwrap_or_default()
    }

    /// The versions of `plugin` were found to be older than what came since.
    pub fn forget(&self, plugin: &str, older: &[Ran]) {
        if let Some(found) = self.locked().get_mut(plugin) {
            found.retain(|ran| !older.contains(ran));
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, BTreeSet<Ran>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// The plugin and the version that the partition is to wait for.
    fn awaits(&self, restoring: &Restoring) -> Option<(&str, Ran)> {
        let plans = self.plans.iter().filter(|plan| plan.source == restoring.id.topic);
        plans.flat_map(|plan| &plan.stages).find_map(|stage| {
            let plugin = stage.scope.plugin.as_str();
            let (recorded, running) = (restoring.recorded.of(plugin)?, self.versions.get(plugin)?);
            let follows = running.standing.follows(running.version.digest(), recorded);
            (!follows).then_some((plugin, recorded))
        })
    }

    /// Whether the partition waits for a version, from now on or still; told once.
    pub(super) fn must_wait(&self, restoring: &Restoring) -> bool {
        let Some((plugin, ran)) = self.awaits(restoring) else { return false };
        let running = self.versions.get(plugin).map(|running| running.version.digest().short()).unwrap_or_default();
        let (partition, digest) = (&restoring.id, ran.digest.short());
        if self.shared.unknown_versions == UnknownVersions::Serve {
            tracing::warn!(
                worker = self.index, %partition, plugin, digest, running,
                "another host's version was the last to process it, and this host does not know it; \
                 goes on as `plugins.unknown-versions` says"
            );
            return false;
        }
        if !self.awaiting.contains_key(&restoring.id) {
            self.shared.awaited.note(plugin, ran);
            tracing::warn!(
                worker = self.index, %partition, plugin, digest, running,
                "waits for a version: another host's was the last to process it, and may be newer than this host's; \
                 deploy that version here, or, if this host's is the newer one, deploy it again with \
                 `gregor plugin deploy`"
            );
        }
        true
    }

    /// Takes up the partitions whose wait is over.
    pub(super) fn take_up_awaiting(&mut self) -> Result<(), WorkerError> {
        let over: Vec<TopicPartition> =
            self.awaiting.values().filter(|waits| !self.must_wait(waits)).map(|waits| waits.id.clone()).collect();
        for id in &over {
            let Some(restoring) = self.awaiting.remove(id) else { continue };
            tracing::info!(worker = self.index, partition = %id, "waits for no version any more");
            match self.task_at_once(&restoring) {
                Some((task, _)) => self.take_up(task)?,
                None => self.restore(restoring),
            }
        }
        if !over.is_empty() {
            self.publish();
        }
        Ok(())
    }

    /// What others see of a partition that waits for a version.
    pub(super) fn view_of_awaiting(&self, restoring: &Restoring) -> View {
        let awaits = self.awaits(restoring).map(|(plugin, ran)| format!("{plugin}@{}", ran.digest));
        View { state: PartitionState::WaitingForVersion, awaits, remaining: None, ..self.view_of_restoring(restoring) }
    }
}
