//! One pipeline of one task: a record goes through its stages, whole or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plan::{Plan, StagePlan};
use super::provenance::{self, Cause};
use super::stage::Stage;
use super::{Context, Now};
use crate::config::{OnFailure, Retry};
use crate::plugin::{Emitted, Failure, Soft};
use crate::record::{Header, Output, Record};
use crate::state::StateError;
use crate::topics::{Topic, Topics};

/// How long to wait when no instance could be made or the state did not answer.
const HOST_BACKOFF: Duration = Duration::from_secs(1);

pub struct Pipeline {
    pub plan: Arc<Plan>,
    pub stages: Vec<Stage>,
    /// `plugin@digest` of each stage, for lineage headers.
    versions: String,
}

/// How often a record was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// Since it came from the source, or was redriven.
    pub attempts: u32,
    /// Redriven: before it became the dead letter.
    pub before: u32,
    /// How often it was redriven, this time included.
    pub redriven: u32,
}

/// What became of a record in this pipeline.
pub enum Settled {
    Done,
    /// To be tried again at `due`, or, without, when a new version lands.
    Wait {
        attempts: u32,
        due: Option<Instant>,
        kind: &'static str,
    },
    /// The state cannot go on; nothing became of the record.
    Broken(StateError),
}

/// A try that gave nothing.
struct Failed {
    /// Where in the pipeline.
    stage: usize,
    failure: Failure,
}

/// An output on its way to the next stage.
struct Passed {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header>,
}

impl Pipeline {
    pub fn new(plan: Arc<Plan>, stages: Vec<Stage>) -> Pipeline {
        let mut pipeline = Pipeline { plan, stages, versions: String::new() };
        pipeline.name_versions();
        pipeline
    }

    /// To be called when a stage's version changed.
    pub fn name_versions(&mut self) {
        let names =
            self.stages.iter().map(|stage| format!("{}@{}", stage.version.plugin(), stage.version.digest().short()));
        self.versions = names.collect::<Vec<_>>().join(",");
    }

    /// Tries `record`, which has been `tried` before, and applies the failing
    /// stage's policy.
    pub fn settle(
        &mut self,
        context: &Context,
        record: &Record<'_>,
        now: &mut Now,
        mut tried: Tried,
        outputs: &mut Vec<Output>,
    ) -> Settled {
        let mut fresh = false;
        loop {
            tried.attempts += 1;
            let failed = match self.attempt(context, record, now, outputs) {
                Ok(()) => return Settled::Done,
                Err(failed) => failed,
            };
            if failed.failure.worth_a_fresh_instance() && !fresh {
                fresh = true;
                self.stages[failed.stage].retire();
                continue;
            }
            return self.give_up(context, record, now, tried, &failed, outputs);
        }
    }

    /// One try: outputs and writes of all stages, or of none.
    fn attempt(
        &mut self,
        context: &Context,
        record: &Record<'_>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Failed> {
        let before = outputs.len();
        self.stages.iter_mut().for_each(|stage| stage.cache.begin(now.wall_ms, record.key));
        let outcome = self.through_stages(context, record, now, outputs);
        if outcome.is_ok() {
            self.stages.iter_mut().for_each(|stage| stage.cache.keep());
        } else {
            self.stages.iter_mut().for_each(|stage| stage.cache.undo());
            outputs.truncate(before);
        }
        outcome
    }

