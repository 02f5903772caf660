//! Opens the state of a stage for one partition: from the local store where it
//! is whole, from the changelog otherwise. Runs beside the record's path.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdkafka::ClientConfig;

use super::changelog::{Changelog, Progress, Reader, Replay, ReplayError};
use super::local::{Found, anew, grown, open_disk, settle_partitions, stand};
use super::stamp::{Ground, STAMP};
use super::{Cache, Checkpoint, Held, MemoryStore, StateError, StateStore};
use super::{Disk, DiskStore, Redis, Standby, Survey};
use crate::clock::wall_ms;
use crate::config::{Backend, Config};
use crate::kafka;
use crate::kafka::topics::Topics;
use crate::plan::StoreId;
use crate::plan::{Plan, StagePlan};

/// Where a host keeps the folder of its disk stores, below `host.data-dir`.
pub const DISK_FOLDER: &str = "state";

/// All that stores are opened from.
pub struct Stores {
    pub(super) app: String,
    client: ClientConfig,
    changelogs: Vec<Changelog>,
    /// How many partitions the source of each pipeline has.
    partitions: HashMap<String, i32>,
    pub(super) disk: Option<Disk>,
    pub(super) redis: Option<Redis>,
}

/// Opens stores, one after the other; one for each thread that does.
pub struct Opener {
    pub(super) stores: Arc<Stores>,
    pub(super) standby: Arc<Standby>,
    /// Made with the first changelog that is read.
    reader: Option<Reader>,
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// To be tried again.
    #[error("{0}")]
    NotYet(String),
    /// The partition was given away in the meantime.
    #[error("cancelled")]
    Cancelled,
    /// Only an operator can help.
    #[error("{0}")]
    Impossible(String),
    /// The state does not belong to the group's offset: a person is to decide.
    #[error("{0}")]
    Mismatch(Held),
}

impl From<StateError> for OpenError {
    fn from(error: StateError) -> OpenError {
        match error {
            error if error.is_retriable() || error == StateError::Fenced => OpenError::NotYet(error.to_string()),
            error => OpenError::Impossible(error.to_string()),
        }
    }
}

impl From<ReplayError> for OpenError {
    fn from(error: ReplayError) -> OpenError {
        match error {
            ReplayError::Cancelled => OpenError::Cancelled,
            error if error.is_retriable() => OpenError::NotYet(error.to_string()),
            error => OpenError::Impossible(error.to_string()),
        }
    }
}

/// Up to where the group has a pipeline on a partition.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The next source offset.
    pub position: i64,
    /// Whether the group has committed it.
    pub pinned: bool,
}

/// Which of a stage's state a cache is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// That of the group's position.
    AtPosition,
    /// None: its partition was on another host.
    Elsewhere,
    /// All of it, of whatever position.
    AsItStands,
    /// None: all of it goes with the next commit.
    Emptied,
}

/// A cache that was opened.
pub struct Opened {
    pub cache: Cache,
    /// The furthest position that any of the state is known to have had.
    pub furthest: i64,
    /// Entries that go with the next commit, as the state is emptied.
    pub removed: u64,
}

impl Stores {
    /// Opens what the stages of `plans` need: the folder of the disk stores,
    /// the settings of Redis.
    ///
    /// # Errors
    /// When the folder cannot be used or Redis's settings are wrong. A folder
    /// that is damaged as a whole is set aside where every stage that uses it
    /// has a changelog to be rebuilt from. [`StateError::Refused`] when a source
    /// has got more partitions than the state was kept for.
    pub fn open(
        config: &Config,
        plans: &[Arc<Plan>],
        topics: &Topics,
        changelogs: Vec<Changelog>,
    ) -> Result<Stores, StateError> {
        let count = |plan: &Arc<Plan>| topics.get(&plan.source).map_or(0, |topic| topic.partitions);
        let partitions: HashMap<_, _> = plans.iter().map(|plan| (plan.name.clone(), count(plan))).collect();
        let stages = || plans.iter().flat_map(|plan| &plan.stages);
        let on_disk = || stages().filter(|stage| stage.state.backend == Backend::Disk);
        let disk = match on_disk().next() {
            None => None,
            Some(_) => {
                let folder = config.host.data_dir.join(DISK_FOLDER);
                Some(open_disk(&folder, on_disk().all(|stage| stage.changelog.is_some()))?)
            }
        };
        if let Some(disk) = &disk {
            on_disk().try_for_each(|stage| settle_partitions(disk, stage, partitions[&stage.scope.pipeline]))?;
        }
        let redis = match stages().any(|stage| stage.state.backend == Backend::Redis) {
            true => config.redis.as_ref().map(Redis::new).transpose()?,
            false => None,
        };
        let client = kafka::base_config(config);
        Ok(Stores { app: config.app.clone(), client, changelogs, partitions, disk, redis })
    }

