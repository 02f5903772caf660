//! What others see of a task.

use super::stage::Stage;
use super::{Task, Waiting};
use crate::observe::{PartitionState, StageView, View};
use crate::plugin::Failure;

impl Task {
    /// What other threads see of this task.
    pub fn view(&self, worker: usize) -> View {
        let stalled = self.stalled_by();
        let (state, failure) = match (self.migration_waits(), &self.waiting) {
            _ if self.paused => (PartitionState::Paused, None),
            _ if self.trouble.is_some() => (PartitionState::Unreadable, self.trouble.map(|trouble| trouble.kind)),
            _ if stalled.is_some() => (PartitionState::NoProgress, stalled),
            (Some(true), _) => (PartitionState::Retrying, Some("migration")),
            (Some(false), _) => (PartitionState::Held, Some("migration")),
            // More timers are due than one turn fires.
            (None, None | Some(Waiting { kind: None, .. })) => (PartitionState::Running, None),
            (None, Some(Waiting { due: Some(_), kind: kind @ Some(Failure::NO_FREE_INSTANCE), .. })) => {
                (PartitionState::WaitingForInstance, *kind)
            }
            (None, Some(Waiting { due: Some(_), kind, .. })) => (PartitionState::Retrying, *kind),
            (None, Some(Waiting { kind, .. })) => (PartitionState::Held, *kind),
        };
        let stages = self.pipelines.iter().flat_map(|pipeline| &pipeline.stages).map(stage_view);
        View {
            worker,
            state,
            failure,
            awaits: None,
            mismatch: None,
            position: self.position.next,
            committed: self.pinned.then_some(self.committed.next),
            remaining: None,
            end: None,
            open_transaction: None,
            read_to: self.read_to.max(self.position.next),
            stages: stages.collect(),
            releasing: self.is_releasing(),
        }
    }
}

fn stage_view(stage: &Stage) -> StageView {
    let (scope, parked) = (&stage.plan.scope, stage.cache.parked());
    StageView {
        pipeline: scope.pipeline.clone(),
        stage: scope.stage.clone(),
        plugin: scope.plugin.clone(),
        digest: stage.version.digest().to_string(),
        entries: stage.cache.len(),
        bytes: stage.cache.bytes(),
        timers: stage.cache.pending(),
        quarantined_records: parked.records,
        quarantined_keys: parked.keys,
        watermark: stage.cache.watermark(),
    }
}