    fn through_stages(
        &mut self,
        context: &Context,
        record: &Record<'_>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Failed> {
        let last = self.stages.len() - 1;
        let lineage = self.plan.provenance.then_some(self.versions.as_str());
        let mut passed: Vec<Passed> = Vec::new();
        for (index, stage) in self.stages.iter_mut().enumerate() {
            let mut spent = Spent::default();
            let mut next = Vec::new();
            let inputs = passed.iter().map(|passed| passed.view(record));
            // The first stage gets the source record, later ones what was passed on.
            for input in (index == 0).then_some(*record).into_iter().chain(inputs) {
                let emitted = stage.process(&context.engine, &input, now);
                let plan = &stage.plan;
                let mut take = |output: Emitted| {
                    spent.add(&output, plan)?;
                    if index < last && output.topic.is_none() {
                        next.push(pass_on(output, &input)?);
                        return Ok(());
                    }
                    let mut output = address(output, &input, plan, &self.plan, &context.topics)?;
                    if let Some(versions) = lineage {
                        provenance::set_lineage(&mut output.headers, record, &context.worker, versions);
                    }
                    outputs.push(output);
                    Ok(())
                };
                let taken = emitted.and_then(|emitted| emitted.into_iter().try_for_each(&mut take));
                stage.tally.call(taken.as_ref().err().map(Failure::kind));
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
        record: &Record<'_>,
        now: &Now,
        tried: Tried,
        Failed { stage, failure }: &Failed,
        outputs: &mut Vec<Output>,
    ) -> Settled {
        let plan = self.plan.clone();
        let stage = &mut self.stages[*stage];
        let (kind, attempts) = (failure.kind(), tried.attempts);
        let wait = |due| Settled::Wait { attempts, due, kind };
        tell(&stage.plan, record, failure, stage.refused, attempts);
        if let Failure::State(error @ (StateError::Damaged(_) | StateError::Refused(_) | StateError::Fenced)) = failure
        {
            return Settled::Broken(error.clone());
        }
        if let Failure::NoInstance(_) | Failure::State(_) = failure {
            // The host's fault, not the record's: no policy may cost it.
            return Settled::Wait { attempts: attempts - 1, due: Some(now.instant + HOST_BACKOFF), kind };
        }
        if matches!(failure, Failure::Retry(_)) && attempts <= stage.plan.retry.attempts {
            stage.tally.retries += 1;
            return wait(Some(now.instant + backoff(&stage.plan.retry, attempts)));
        }
        stage.keep_capsule();
        match (stage.plan.on_failure, &plan.dead_letter) {
            (OnFailure::Skip, _) => {
                stage.tally.skipped += 1;
                Settled::Done
            }
            (OnFailure::DeadLetter, Some(topic)) => {
                let cause = Cause {
                    pipeline: &plan.name,
                    stage: &stage.plan.scope.stage,
                    digest: stage.version.digest().to_string(),
                    kind,
                    reason: reason(failure, stage.refused),
                    attempts: tried.before + attempts,
                    redriven: tried.redriven,
                    at_ms: now.wall_ms,
                };
                let letter = Output {
                    topic: topic.clone(),
                    partition: None,
                    timestamp: record.timestamp,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: provenance::dead_letter(record, &cause),
                };
                if let Err(failure) = fits(&letter, context.topics.get(topic)) {
                    tell(&stage.plan, record, &failure, None, attempts);
                    return Settled::Wait { attempts, due: None, kind: failure.kind() };
                }
                stage.tally.dead_letter(kind);
                outputs.push(letter);
                Settled::Done
            }
            (OnFailure::DeadLetter | OnFailure::Hold, _) => wait(None),
        }
    }
}

/// What the host says of the failure, with the limit's numbers: never the guest's words.
fn reason(failure: &Failure, refused: Option<(Soft, u64)>) -> String {
    match refused {
        Some((soft, limit)) => format!("{failure}; in that call its cache met {} = {limit}", soft.name()),
        None => failure.to_string(),
    }
}

/// One line for an operator: position, kind and limits, never what the record holds.
fn tell(stage: &StagePlan, record: &Record<'_>, failure: &Failure, refused: Option<(Soft, u64)>, attempts: u32) {
    let scope = &stage.scope;
    tracing::warn!(
        pipeline = scope.pipeline,
        stage = scope.stage,
        topic = record.topic,
        partition = record.partition,
        offset = record.offset,
        attempts,
        kind = failure.kind(),
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

/// What the outputs of one stage for one record come to.
#[derive(Default)]
struct Spent {
    count: usize,
    bytes: u64,
}

impl Spent {
    fn add(&mut self, output: &Emitted, stage: &StagePlan) -> Result<(), Failure> {
        let limits = &stage.scope.limits;
        let headers: usize =
            output.headers.iter().map(|header| header.name.len() + header.value.as_ref().map_or(0, Vec::len)).sum();
        self.count += 1;
        self.bytes +=
            (output.key.as_ref().map_or(0, Vec::len) + output.value.as_ref().map_or(0, Vec::len) + headers) as u64;
        if self.count > limits.outputs as usize {
            return Err(Failure::Outputs { count: self.count, limit: limits.outputs });
        }
        if self.bytes > limits.output_bytes {
            return Err(Failure::OutputBytes { bytes: self.bytes, limit: limits.output_bytes });
        }
        Ok(())
    }
}

impl Passed {
    fn view<'a>(&'a self, source: &Record<'a>) -> Record<'a> {
        Record {
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
            ..*source
        }
    }
}

fn pass_on(output: Emitted, input: &Record<'_>) -> Result<Passed, Failure> {
    if output.partition.is_some() {
        return Err(Failure::InvalidOutput("partition is set although it goes to the next stage"));
    }
    Ok(Passed {
        timestamp: timestamp(output.timestamp, input)?,
        key: output.key,
        value: output.value,
        headers: headers(output.headers)?,
    })
}

/// Resolves an output's topic and checks all that the client library would
/// refuse later, when it could no longer be told which record it came from.
fn address(
    emitted: Emitted,
    input: &Record<'_>,
    stage: &StagePlan,
    plan: &Plan,
    topics: &Topics,
) -> Result<Output, Failure> {
    let topic = match &emitted.topic {
        None => plan.sink.as_ref().ok_or(Failure::NoSink)?,
        Some(name) => {
            let granted = stage.topics.iter().chain(&plan.sink).find(|topic| ***topic == **name);
            granted.ok_or(Failure::TopicNotGranted)?
        }
    };
    let known = topics.get(topic);
    let partition = emitted
        .partition
        .map(|partition| match known {
            Some(known) if i64::from(partition) < i64::from(known.partitions) => Ok(partition.cast_signed()),
            _ => Err(Failure::InvalidOutput("partition does not exist in its topic")),
        })
        .transpose()?;
    let output = Output {
        topic: topic.clone(),
        partition,
        timestamp: timestamp(emitted.timestamp, input)?,
        key: emitted.key,
        value: emitted.value,
        headers: headers(emitted.headers)?,
    };
    fits(&output, known)?;
    Ok(output)
}

fn fits(output: &Output, topic: Option<&Topic>) -> Result<(), Failure> {
    let bytes = output.batch_bytes();
    match topic {
        Some(topic) if bytes > topic.max_batch_bytes => {
            Err(Failure::OutputTooLarge { topic: topic.name.to_string(), bytes, limit: topic.max_batch_bytes })
        }
        _ => Ok(()),
    }
}

fn timestamp(given: Option<u64>, input: &Record<'_>) -> Result<i64, Failure> {
    given.map_or(Ok(input.timestamp), |given| {
        i64::try_from(given).map_err(|_| Failure::InvalidOutput("timestamp is past the range of 63 bits"))
    })
}

fn headers(given: Vec<crate::plugin::EmittedHeader>) -> Result<Vec<Header>, Failure> {
    given
        .into_iter()
        .map(|header| match header.name.contains('\0') {
            true => Err(Failure::InvalidOutput("header name holds a NUL")),
            false => Ok((header.name, header.value)),
        })
        .collect()
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
