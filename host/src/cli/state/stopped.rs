//! The state of a stage where hosts left it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use indicatif::ProgressBar;

use super::group::Group;
use super::{Chosen, From, NO_STATE, Refusal};
use crate::clock::wall_ms;
use crate::config::Backend;
use crate::state::changelog::{Progress, Reader, Replay};
use crate::state::{At, DISK_FOLDER, Disk, MemoryStore, Redis, Standing, StateStore, StoreId};
use crate::worker;

/// How often a bar shows what is left to read.
const LOOK: Duration = Duration::from_millis(200);

/// Stores of one stage, opened one by one.
pub struct Stopped<'a> {
    chosen: &'a Chosen,
    /// The first place that a partition is looked for, and the one after it.
    from: Vec<From>,
    disk: Option<(Disk, BTreeSet<i32>)>,
    redis: Option<Redis>,
    reader: Option<Reader>,
    /// By partition.
    positions: Vec<At>,
}

impl<'a> Stopped<'a> {
    /// `from`: as the user says; else where the configuration has it.
    ///
    /// # Errors
    /// When there is no such place, or it cannot be reached.
    pub fn find(chosen: &'a Chosen, from: Option<From>) -> anyhow::Result<Stopped<'a>> {
        let (config, stage) = (&chosen.config, &chosen.stage);
        let refuse = |problem: String| Err(Refusal { code: NO_STATE, problem }.into());
        let name = format!("stage `{}` of pipeline `{}`", stage.scope.stage, stage.scope.pipeline);
        let from = match (from, stage.state.backend) {
            (Some(From::Disk), Backend::Disk) => vec![From::Disk],
            (Some(From::Changelog), _) if stage.changelog.is_some() => vec![From::Changelog],
            (None | Some(From::Redis), Backend::Redis) => vec![From::Redis],
            (None, Backend::Disk) if stage.changelog.is_some() => vec![From::Disk, From::Changelog],
            (None, Backend::Disk) => vec![From::Disk],
            (None, Backend::Memory) if stage.changelog.is_some() => vec![From::Changelog],
            (None, Backend::Memory) => {
                return refuse(format!(
                    "{name} keeps its state in memory without a changelog: it ends with its host, so there is \
                     something to see only while one runs, by its admin API (--admin)"
                ));
            }
            (Some(from), _) => {
                let problem = format!("{name} does not keep its state there (--from {})", from.name());
                return Err(Refusal::usage(problem).into());
            }
        };
        let group = Group::new(config)?;
        let partitions = group.source_partitions(&chosen.source)?;
        let redis = match &config.redis {
            Some(settings) if from.contains(&From::Redis) => {
                // Opening a store takes it away from its owner.
                if group.members()? > 0 {
                    return Err(group.has_members().into());
                }
                Some(Redis::new(settings)?)
            }
            _ => None,
        };
        let folder = config.host.data_dir.join(DISK_FOLDER);
        let disk = match from.contains(&From::Disk) && folder.exists() {
            true => {
                let disk = Disk::open(&folder)?;
                let of_stage = |id: &StoreId| id.pipeline == stage.scope.pipeline && id.stage == stage.scope.stage;
                let here = disk.list()?.into_iter().filter(of_stage).map(|id| id.partition).collect();
                Some((disk, here))
            }
            false => None,
        };
        let positions = group.positions(&chosen.source, partitions, chosen.start, chosen.index)?;
        let mut stopped = Stopped { chosen, from, disk, redis, reader: None, positions };
        if let Some(topic) = stage.changelog.as_ref().filter(|_| stopped.from.contains(&From::Changelog)) {
            match group.partitions(topic)? {
                // It may have been made before its source grew.
                Some(count) if count as usize <= stopped.positions.len() => {
                    stopped.positions.truncate(count as usize);
                    stopped.reader = Some(Reader::new(&worker::base_config(config))?);
                }
                Some(count) => {
                    return refuse(format!(
                        "changelog topic `{topic}` has {count} partitions, more than its source `{}`, which has {partitions}",
                        chosen.source
                    ));
                }
                None if stopped.from == [From::Changelog] => {
                    return refuse(format!("changelog topic `{topic}` does not exist: no host has kept anything yet"));
                }
                None => {}
            }
        }
        Ok(stopped)
    }

    /// Where it is read from.
    pub fn place(&self) -> From {
        match &self.disk {
            None if self.reader.is_some() => From::Changelog,
            _ => self.from[0],
        }
    }

    /// How many partitions there may be.
    pub fn partitions(&self) -> i32 {
        self.positions.len() as i32
    }

    /// Partitions of which the group has committed records.
    pub fn used(&self, partition: i32) -> bool {
        self.positions[partition as usize].pinned
    }

    /// The state of a partition as of what the group has committed; `None`
    /// where there is nothing of it here.
    ///
    /// # Errors
    /// When it cannot be read, or is not of the group's offsets.
    pub fn open(&mut self, partition: i32, bar: &ProgressBar) -> anyhow::Result<Option<Box<dyn StateStore>>> {
        let stage = &self.chosen.stage;
        let id = StoreId { pipeline: stage.scope.pipeline.clone(), stage: stage.scope.stage.clone(), partition };
        let at = self.positions[partition as usize];
        bar.set_message(format!("partition {partition} of {}", self.positions.len()));
        if let Some(redis) = &self.redis {
            // Where nothing is committed, nothing was kept.
            let store = at.pinned.then(|| redis.store(&self.chosen.config.app, &id, at.position)).transpose()?;
            return Ok(store.map(|store| Box::new(store) as Box<dyn StateStore>));
        }
        if let Some((disk, here)) = &self.disk
            && here.contains(&partition)
        {
            let mut store = disk.store(&id, stage.state.hot_bytes, false)?;
            match store.standing(at.position)? {
                Standing::Whole => return Ok(Some(Box::new(store))),
                Standing::Empty => {}
                Standing::Behind(_) | Standing::Ahead(_) if self.reader.is_some() => {}
                Standing::Behind(checkpoint) | Standing::Ahead(checkpoint) => {
                    let problem = format!(
                        "the local store of partition {partition} is as of offset {} of `{}`, and the group has committed \
                         {}: another host has gone on with it, or the group's offsets were moved. Look there{}",
                        checkpoint.position,
                        self.chosen.source,
                        at.position,
                        if stage.changelog.is_some() { ", or with --from changelog" } else { "" }
                    );
                    return Err(Refusal { code: NO_STATE, problem }.into());
                }
            }
        }
        match (&self.reader, &stage.changelog) {
            (Some(reader), Some(topic)) => Ok(Some(Box::new(replay(reader, topic, partition, at, bar)?))),
            _ => Ok(None),
        }
    }
}

fn replay(reader: &Reader, topic: &str, partition: i32, at: At, bar: &ProgressBar) -> anyhow::Result<MemoryStore> {
    let mut store = MemoryStore::default();
    let replay = Replay {
        topic,
        partition,
        checkpoint: None,
        position: at.position,
        delete_retention: Duration::MAX,
        now: wall_ms(),
    };
    let progress = Progress::default();
    let replayed = std::thread::scope(|scope| {
        let (done, over) = crossbeam_channel::bounded::<()>(0);
        let progress = &progress;
        scope.spawn(move || {
            while over.recv_timeout(LOOK) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
                let left = progress.remaining.load(Relaxed);
                bar.set_message(format!("partition {partition}: {left} records of the changelog to go"));
            }
        });
        let replayed = reader.replay(&replay, &mut store, progress, &AtomicBool::new(false));
        drop(done);
        replayed
    });
    replayed?;
    Ok(store)
}
