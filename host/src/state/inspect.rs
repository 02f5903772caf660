//! Looking at a partition's state, before any of it is opened.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::StateError;
use super::changelog::{Bounds, Tail};
use super::open::{OpenError, Opener};
use super::survey::{Local, Place, Survey};
use crate::config::Backend;
use crate::plan::StagePlan;
use crate::plan::StoreId;
use crate::record::TopicPartition;

impl Opener {
    /// The source partition as the brokers have it, whose group is at `next`.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn source(&mut self, id: &TopicPartition, next: i64, cancelled: &AtomicBool) -> Result<Bounds, OpenError> {
        Ok(self.reader()?.source(&id.topic, id.partition, next, cancelled)?)
    }

    /// What stands where of a stage's state. `index` is the pipeline's place
    /// among those of the source.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn survey(
        &mut self,
        stage: &Arc<StagePlan>,
        index: usize,
        partition: i32,
        cancelled: &AtomicBool,
    ) -> Result<Survey, OpenError> {
        let store = stage.store(partition);
        let tail = match &stage.changelog {
            Some(topic) => Some(self.reader()?.tail(topic, partition, cancelled)?),
            None => None,
        };
        let place = self.place(stage, &store, tail)?;
        Ok(Survey { stage: stage.clone(), store, index, place })
    }

    fn place(&mut self, stage: &StagePlan, id: &StoreId, tail: Option<Tail>) -> Result<Place, OpenError> {
        let stores = self.stores.clone();
        match (stage.state.backend, &stores.disk, &stores.redis, tail) {
            (Backend::Redis, _, Some(redis), _) => Ok(Place::Redis(redis.stood(&stores.app, id)?)),
            (Backend::Disk, Some(disk), _, tail) => {
                // Closes the standby copy, which is this very store.
                drop(self.standby.take(id));
                let opened = disk.store(id, stage.state.hot_bytes, tail.is_none());
                match opened.and_then(|mut store| store.stood()) {
                    Ok(local) => Ok(Place::Disk(local.filter(Local::is_whole), tail)),
                    // To be rebuilt, if the changelog is what it is to be.
                    Err(StateError::Damaged(_)) if tail.is_some() => Ok(Place::Disk(None, tail)),
                    Err(StateError::Damaged(what)) => Err(OpenError::Impossible(super::local::damaged(id, &what))),
                    Err(error) => Err(error.into()),
                }
            }
            (_, _, _, Some(tail)) => Ok(Place::Changelog(tail)),
            _ => Err(OpenError::Impossible(format!("the state of {id} is kept nowhere"))),
        }
    }
}
