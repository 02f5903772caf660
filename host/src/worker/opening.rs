//! The state of one partition, opened: where it belongs to the group's offset,
//! and else as someone decides.

use std::sync::Arc;

use super::restore::Restoring;
use crate::plan::StoreId;
use crate::plan::{Plan, StagePlan};
use crate::position::Position;
use crate::state::{
    At, Cache, Decision, Ground, Held, How, Mismatch, OpenError, Opener, Stamp, Survey, Verdict, Whereabouts, adopted,
};
use crate::task::Recorded;

/// A partition's state.
pub struct Opened {
    /// By pipeline and stage.
    pub caches: Vec<Vec<Cache>>,
    /// Where the group is, as its offset's metadata or else the state tells.
    pub position: Position,
    pub recorded: Recorded,
    /// What was decided, where the state did not belong to that.
    pub decided: Option<Decided>,
}

/// What someone decided about a partition's state, as it is carried out.
pub struct Decided {
    /// Where its records go on.
    pub position: Position,
    pub stages: Vec<Settled>,
}

/// A stage whose state did not belong to the group's offset.
pub struct Settled {
    pub mismatch: Mismatch,
    pub decision: Decision,
    /// Entries that it has now, and how many have gone.
    pub entries: u64,
    pub removed: u64,
}

/// Opens every stage's cache.
///
/// # Errors
/// As [`OpenError`] says.
pub fn open_all(opener: &mut Opener, plans: &[Arc<Plan>], job: &Restoring) -> Result<Opened, OpenError> {
    let plans: Vec<&Arc<Plan>> = plans.iter().filter(|plan| plan.source == job.id.topic).collect();
    let stages =
        || plans.iter().enumerate().flat_map(|(index, plan)| plan.stages.iter().map(move |stage| (index, stage)));
    let durable: Vec<_> = stages().filter(|(_, stage)| stage.is_durable()).collect();
    let mut opening = Opening::new(opener, job, &durable)?;
    let host = plans.first().map_or("", |plan| plan.host.as_str());
    let settled = opening.decide(host)?;
    let mut found = opening.surveys.iter().zip(&opening.how);
    let (mut caches, mut opened) = (Vec::new(), Vec::new());
    let mut furthest = 0;
    for plan in &plans {
        let mut of_plan = Vec::new();
        for stage in &plan.stages {
            if let Some(cache) = opening.opener.at_once(stage) {
                of_plan.push(cache);
                continue;
            }
            let Some((survey, how)) = found.next() else { break };
            let at = At { position: opening.at.position.of_pipeline(survey.index), pinned: job.pinned };
            let ground = opening.ground(survey, *how);
            let one = opening.opener.cache(survey, (*how, at), ground, &job.progress, &job.cancelled)?;
            furthest = furthest.max(one.furthest);
            opened.push((survey.store.clone(), one.cache.len(), one.removed));
            of_plan.push(one.cache);
        }
        caches.push(of_plan);
    }
    drop(found);
    let decided = settled.map(|(stages, restored)| opening.decided(stages, restored, furthest, &opened));
    let Opening { at, recorded, restored_from, .. } = opening;
    let position = restored_from.unwrap_or(at.position);
    Ok(Opened { caches, position, recorded, decided })
}

struct Opening<'a> {
    opener: &'a mut Opener,
    surveys: Vec<Survey>,
    /// What each cache is to have of its state, in the order of `surveys`.
    how: Vec<How>,
    /// Where the state is to be.
    at: Whereabouts,
    recorded: Recorded,
    /// Where the group is, where the state is to be elsewhere.
    restored_from: Option<Position>,
    decision: Option<Decision>,
}

/// Stages that were decided about, and whether the offset moves to the state.
type Choice = (Vec<(Mismatch, Decision)>, bool);