    /// The cache of `stage` for `partition`, where nothing has to be read for it.
    pub fn at_once(&self, stage: &StagePlan) -> Option<Cache> {
        (!stage.is_durable()).then(|| Cache::new(Box::new(MemoryStore::default()), stage.scope.cache, stage.origins))
    }

    pub(super) fn changelog(&self, stage: &StagePlan) -> Option<&Changelog> {
        let topic = stage.changelog.as_deref()?;
        self.changelogs.iter().find(|changelog| changelog.topic == topic)
    }

    pub(super) fn client(&self) -> &ClientConfig {
        &self.client
    }

    /// The folder of the stores of `stage`, if they are on disk.
    pub(super) fn disk_of(&self, stage: &StagePlan) -> Option<&Disk> {
        self.disk.as_ref().filter(|_| stage.state.backend == Backend::Disk)
    }
}

impl Opener {
    pub fn new(stores: Arc<Stores>, standby: Arc<Standby>) -> Opener {
        Opener { stores, standby, reader: None }
    }

    /// As [`Stores::at_once`].
    pub fn at_once(&self, stage: &StagePlan) -> Option<Cache> {
        self.stores.at_once(stage)
    }

    /// What reads changelogs, made with the first that is read.
    ///
    /// # Errors
    /// When the client library refuses its configuration.
    pub(super) fn reader(&mut self) -> Result<&mut Reader, ReplayError> {
        Ok(match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::new(&self.stores.client)?),
        })
    }

    /// The cache of the stage that was surveyed, where the group is `at`: of its
    /// state what `how` says. Stamps of its commits say what `ground` does.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn cache(
        &mut self,
        survey: &Survey,
        (how, at): (How, At),
        ground: Ground,
        progress: &Progress,
        cancelled: &AtomicBool,
    ) -> Result<Opened, OpenError> {
        let (stage, id) = (&*survey.stage, &survey.store);
        let stores = self.stores.clone();
        let (store, filled) = match (stage.state.backend, &stores.disk, &stores.redis) {
            (Backend::Redis, _, Some(redis)) => {
                let now = stores.partitions[&id.pipeline];
                let then = redis.partitions(&stores.app, &id.pipeline, &id.stage, now)?;
                if then != now {
                    return Err(grown(&id.pipeline, &id.stage, then, now).into());
                }
                let stands = survey.stands().filter(|_| matches!(how, How::AsItStands | How::Emptied));
                let store = redis.store(&stores.app, id, stands.unwrap_or(at.position))?;
                (Box::new(store) as Box<dyn StateStore>, Filled::default())
            }
            (Backend::Disk, Some(disk), _) => {
                let (store, filled) = self.disk_store(disk, survey, how, at, progress, cancelled)?;
                (Box::new(store) as Box<dyn StateStore>, filled)
            }
            _ => {
                let at = At { position: survey.read_to(how, at), ..at };
                self.memory_store(stage, id, at, progress, cancelled)?
            }
        };
        let mut cache = Cache::new(store, stage.scope.cache, stage.origins);
        cache.caught_up(filled.changelog);
        // Entries that are ahead of the offsets still stand in the changelog: the
        // next commit writes over them.
        cache.touch(filled.ahead)?;
        cache.find_own()?;
        cache.found_on(ground);
        if how == How::AsItStands && survey.lacks_changelog() {
            // What the store noted was of the changelog that it had.
            cache.caught_up(survey.changelog_end());
            cache.touch_all()?;
        }
        let removed = if how == How::Emptied { cache.clear()? } else { 0 };
        Ok(Opened { cache, furthest: survey.furthest().max(filled.furthest), removed })
    }

    fn disk_store(
        &mut self,
        disk: &Disk,
        survey: &Survey,
        how: How,
        at: At,
        progress: &Progress,
        cancelled: &AtomicBool,
    ) -> Result<(DiskStore, Filled), OpenError> {
        let (stage, id) = (&*survey.stage, &survey.store);
        let at = At { position: survey.read_to(how, at), ..at };
        let (mut store, whole_to) = match how {
            How::AsItStands | How::Emptied if survey.is_rebuilt(how) => (anew(disk, stage, id)?, None),
            How::AtPosition if survey.is_superseded() => (anew(disk, stage, id)?, None),
            How::Elsewhere => {
                tracing::warn!(
                    store = %id,
                    position = at.position,
                    "the partition was on another host, and the local store has no changelog; starting with empty state"
                );
                (anew(disk, stage, id)?, None)
            }
            _ => {
                match stand(disk, stage, id, survey.stands().filter(|_| how != How::AtPosition).unwrap_or(at.position))?
                {
                    (store, Found::Whole(checkpoint)) => {
                        return Ok((store, Filled { changelog: checkpoint.changelog, ..Filled::default() }));
                    }
                    (store, Found::Behind(checkpoint)) => {
                        tracing::info!(store = %id, from = checkpoint.changelog, "the local store is behind: rolling forward");
                        (store, Some(checkpoint))
                    }
                    (store, Found::Nothing) => (store, None),
                }
            }
        };
        let opened = match self.rebuild(stage, id, &mut store, at, whole_to, progress, cancelled) {
            Err(Rebuild::FromNothing(why)) => {
                tracing::warn!(store = %id, why, "the local store cannot be rolled forward: rebuilding it");
                drop(store);
                store = anew(disk, stage, id)?;
                self.rebuild(stage, id, &mut store, at, None, progress, cancelled)
            }
            outcome => outcome,
        }?;
        Ok((store, opened))
    }

    /// The entries of a stage that are only in memory: from a standby copy
    /// where this host has one.
    fn memory_store(
        &mut self,
        stage: &StagePlan,
        id: &StoreId,
        at: At,
        progress: &Progress,
        cancelled: &AtomicBool,
    ) -> Result<(Box<dyn StateStore>, Filled), OpenError> {
        if let Some((mut store, checkpoint)) = self.standby.take(id) {
            match self.rebuild(stage, id, &mut *store, at, Some(checkpoint), progress, cancelled) {
                Ok(opened) => return Ok((store, opened)),
                Err(Rebuild::FromNothing(why)) => {
                    tracing::warn!(store = %id, why, "the standby copy cannot be rolled forward: rebuilding it");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut store = Box::<MemoryStore>::default();
        let opened = self.rebuild(stage, id, &mut *store, at, None, progress, cancelled)?;
        Ok((store, opened))
    }

    #[allow(clippy::too_many_arguments)]
    fn rebuild(
        &mut self,
        stage: &StagePlan,
        id: &StoreId,
        store: &mut dyn StateStore,
        at: At,
        checkpoint: Option<Checkpoint>,
        progress: &Progress,
        cancelled: &AtomicBool,
    ) -> Result<Filled, Rebuild> {
        let Some(topic) = &stage.changelog else {
            let checkpoint = Checkpoint { position: at.position, changelog: 0, at: wall_ms() };
            store.restored(checkpoint)?;
            return Ok(Filled::default());
        };
        let started = std::time::Instant::now();
        let stores = self.stores.clone();
        let reader = self.reader()?;
        let replay = Replay {
            topic,
            partition: id.partition,
            checkpoint,
            position: at.position,
            delete_retention: stores.changelog(stage).map_or(Duration::ZERO, |changelog| changelog.delete_retention),
            now: wall_ms(),
        };
        let replayed = reader.replay(&replay, store, progress, cancelled)?;
        // Of whatever position: as far as any of it goes.
        let position = if at.position == i64::MAX { replayed.furthest } else { at.position };
        store.restored(Checkpoint { position, changelog: replayed.checkpoint, at: wall_ms() })?;
        let entries = store.len() - u64::from(store.get(STAMP)?.is_some());
        tracing::info!(
            store = %id,
            records = replayed.records,
            bytes = replayed.bytes,
            seconds = started.elapsed().as_secs_f64(),
            entries,
            "restored from the changelog"
        );
        Ok(Filled { changelog: replayed.checkpoint, ahead: replayed.ahead, furthest: replayed.furthest })
    }
}

/// What filling a store found.
#[derive(Default)]
struct Filled {
    /// Every changelog record below this offset is in the store.
    changelog: i64,
    /// Keys whose newest changelog entries are ahead of the group's offsets.
    ahead: Vec<String>,
    /// The furthest position of an entry that was taken.
    furthest: i64,
}

enum Rebuild {
    /// The changelog no longer tells all that happened since the store's checkpoint.
    FromNothing(String),
    Failed(OpenError),
}

impl From<StateError> for Rebuild {
    fn from(error: StateError) -> Rebuild {
        Rebuild::Failed(error.into())
    }
}

impl From<ReplayError> for Rebuild {
    fn from(error: ReplayError) -> Rebuild {
        match error {
            error if error.needs_rebuild() => Rebuild::FromNothing(error.to_string()),
            error => Rebuild::Failed(error.into()),
        }
    }
}

impl From<Rebuild> for OpenError {
    fn from(rebuild: Rebuild) -> OpenError {
        match rebuild {
            Rebuild::FromNothing(why) => OpenError::NotYet(why),
            Rebuild::Failed(error) => error,
        }
    }
}
