//! The stamps of a task's state: where the group is before and after a commit.

use std::sync::Arc;

use super::{Recorded, Task};
use crate::plan::{Plan, StagePlan};
use crate::position::Position;
use crate::state::Noted;
use crate::state::{Ground, Point, StateError};

/// What a task tells of its state with each commit.
#[derive(Default)]
pub(super) struct Stamps {
    /// Of the metadata: the stages that stamp their state, and the host.
    words: Option<String>,
    /// Someone has decided what becomes of the state, and no commit has told yet:
    /// what the group has committed is no place of this state's.
    decided: bool,
}

impl Stamps {
    pub fn of<'a>(plans: impl Iterator<Item = &'a Arc<Plan>> + Clone) -> Stamps {
        let host = plans.clone().next().map_or("", |plan| plan.host.as_str());
        let durable = plans.flat_map(|plan| &plan.stages).filter(|stage| stage.is_durable());
        Stamps { words: Noted::words(durable.map(|stage| stage.tag.as_str()), host), decided: false }
    }

    /// The words of the metadata, beside the one that names versions.
    pub fn words(&self, versions: Option<String>) -> Option<String> {
        match (versions, &self.words) {
            (Some(versions), Some(words)) => Some(format!("{versions} {words}")),
            (versions, words) => versions.or_else(|| words.clone()),
        }
    }

    pub fn finish(&mut self) {
        self.decided = false;
    }
}

impl Task {
    /// The task as it goes on from `position` with the state of `recorded`: so
    /// someone decided, as the state did not belong to what the group has committed.
    pub fn decided(mut self, position: Position) -> Task {
        self.position = position;
        self.stamps.decided = true;
        self
    }

    /// Whether any of its state is stamped: it belongs to offsets of one source.
    pub fn is_stamped(&self) -> bool {
        self.stamps.words.is_some()
    }

    /// The stages whose state is stamped, with what their stamps say.
    pub fn grounds(&self) -> impl Iterator<Item = (&StagePlan, &Ground)> {
        self.stages().filter_map(|stage| Some((&*stage.plan, stage.cache.ground()?)))
    }

    /// The topics that its state is of, with their ids where the brokers told them.
    pub fn topic_ids(&self) -> impl Iterator<Item = (&Arc<str>, &str)> {
        self.grounds().flat_map(move |(plan, ground)| {
            let source = ground.source.as_deref().map(|id| (&self.id.topic, id));
            let log = ground.log.as_ref().and_then(|log| Some((plan.changelog.as_ref()?, log.id.as_deref()?)));
            source.into_iter().chain(log)
        })
    }

    /// What was decided about the state has no commit: it is opened anew, as the
    /// group's offset and what stands in the stores say then.
    pub(super) fn take_back_decision(&mut self) {
        if self.stamps.decided && self.broken.is_none() {
            let told = "the commit of what was decided about the state did not happen";
            self.broken = Some(StateError::Refused(told.to_owned()));
        }
    }

    /// The group has committed where the task begins.
    pub fn pin(&mut self) {
        self.pinned = true;
    }

    /// The metadata of the offset where the task begins, before its state has
    /// stamps: ours, without the words that tell of those.
    pub fn metadata_of_start(&self) -> String {
        self.committed.metadata(self.next_versions().word())
    }

    /// Puts a stamp among the entries of each stage whose state is durable, for
    /// the commit of this interval.
    pub(super) fn stamp(&mut self) -> Result<(), StateError> {
        if self.stamps.words.is_none() {
            return Ok(());
        }
        let point = |position: Position, recorded: &Recorded, pinned: bool| Point {
            next: position.next,
            metadata: pinned.then(|| position.metadata(recorded.word())),
        };
        let from = (!self.stamps.decided).then(|| point(self.committed, self.recorded(), self.pinned));
        let to = point(self.position, self.next_versions(), true);
        self.stages_mut().try_for_each(|stage| stage.cache.stamp(from.as_ref(), &to))
    }
}
