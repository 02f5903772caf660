//! One pipeline of one task: a record or a timer goes through its stages, whole or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Context;
use super::event_time::EventTime;
use super::letter;
use super::outputs::{Passed, Spent, address, fits, pass_on};
use super::provenance::{self, Cause};
use super::quarantine::Releases;
use super::refusals::Refusals;
use super::stage::Stage;
use super::unit::Unit;
use crate::clock::Now;
use crate::config::{OnFailure, Retry};
use crate::plan::{Plan, StagePlan};
use crate::plugin::{Call, Emitted, Failure, Soft};
use crate::record::Output;
use crate::repeated::Repeated;
use crate::state::{StateError, Timer};

static WAITING: Repeated<(String, String, i32, &str)> = Repeated::new();
/// How long to wait when no instance could be made or the state did not answer.
const HOST_BACKOFF: Duration = Duration::from_secs(1);
/// How long to wait for a topic that takes no outputs: every try takes back what
/// the worker did since its last commit.
const TOPIC_BACKOFF: Duration = Duration::from_secs(10);
/// The same where it is the dead-letter topic, whose settings are asked for meanwhile.
const LETTER_BACKOFF: Duration = Duration::from_secs(3);

pub struct Pipeline {
    pub plan: Arc<Plan>,
    pub stages: Vec<Stage>,
    /// The slot of its task, and its index there.
    pub place: (u16, usize),
    pub refusals: Refusals,
    pub time: EventTime,
    pub releases: Releases,
    /// `plugin@digest` of each stage, for lineage headers.
    versions: String,
    /// The log has named a record of the future.
    pub told_of_future: bool,
}

/// How often a record was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// Since it came from the source, was redriven or is released.
    pub attempts: u32,
    /// Before that: until it became a dead letter or was parked.
    pub before: u32,
    /// How often it was redriven, this time included.
    pub redriven: u32,
}

/// What became of a record in this pipeline.
pub enum Settled {
    /// It succeeded, or is where the policy wants it.
    Done,
    /// To be tried again at `due`, or, without, when a new version lands.
    Wait { attempts: u32, due: Option<Instant>, kind: &'static str },
    /// The state cannot go on; nothing became of the record.
    Broken(StateError),
}

/// A try that gave nothing.
pub(super) struct Failed {
    /// Where in the pipeline.
    pub stage: usize,
    pub failure: Failure,
}

impl Pipeline {
    pub fn new(plan: Arc<Plan>, stages: Vec<Stage>) -> Pipeline {
        let time = EventTime::new(&plan, None);
        let mut pipeline = Pipeline {
            plan,
            stages,
            place: (0, 0),
            refusals: Refusals::default(),
            time,
            releases: Releases::default(),
            versions: String::new(),
            told_of_future: false,
        };
        pipeline.name_versions();
        pipeline.find_time();
        pipeline.tell_misplaced();
        pipeline.release_all();
        pipeline
    }

    /// Event time as the stages have it. One that keeps none has that of the
    /// next one that does: it is never behind.
    pub fn find_time(&mut self) {
        let mut watermark = None;
        for stage in self.stages.iter_mut().rev() {
            stage.cache.advance(watermark);
            watermark = stage.cache.watermark();
        }
        self.time.roll_back(watermark);
    }

    /// To be called when a stage's version changed.
    pub fn name_versions(&mut self) {
        let names =
            self.stages.iter().map(|stage| format!("{}@{}", stage.version.plugin(), stage.version.digest().short()));
        self.versions = names.collect::<Vec<_>>().join(",");
    }

    /// Tries `unit`, which has been `tried` before, and applies the failing
    /// stage's policy; parks it untried where others of its record key are parked.
    pub fn settle(
        &mut self,
        context: &Context,
        unit: &Unit<'_>,
        now: &mut Now,
        mut tried: Tried,
        outputs: &mut Vec<Output>,
    ) -> Settled {
        if self.stages[0].cache.is_quarantined(unit.record.key) && unit.parked.is_none() {
            return self.park_behind(&context.topics, unit, tried, now);
        }
        let mut fresh = false;
        loop {
            tried.attempts += 1;
            let failed = match self.attempt(context, unit, now, outputs) {
                Ok(()) => return Settled::Done,
                Err(failed) => failed,
            };
            if failed.failure.worth_a_fresh_instance() && !fresh {
                fresh = true;
                self.stages[failed.stage].retire();
                continue;
            }
            let settled = self.give_up(context, unit, now, tried, &failed, outputs);
            // That of one that is parked was taken away when it was.
            if let (Settled::Done, Some((stage, timer)), None) = (&settled, unit.timer, unit.parked) {
                return self.leave_out(stage, timer, now);
            }
            return settled;
        }
    }

    /// A timer that failed for good does not fire again.
    pub(super) fn leave_out(&mut self, stage: usize, timer: &Timer, now: &Now) -> Settled {
        let cache = &mut self.stages[stage].cache;
        cache.begin(now.wall_ms, timer.record_key.as_deref());
        let taken = cache.take_timer(timer);
        cache.keep();
        taken.map_or_else(Settled::Broken, |()| Settled::Done)
    }

