//! Local stores on disk, as they stand to the group's offsets and to their source.

use std::path::Path;

use super::open::{DISK_FOLDER, OpenError};
use super::{Checkpoint, Disk, DiskStore, Held, Mismatch, Standing, StateError};
use crate::plan::StagePlan;
use crate::plan::StoreId;

/// How a local store stands to the group's offsets.
pub(super) enum Found {
    Whole(Checkpoint),
    /// To be rolled forward from its changelog.
    Behind(Checkpoint),
    /// It is empty, or was emptied as it was of no use.
    Nothing,
}

/// Opens the local store as of `position`, which past every offset finds it behind.
///
/// # Errors
/// As [`OpenError`] says.
pub(super) fn stand(
    disk: &Disk,
    stage: &StagePlan,
    id: &StoreId,
    position: i64,
) -> Result<(DiskStore, Found), OpenError> {
    let open = || disk.store(id, stage.state.hot_bytes, stage.changelog.is_none());
    let stood = open().and_then(|mut store| store.standing(position).map(|standing| (store, standing)));
    match stood {
        Ok((store, Standing::Whole)) => {
            let checkpoint = store.checkpoint();
            Ok((store, Found::Whole(checkpoint)))
        }
        Ok((store, Standing::Behind(checkpoint))) if stage.changelog.is_some() => {
            Ok((store, Found::Behind(checkpoint)))
        }
        Ok((store, Standing::Empty)) => Ok((store, Found::Nothing)),
        Ok((store, Standing::Ahead(checkpoint))) if stage.changelog.is_some() => {
            drop(store);
            tracing::warn!(
                store = %id,
                stands_at = checkpoint.position,
                group_at = position,
                "the local store is ahead of the group's offsets; rebuilding it from its changelog"
            );
            Ok((anew(disk, stage, id)?, Found::Nothing))
        }
        Ok((_, Standing::Behind(checkpoint) | Standing::Ahead(checkpoint))) => {
            let stands = checkpoint.position;
            let reason = format!("The group is at position {position}, and the local store at {stands}.");
            let mismatches = vec![Mismatch { store: id.clone(), reason }];
            Err(OpenError::Mismatch(Held { mismatches, refused: None }))
        }
        Err(StateError::Damaged(what)) if stage.changelog.is_some() => {
            tracing::error!(store = %id, what, "the local store is damaged: rebuilding it from its changelog");
            Ok((anew(disk, stage, id)?, Found::Nothing))
        }
        Err(StateError::Damaged(what)) => Err(OpenError::Impossible(damaged(id, &what))),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn damaged(id: &StoreId, what: &str) -> String {
    format!(
        "the local store of {id} is damaged ({what}) and has no changelog to be rebuilt from: \
         bring back a copy of the data folder, or remove its `{DISK_FOLDER}` folder to begin with empty state"
    )
}

/// An empty store in place of the one that stood there.
pub(super) fn anew(disk: &Disk, stage: &StagePlan, id: &StoreId) -> Result<DiskStore, OpenError> {
    disk.wipe(id)?;
    Ok(disk.store(id, stage.state.hot_bytes, stage.changelog.is_none())?)
}

/// Compares what the stores of a stage were made for with what its source is
/// now. With a changelog, which has been checked by then, they are rebuilt.
pub(super) fn settle_partitions(disk: &Disk, stage: &StagePlan, now: i32) -> Result<(), StateError> {
    let (pipeline, stage_name) = (&stage.scope.pipeline, &stage.scope.stage);
    match disk.partitions(pipeline, stage_name)? {
        Some(then) if then == now => return Ok(()),
        Some(then) if stage.changelog.is_none() => return Err(grown(pipeline, stage_name, then, now)),
        Some(then) => {
            tracing::warn!(
                pipeline,
                stage = stage_name,
                then,
                now,
                "the source has more partitions: rebuilding the local stores"
            );
            let of_stage = |id: &&StoreId| id.pipeline == *pipeline && id.stage == *stage_name;
            disk.list()?.iter().filter(of_stage).try_for_each(|id| disk.wipe(id))?;
        }
        None => {}
    }
    disk.remember_partitions(pipeline, stage_name, now)
}

pub(super) fn grown(pipeline: &str, stage: &str, then: i32, now: i32) -> StateError {
    StateError::Refused(format!(
        "the source of pipeline `{pipeline}` has {now} partitions, and the state of stage `{stage}` was kept for {then}: \
         keys have moved away from their state. See `gregor state export` and `import` in docs/operations.md"
    ))
}

pub(super) fn open_disk(folder: &Path, rebuildable: bool) -> Result<Disk, StateError> {
    match Disk::open(folder) {
        Err(StateError::Damaged(what)) if rebuildable => {
            tracing::error!(what, "the folder of the disk stores is damaged: rebuilding all from their changelogs");
            Disk::discard(folder)?;
            Disk::open(folder)
        }
        opened => opened,
    }
}
