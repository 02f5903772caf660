//! Timers on their way through a task, ahead of the record that made them due.

use std::time::{Duration, Instant};

use super::pipeline::{Pipeline, Settled, Tried};
use super::unit::{Place, Unit};
use super::{Context, Progress, Task, Waiting};
use crate::clock::Now;
use crate::record::{Output, Record};
use crate::state::{Domain, StateError, Timer};

/// How long one turn fires timers before other partitions and commits get
/// theirs: a watermark may jump past a hundred thousand at once.
const TURN: Duration = Duration::from_millis(50);

/// What a look for due timers came to.
pub enum Fired {
    /// None is due any more.
    Done,
    /// More are due than one turn fires.
    More,
    /// One failed: to be tried again at `due`, or, without, when a new version lands.
    Wait { timer: Timer, attempts: u32, due: Option<Instant>, kind: &'static str },
    /// The state cannot go on.
    Broken(StateError),
}

/// A timer that failed, and how often.
pub type Failed = (Timer, u32);

impl Pipeline {
    /// Whether some timer could fire now.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.stages.iter().filter(|stage| stage.version.takes_timers()).any(|stage| {
            let event = stage.cache.earliest(Domain::EventTime);
            let processing = stage.cache.earliest(Domain::ProcessingTime);
            (event.is_some() && event <= self.time.watermark()) || processing.is_some_and(|at| at <= now_ms)
        })
    }

    /// The stage of this name, if it takes timers.
    pub fn stage_for(&self, stage: &str) -> Option<usize> {
        self.stages.iter().position(|known| known.plan.scope.stage == stage && known.version.takes_timers())
    }

    /// Brings event time to every stage and fires what is due: stage by stage,
    /// so that what a stage's timers give is not late in the next one; event
    /// time before processing time; by time, then by name.
    ///
    /// `failed` is the timer that is tried again; `fired` counts those settled.
    pub fn fire(
        &mut self,
        context: &Context,
        at: Place<'_>,
        now: &mut Now,
        mut failed: Option<Failed>,
        fired: &mut u64,
        outputs: &mut Vec<Output>,
    ) -> Fired {
        let since = now.instant;
        for index in 0..self.stages.len() {
            self.stages[index].cache.advance(self.time.watermark());
            if !self.stages[index].takes_timers() {
                continue;
            }
            // What a processing-time timer schedules for now is for the next look.
            let mut last = None;
            loop {
                let timer = match self.stages[index].next_timer(now.wall_ms, last.as_ref()) {
                    Ok(Some(timer)) => timer,
                    Ok(None) => break,
                    Err(error) => return Fired::Broken(error),
                };
                if now.instant.saturating_duration_since(since) >= TURN {
                    return Fired::More;
                }
                let attempts =
                    failed.take().filter(|(earlier, _)| *earlier == timer).map_or(0, |(_, attempts)| attempts);
                let tried = Tried { attempts, ..Tried::default() };
                match self.settle(context, &Unit::timer(index, &timer, at), now, tried, outputs) {
                    Settled::Done => {
                        *fired += 1;
                        self.stages[index].tally.fired(timer.domain);
                    }
                    Settled::Wait { attempts, due, kind } => return Fired::Wait { timer, attempts, due, kind },
                    Settled::Broken(error) => return Fired::Broken(error),
                }
                if timer.domain == Domain::ProcessingTime {
                    last = Some(timer);
                }
            }
        }
        Fired::Done
    }
}

impl Task {
    /// When the clock makes the next timer of processing time due, in milliseconds since
    /// the Unix epoch.
    pub fn next_by_clock(&self) -> Option<u64> {
        let stages = self.pipelines.iter().flat_map(|pipeline| &pipeline.stages);
        let timed = stages.filter(|stage| stage.version.takes_timers());
        timed.filter_map(|stage| stage.cache.earliest(Domain::ProcessingTime)).min()
    }

    /// Whether [`Task::fire`] has something to do. Moves the event time of a
    /// partition that is at its end and idle.
    pub fn has_due(&mut self, now: &Now) -> bool {
        if self.waits() {
            self.held_back();
            return false;
        }
        let at_end = self.at_end;
        self.pipelines.iter_mut().any(|pipeline| {
            match at_end {
                true => pipeline.time.idle(now.instant),
                false => pipeline.time.busy(),
            }
            pipeline.is_due(now.wall_ms)
        })
    }