    /// One try: outputs and writes of all stages, or of none.
    fn attempt(
        &mut self,
        context: &Context,
        unit: &Unit<'_>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Failed> {
        if let Err(failure) = self.admit(unit, now.wall_ms) {
            self.stages[0].forget_call();
            return Err(Failed { stage: 0, failure });
        }
        let before = outputs.len();
        self.stages.iter_mut().for_each(|stage| stage.cache.begin(now.wall_ms, unit.record.key));
        let outcome = self
            .through_stages(context, unit, now, outputs)
            .and_then(|()| self.check_entries(context, unit.record.key));
        if outcome.is_ok() {
            self.stages.iter_mut().for_each(|stage| stage.cache.keep());
        } else {
            self.stages.iter_mut().for_each(|stage| stage.cache.undo());
            outputs.truncate(before);
        }
        outcome
    }

    /// Whether the pipeline takes a record of that size and time; a timer comes with none.
    fn admit(&self, unit: &Unit<'_>, now_ms: u64) -> Result<(), Failure> {
        if unit.timer.is_some() {
            return Ok(());
        }
        let Plan { max_record_bytes, max_headers, .. } = *self.plan;
        let (bytes, count) = (unit.record.bytes(), unit.record.headers.len().max(unit.left_out));
        if bytes > max_record_bytes {
            return Err(Failure::RecordTooLarge { bytes, limit: max_record_bytes });
        }
        if count > max_headers {
            return Err(Failure::TooManyHeaders { count, limit: max_headers });
        }
        self.future(unit.record.timestamp, now_ms).map_or(Ok(()), Err)
    }

    fn through_stages(
        &mut self,
        context: &Context,
        unit: &Unit<'_>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Failed> {
        let last = self.stages.len() - 1;
        let lineage = self.plan.provenance.then_some(self.versions.as_str());
        let (first, record) = (unit.first(), &unit.record);
        let (slot, index) = self.place;
        let refusals = &mut self.refusals;
        let origin = unit.origin().in_pipeline(index);
        let sent = origin.in_task(slot).sent_alone(refusals.is_suspect(origin));
        let mut passed: Vec<Passed> = Vec::new();
        for (index, stage) in self.stages.iter_mut().enumerate().skip(first) {
            let mut spent = Spent::default();
            let mut next = Vec::new();
            let inputs = passed.iter().map(|passed| passed.view(record));
            // The first stage gets the unit itself, later ones what was passed on.
            for input in (index == first).then_some(*record).into_iter().chain(inputs) {
                let emitted = match unit.cause() {
                    Some(timer) if index == first => {
                        let taken = stage.cache.take_timer(timer).map_err(Failure::State);
                        taken.and_then(|()| stage.call(&context.engine, Call::OnTimer(&input, timer), now))
                    }
                    cause => stage.call(&context.engine, Call::Process(&input, cause), now),
                };
                let plan = &stage.plan;
                let mut take = |output: Emitted| {
                    spent.add(&output, plan)?;
                    if index < last && output.topic.is_none() {
                        next.push(pass_on(output, &input)?);
                        return Ok(());
                    }
                    let mut output = address(output, &input, plan, &self.plan, &context.topics, now.wall_ms)?;
                    refusals.check(origin, &output.topic)?;
                    output.origin = sent;
                    if let Some(versions) = lineage {
                        provenance::set_lineage(&mut output.headers, unit, &context.worker, versions);
                    }
                    outputs.push(output);
                    Ok(())
                };
                let taken = emitted.and_then(|emitted| emitted.into_iter().try_for_each(&mut take));
                let failed = taken.as_ref().err().map(Failure::kind);
                stage.tally.call(failed);
                if unit.parked.is_some() {
                    stage.tally.released(failed);
                }
                taken.map_err(|failure| Failed { stage: index, failure })?;
            }
            passed = next;
        }
        Ok(())
    }

