//! The state of a stage where hosts left it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use indicatif::ProgressBar;

use super::group::{Group, Standpoint};
use super::{Chosen, From, NO_STATE, Refusal};
use crate::clock::wall_ms;
use crate::config::Backend;
use crate::kafka;
use crate::plan::StoreId;
use crate::state::changelog::{Progress, Reader, Replay};
use crate::state::{DISK_FOLDER, Disk, Local, MemoryStore, Redis, Stamp, StateStore};

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
    positions: Vec<Standpoint>,
    /// Partitions whose state is not as of the group's offset, and what is so.
    notes: Vec<String>,
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
        let positions = group.positions(&chosen.source, partitions, chosen.start)?;
        let mut stopped = Stopped { chosen, from, disk, redis, reader: None, positions, notes: Vec::new() };
        if let Some(topic) = stage.changelog.as_ref().filter(|_| stopped.from.contains(&From::Changelog)) {
            match group.partitions(topic)? {
                // It may have been made before its source grew.
                Some(count) if count as usize <= stopped.positions.len() => {
                    stopped.positions.truncate(count as usize);
                    stopped.reader = Some(Reader::new(&kafka::base_config(config))?);
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
        self.positions[partition as usize].is_pinned()
    }

    /// What is to be said of the partitions that were opened: those whose state is
    /// not as of the group's offset.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The state of a partition as of what the group has committed, or else as it
    /// stands; `None` where there is nothing of it here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&mut self, partition: i32, bar: &ProgressBar) -> anyhow::Result<Option<Box<dyn StateStore>>> {
        let stage = &self.chosen.stage;
        let id = StoreId { pipeline: stage.scope.pipeline.clone(), stage: stage.scope.stage.clone(), partition };
        let at = self.positions[partition as usize].at(self.chosen.index);
        bar.set_message(format!("partition {partition} of {}", self.positions.len()));
        if let Some(redis) = &self.redis {
            let app = &self.chosen.config.app;
            let stood = redis.stood(app, &id)?;
            let Some(stands) = stood.position else { return Ok(None) };
            let belongs = stands == at.position || stood.ends.contains(&at.position);
            let store = redis.store(app, &id, if belongs { at.position } else { stands })?;
            self.note(partition, stood.stamp.as_ref(), belongs);
            return Ok(Some(Box::new(store)));
        }
        let tail = match (&self.reader, &stage.changelog) {
            (Some(reader), Some(topic)) => Some(reader.tail(topic, partition, &AtomicBool::new(false))?),
            _ => None,
        };
        let local = match &self.disk {
            Some((disk, here)) if here.contains(&partition) => {
                let mut store = disk.store(&id, stage.state.hot_bytes, false)?;
                store.stood()?.filter(Local::is_whole).map(|local| (store, local))
            }
            _ => None,
        };
        if let Some((mut store, local)) = local {
            // With its last commit taken back, where the group may not have that one.
            let before = local.from == at.position && self.positions[partition as usize].may_lack(&local);
            let belongs = local.checkpoint.position == at.position || before;
            let later = match (tail.as_ref().and_then(|tail| tail.stamp.as_ref()), &local.stamp) {
                (Some(last), Some(local)) => !local.follows(last),
                (Some(_), None) => true,
                // Without a stamp, the one that belongs to the group's offset.
                (None, _) => tail.as_ref().is_some_and(|tail| tail.records) && !belongs,
            };
            if belongs || !later {
                store.standing(if belongs { at.position } else { local.checkpoint.position })?;
                self.note(partition, local.stamp.as_ref(), belongs);
                return Ok(Some(Box::new(store)));
            }
        }
        let (Some(reader), Some(topic), Some(tail)) = (&self.reader, &stage.changelog, tail) else { return Ok(None) };
        let known = self.positions[partition as usize].noted().ours;
        let belongs = tail
            .stamp
            .as_ref()
            .map_or(known, |stamp| known && stamp.fits(&self.positions[partition as usize].position()));
        let stamped = tail.stamp.as_ref().map(|stamp| stamp.to.position().of_pipeline(self.chosen.index));
        let read_to = if belongs { at.position } else { stamped.unwrap_or(i64::MAX) };
        let mut store = replay(reader, topic, partition, read_to, bar)?;
        let empty = store.is_empty() && tail.records && tail.stamp.is_none();
        if empty {
            store = replay(reader, topic, partition, i64::MAX, bar)?;
        }
        self.note(partition, tail.stamp.as_ref(), belongs && !empty);
        Ok(Some(Box::new(store)))
    }

    fn note(&mut self, partition: i32, stamp: Option<&Stamp>, belongs: bool) {
        let Standpoint { next, .. } = self.positions[partition as usize];
        let pinned = self.positions[partition as usize].is_pinned();
        // Of one offset with the group, if its metadata was erased.
        if belongs || stamp.is_some_and(|stamp| pinned && stamp.to.next == next) {
            return;
        }
        let group =
            if pinned { format!("the group has committed {next}") } else { "the group has committed none".into() };
        let state = stamp.map_or("no known offset".to_owned(), |stamp| format!("offset {}", stamp.to.next));
        self.notes.push(format!("partition {partition}: the state as it stands, as of {state}; {group}"));
    }
}

fn replay(
    reader: &Reader,
    topic: &str,
    partition: i32,
    position: i64,
    bar: &ProgressBar,
) -> anyhow::Result<MemoryStore> {
    let mut store = MemoryStore::default();
    let replay =
        Replay { topic, partition, checkpoint: None, position, delete_retention: Duration::MAX, now: wall_ms() };
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