impl<'a> Opening<'a> {
    fn new(
        opener: &'a mut Opener,
        job: &Restoring,
        durable: &[(usize, &Arc<StagePlan>)],
    ) -> Result<Opening<'a>, OpenError> {
        let mut surveys = Vec::with_capacity(durable.len());
        for (index, stage) in durable {
            surveys.push(opener.survey(stage, *index, job.id.partition, &job.cancelled)?);
        }
        // Stamps are in time with the group's offset, which was asked for before.
        let next = if job.pinned { job.position.next } else { 0 };
        let source = opener.source(&job.id, next, &job.cancelled)?;
        let (mut position, mut recorded) = (job.position, job.recorded.clone());
        let stamps: Vec<&Stamp> = surveys.iter().flat_map(Survey::stamps).collect();
        if job.pinned && !job.noted.ours {
            // A commit from outside has erased what the offset's metadata told.
            if let Some(point) = adopted(position.next, &stamps) {
                position = point.position();
                recorded = Recorded::committed(point.metadata.as_deref().unwrap_or_default());
                if position != job.position {
                    tracing::info!(
                        partition = %job.id,
                        position = position.next,
                        "the metadata of the group's offset was erased; taking it from the state"
                    );
                }
            }
        } else if !job.pinned
            && let Some(first) = stamps.iter().filter(|stamp| stamp.is_first()).find_map(|stamp| stamp.from.as_ref())
        {
            // Its first commit failed: the same records come again.
            position = first.position();
        }
        let (pinned, noted) = (job.pinned, job.noted.clone());
        let at = Whereabouts { topic: job.id.topic.clone(), position, pinned, noted, source };
        let how = vec![How::AtPosition; surveys.len()];
        let decision = job.decision.map(|(decision, _)| decision).or(job.noted.order);
        Ok(Opening { opener, surveys, how, at, recorded, restored_from: None, decision })
    }

    /// Compares each state with where the group is, and decides where it differs.
    fn decide(&mut self, host: &str) -> Result<Option<Choice>, OpenError> {
        let mut wrong = Vec::new();
        for (index, survey) in self.surveys.iter().enumerate() {
            match survey.judge(&self.at, host) {
                Verdict::Fits => {}
                Verdict::Elsewhere => self.how[index] = How::Elsewhere,
                Verdict::Mismatch(mismatch) => wrong.push((index, mismatch)),
            }
        }
        if wrong.is_empty() {
            return Ok(None);
        }
        let mut choices = Vec::with_capacity(wrong.len());
        for (index, mismatch) in &wrong {
            let configured = Decision::configured(self.surveys[*index].stage.state.on_mismatch);
            match self.decision.or(configured) {
                Some(decision) => choices.push((*index, mismatch.clone(), decision)),
                None => return Err(held(wrong, None)),
            }
        }
        let restored = choices.iter().any(|(_, _, decision)| *decision == Decision::Restore);
        if restored {
            match self.restorable(host) {
                Ok((position, recorded)) => {
                    self.restored_from = Some(self.at.position);
                    (self.at.position, self.recorded) = (position, recorded);
                }
                Err(why) => return Err(held(wrong, Some(why))),
            }
        } else {
            if !self.at.noted.ours
                && let Some(stamp) = self.surveys.iter().filter_map(Survey::stamp).next_back()
            {
                self.recorded = Recorded::committed(stamp.to.metadata.as_deref().unwrap_or_default());
            }
            for (index, _, decision) in &choices {
                self.how[*index] = if *decision == Decision::Keep { How::AsItStands } else { How::Emptied };
            }
        }
        Ok(Some((choices.into_iter().map(|(_, mismatch, decision)| (mismatch, decision)).collect(), restored)))
    }

    /// The furthest place that all of the state belongs to, within the source.
    fn restorable(&self, host: &str) -> Result<(Position, Recorded), String> {
        let Whereabouts { topic, source, .. } = &self.at;
        let mut points: Vec<_> = self.surveys.iter().flat_map(Survey::stamps).flat_map(Stamp::points).collect();
        points.sort_by_key(|point| point.position().of_pipeline(usize::MAX));
        let fits = |position: Position| {
            let mut at = Whereabouts { position, pinned: true, ..self.at.clone() };
            // As if the group had committed it.
            at.noted.ours = true;
            at.noted.stages.get_or_insert_default();
            self.surveys.iter().all(|survey| survey.judge(&at, host) == Verdict::Fits)
        };
        let Some(point) = points.iter().rev().find(|point| fits(point.position())) else {
            return Err(
                "The group's offset cannot move to the state: there is no offset that all of the state belongs to."
                    .to_owned(),
            );
        };
        if !(source.start..=source.end).contains(&point.next) {
            return Err(format!(
                "The group's offset cannot move to the state: that is as of offset {}, and `{topic}` holds offsets {} \
                 to {}.",
                point.next, source.start, source.end
            ));
        }
        let recorded = Recorded::committed(point.metadata.as_deref().unwrap_or_default());
        Ok((point.position(), recorded))
    }

    /// Where records go on, within the source: an offset past its end would have
    /// the client begin at its first record, or wherever `auto.offset.reset` says.
    fn within(&self, next: i64) -> i64 {
        let source = &self.at.source;
        match self.surveys.iter().any(|survey| survey.is_of_another_source(source)) {
            // The offset is of a topic that is gone, if it is still there.
            true if self.at.pinned => source.start,
            _ => next.min(source.end),
        }
    }

    fn ground(&self, survey: &Survey, how: How) -> Ground {
        survey.ground(&self.at.source, matches!(how, How::AsItStands | How::Emptied))
    }

    fn decided(
        &self,
        stages: Vec<(Mismatch, Decision)>,
        restored: bool,
        furthest: i64,
        opened: &[(StoreId, u64, u64)],
    ) -> Decided {
        let mut position = self.at.position;
        if !restored {
            // A record half done is of another offset. And the state's position goes
            // on from the furthest that it had: its entries stay behind it.
            position.begun = None;
            position.next = self.within(position.next);
            let behind = furthest.saturating_sub(position.of_pipeline(0)).max(0).unsigned_abs();
            position.migrated = position.migrated.saturating_add(behind).saturating_add(1);
        }
        let settled = |(mismatch, decision): (Mismatch, Decision)| {
            let one = opened.iter().find(|(store, _, _)| *store == mismatch.store);
            let (entries, removed) = one.map_or((0, 0), |(_, entries, removed)| (*entries, *removed));
            Settled { mismatch, decision, entries, removed }
        };
        Decided { position, stages: stages.into_iter().map(settled).collect() }
    }
}

fn held(wrong: Vec<(usize, Mismatch)>, refused: Option<String>) -> OpenError {
    OpenError::Mismatch(Held { mismatches: wrong.into_iter().map(|(_, mismatch)| mismatch).collect(), refused })
}