    /// What the failing stage's configuration says.
    fn give_up(
        &mut self,
        context: &Context,
        unit: &Unit<'_>,
        now: &Now,
        tried: Tried,
        Failed { stage, failure }: &Failed,
        outputs: &mut Vec<Output>,
    ) -> Settled {
        let plan = self.plan.clone();
        let of_timer = unit.timer.map(|(index, _)| self.stages[index].plan.clone());
        let stage = &mut self.stages[*stage];
        let (kind, attempts) = (failure.kind(), tried.attempts);
        let (slot, index) = self.place;
        let origin = unit.origin().in_pipeline(index);
        let wait = |due| Settled::Wait { attempts, due, kind };
        tell(&stage.plan, unit, failure, stage.refused, attempts);
        if let Failure::State(error @ (StateError::Damaged(_) | StateError::Refused(_) | StateError::Fenced)) = failure
        {
            return Settled::Broken(error.clone());
        }
        // Not the record's fault: no policy may cost it.
        match failure {
            Failure::NoInstance(_) | Failure::PoolFull(_) | Failure::State(_) => {
                return Settled::Wait { attempts: attempts - 1, due: Some(now.instant + HOST_BACKOFF), kind };
            }
            Failure::TopicUnavailable { .. } => {
                return Settled::Wait { attempts: attempts - 1, due: Some(now.instant + TOPIC_BACKOFF), kind };
            }
            _ => {}
        }
        if matches!(failure, Failure::Retry(_)) && attempts <= stage.plan.retry.attempts {
            stage.tally.retries += 1;
            return wait(Some(now.instant + backoff(&stage.plan.retry, attempts)));
        }
        stage.keep_capsule();
        let failing = stage.plan.clone();
        let cause = || Cause {
            pipeline: &plan.name,
            stage: &failing.scope.stage,
            timer_stage: of_timer.as_ref().map(|plan| &*plan.scope.stage),
            digest: stage.version.digest().to_string(),
            kind,
            reason: reason(failure, stage.refused),
            attempts: tried.before.saturating_add(attempts),
            redriven: tried.redriven,
            at_ms: now.wall_ms,
        };
        match (failing.on_failure, &plan.dead_letter) {
            (OnFailure::Skip, _) => {
                stage.tally.skipped += 1;
                Settled::Done
            }
            (OnFailure::DeadLetter, Some(topic)) => {
                let known = context.topics.get(topic);
                let checked = self.refusals.check_letter(origin, topic);
                let mut letter = letter::dead_letter(unit, &cause(), topic, known, checked == Ok(true));
                letter.origin = origin.in_task(slot).sent_alone(self.refusals.is_suspect(origin));
                if let Err(failure) = fits(&letter, known, now.wall_ms) {
                    tell(&stage.plan, unit, &failure, None, attempts);
                    return Settled::Wait { attempts, due: None, kind: failure.kind() };
                }
                if let Err(failure) = checked {
                    tell(&stage.plan, unit, &failure, None, attempts);
                    let due = Some(now.instant + LETTER_BACKOFF);
                    return Settled::Wait { attempts: attempts - 1, due, kind: failure.kind() };
                }
                stage.tally.dead_letter(kind);
                outputs.push(letter);
                Settled::Done
            }
            (OnFailure::Quarantine, _) => {
                let cause = cause();
                self.park(&context.topics, unit, &cause, attempts)
            }
            (OnFailure::DeadLetter | OnFailure::Hold, _) => wait(None),
        }
    }
}

/// Bytes of a reason that are kept: a dead letter has to fit its topic.
const LONGEST_REASON: usize = 500;

/// What the host says of the failure, with the limit's numbers: never the guest's words.
fn reason(failure: &Failure, refused: Option<(Soft, u64)>) -> String {
    let mut reason = match refused {
        Some((soft, limit)) => format!("{failure}; in that call its cache met {} = {limit}", soft.name()),
        None => failure.to_string(),
    };
    reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
    reason
}

/// One line for an operator: position, kind and limits, never what the record
/// holds or what a timer is called.
fn tell(stage: &StagePlan, unit: &Unit<'_>, failure: &Failure, refused: Option<(Soft, u64)>, attempts: u32) {
    if matches!(failure, Failure::PoolFull(_)) {
        // Told once for all of a host's partitions, when they are assigned.
        return;
    }
    let (scope, record) = (&stage.scope, &unit.record);
    let mut suppressed = None;
    if let Failure::NoInstance(_) | Failure::State(_) | Failure::TopicUnavailable { .. } = failure {
        // Tried again until it goes: the same line each time.
        let about = (scope.stage.clone(), record.topic.to_owned(), record.partition, failure.kind());
        suppressed = WAITING.line_about(about);
        if suppressed.is_none() {
            return;
        }
    }
    tracing::warn!(
        pipeline = scope.pipeline,
        stage = scope.stage,
        topic = record.topic,
        partition = record.partition,
        offset = unit.timer.is_none().then_some(record.offset),
        timer = unit.cause().map(|timer| timer.domain.name()),
        timer_at = unit.cause().map(|timer| timer.at),
        attempts,
        kind = failure.kind(),
        suppressed,
        "{}",
        reason(failure, refused),
    );
    if let (Some(_), Some(text)) = (scope.log, failure.guest_text()) {
        tracing::warn!(target: "gregor::guest", pipeline = scope.pipeline, stage = scope.stage, "{text:?}");
    }
}

/// Doubles from `backoff` up to `max-backoff`.
fn backoff(retry: &Retry, attempts: u32) -> Duration {
    let factor = 2_u32.saturating_pow(attempts.saturating_sub(1));
    retry.backoff.saturating_mul(factor).min(retry.max_backoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_bound() {
        let ms = Duration::from_millis;
        let retry = Retry { attempts: 9, backoff: ms(100), max_backoff: ms(1_000) };
        let waits: Vec<_> = [1, 2, 3, 4, 5, 1_000].map(|attempts| backoff(&retry, attempts)).into();
        assert_eq!(waits, [ms(100), ms(200), ms(400), ms(800), ms(1_000), ms(1_000)]);
    }
}