    /// Fires what is due while no record is in work. Outputs are pushed to
    /// `outputs` and are to be sent whatever this returns.
    pub fn fire(&mut self, context: &Context, now: &mut Now, outputs: &mut Vec<Output>) -> Progress {
        self.fire_from(context, 0, None, now, outputs)
    }

    /// As [`Task::fire`], from a pipeline on, in which `failed` is tried again.
    pub(super) fn fire_from(
        &mut self,
        context: &Context,
        first: usize,
        mut failed: Option<Failed>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Progress {
        for index in first..self.pipelines.len() {
            let next = self.position.next;
            if self.fire_pipeline(context, index, next, failed.take(), now, outputs) == Progress::Waits {
                return Progress::Waits;
            }
        }
        Progress::Done
    }

    /// Fires what is due in one pipeline ahead of the record at `offset`. When
    /// that is not all, the task waits, without the record for now.
    pub(super) fn fire_pipeline(
        &mut self,
        context: &Context,
        index: usize,
        offset: i64,
        failed: Option<Failed>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Progress {
        let at = Place { topic: &self.id.topic, partition: self.id.partition, offset };
        let mut fired = 0;
        let outcome = self.pipelines[index].fire(context, at, now, failed, &mut fired, outputs);
        self.position.timers = self.position.timers.saturating_add(fired);
        let waiting = Waiting { record: None, pipeline: index, timer: None, attempts: 0, due: None, kind: None };
        self.waiting = match outcome {
            Fired::Done => return Progress::Done,
            Fired::More => Some(Waiting { due: Some(now.instant), ..waiting }),
            Fired::Wait { timer, attempts, due, kind } => {
                Some(Waiting { timer: Some(timer), attempts, due, kind: Some(kind), ..waiting })
            }
            Fired::Broken(error) => {
                self.broken = Some(error);
                None
            }
        };
        Progress::Waits
    }

    /// Records may have come that were not fetched: it is not idle until the
    /// client has read to the end again.
    pub fn held_back(&mut self) {
        self.at_end = false;
    }

    /// Below `offset` the partition holds no record that was not processed, and
    /// for now none at it and after it.
    pub fn reached_end(&mut self, offset: i64) {
        self.is_read();
        (self.at_end, self.read_to) = (true, offset);
    }

    /// A record of the source moves event time on.
    pub(super) fn pass_time(&mut self, index: usize, record: &Record<'_>, now_ms: u64) {
        self.at_end = false;
        let pipeline = &mut self.pipelines[index];
        if pipeline.future(record.timestamp, now_ms).is_none() {
            pipeline.time.record(record.timestamp, now_ms);
        }
    }

    /// Sets event time of a pipeline back to `to`, milliseconds since the Unix epoch,
    /// where it is past that: where it was. The next commit has to tell it.
    pub fn set_watermark_back(&mut self, pipeline: &str, to: u64) -> Option<u64> {
        let pipeline = self.pipelines.iter_mut().find(|known| known.plan.name == pipeline)?;
        let was = pipeline.time.watermark().filter(|was| *was > to)?;
        pipeline.stages.iter_mut().for_each(|stage| stage.cache.set_watermark_back(to));
        pipeline.time.roll_back(Some(to));
        self.position.timers = self.position.timers.saturating_add(1);
        Some(was)
    }

    /// Puts each watermark that this interval moved among its stage's entries.
    ///
    /// # Errors
    /// When the state cannot take it.
    pub(super) fn note_watermarks(&mut self) -> Result<(), StateError> {
        for (index, pipeline) in self.pipelines.iter_mut().enumerate() {
            // Else its stores could not tell the commit from the one before.
            let moved = self.position.of_pipeline(index) != self.committed.of_pipeline(index);
            let mut timed = pipeline.stages.iter_mut().filter(|stage| moved && stage.version.takes_timers());
            timed.try_for_each(|stage| stage.cache.note_watermark())?;
        }
        Ok(())
    }
}
