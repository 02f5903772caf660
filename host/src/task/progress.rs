//! A record on its way through a task's pipelines, and what waits of it.

use std::time::Instant;

use super::pipeline::{Settled, Tried};
use super::timers;
use super::unit::Unit;
use super::{Context, Task};
use crate::clock::Now;
use crate::plugin::Failure;
use crate::position::Begun;
use crate::record::{Output, OwnedRecord, Record};
use crate::state::Timer;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    /// The record or a timer waits in the task; its partition is to be paused.
    Waits,
}

/// What some pipeline could not settle yet.
pub(super) struct Waiting {
    /// None where only timers wait.
    pub record: Option<OwnedRecord>,
    /// The pipeline that waits; those before it are done with the record.
    pub pipeline: usize,
    /// The timer that failed, ahead of the record.
    pub timer: Option<Timer>,
    /// Of the timer, or else of the record.
    pub attempts: u32,
    /// `None`: held until a new version of one of the pipeline's plugins lands.
    pub due: Option<Instant>,
    /// The kind of failure; none where more timers are due than one turn fires.
    pub kind: Option<&'static str>,
}

impl Task {
    /// Puts `record` through every pipeline, behind the timers that are due by
    /// then. Outputs are pushed to `outputs` and are to be sent whatever this
    /// returns.
    pub fn process(
        &mut self,
        context: &Context,
        record: &Record<'_>,
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Progress {
        self.is_read();
        self.settle(context, record, now, (self.position.done_with(record.offset), 0, None), outputs)
    }

    /// The most headers that some pipeline takes.
    pub fn most_headers(&self) -> usize {
        self.pipelines.iter().map(|pipeline| pipeline.plan.max_headers).max().unwrap_or(0)
    }

    /// Of the record that is processed next: how many headers were left out of it,
    /// as they are more than [`Task::most_headers`].
    pub fn leave_out_headers(&mut self, count: Option<usize>) {
        self.left_out = count.unwrap_or(0);
    }

    /// Tries what waits again if it is due.
    pub fn retry(&mut self, context: &Context, now: &mut Now, outputs: &mut Vec<Output>) -> Progress {
        match self.waiting.take() {
            None => Progress::Done,
            Some(waiting) if waiting.due.is_some_and(|due| due <= now.instant) => {
                let Waiting { record, pipeline, timer, attempts, .. } = waiting;
                // A record begins anew once the timer ahead of it is settled.
                let of_record = if timer.is_none() { attempts } else { 0 };
                let failed = timer.map(|timer| (timer, attempts));
                match record {
                    Some(record) => self.settle(context, &record.view(), now, (pipeline, of_record, failed), outputs),
                    None => self.fire_from(context, pipeline, failed, now, outputs),
                }
            }
            early => {
                self.waiting = early;
                Progress::Waits
            }
        }
    }

    fn settle(
        &mut self,
        context: &Context,
        record: &Record<'_>,
        now: &mut Now,
        (first, mut attempts, mut failed): (usize, u32, Option<timers::Failed>),
        outputs: &mut Vec<Output>,
    ) -> Progress {
        for index in first..self.pipelines.len() {
            self.pass_time(index, record, now.wall_ms);
            let mut progress = self.fire_pipeline(context, index, record.offset, failed.take(), now, outputs);
            if progress == Progress::Done {
                let tried = Tried { attempts, ..Tried::default() };
                let unit = Unit { left_out: self.left_out, ..Unit::of(record) };
                match self.pipelines[index].settle(context, &unit, now, tried, outputs) {
                    Settled::Done => self.pipelines[index].count_future(record, now.wall_ms),
                    Settled::Broken(error) => {
                        self.broken = Some(error);
                        return Progress::Waits;
                    }
                    Settled::Wait { attempts, due, kind } => {
                        progress = Progress::Waits;
                        let kind = Some(kind);
                        self.waiting =
                            Some(Waiting { record: None, pipeline: index, timer: None, attempts, due, kind });
                    }
                }
            }
            if progress == Progress::Waits {
                if index > 0 {
                    self.position.begun = Some(Begun { offset: record.offset, pipelines: index });
                }
                if let Some(waiting) = self.waiting.as_mut().filter(|waiting| !is_refused(waiting.kind)) {
                    waiting.record = Some(OwnedRecord::of(record));
                }
                return Progress::Waits;
            }
            attempts = 0;
        }
        self.position = self.position.past(record.offset);
        self.consumed += 1;
        // What the record scheduled for a time that has passed.
        match self.pipelines.iter().any(|pipeline| pipeline.is_due(now.wall_ms)) {
            true => self.fire(context, now, outputs),
            false => Progress::Done,
        }
    }
}

/// Whether the record is larger than its pipeline takes: it is fetched again where
/// it is to be tried again, and not kept.
fn is_refused(kind: Option<&'static str>) -> bool {
    matches!(kind, Some(Failure::RECORD_TOO_LARGE | Failure::TOO_MANY_HEADERS))
}
