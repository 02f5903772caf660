//! Dead letters that come back through a task, beside the records of its source.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pipeline::{Settled, Tried};
use super::unit::{Place, Unit};
use super::{Context, Progress, Task};
use crate::clock::Now;
use crate::origin::Origin;
use crate::plan::Plan;
use crate::record::Output;
use crate::redrive::{Done, Request, Requests};

/// Between two tries of a mark that brokers refuse.
const MARK_AGAIN: Duration = Duration::from_secs(3);

/// What a task knows of its pipelines' redrives.
#[derive(Default)]
pub struct Redriving {
    /// From when on the requests are known that it may take.
    ticket: Option<u64>,
    /// Processed since the last commit, with the pipeline's index.
    open: Vec<(usize, Done)>,
    /// Committed, until the worker has counted and marked them.
    finished: Vec<(usize, Done)>,
    /// Committed; the redrive topic says so sooner or later.
    done: HashSet<u128>,
    /// At least once: marks that have not arrived, as far as is known. With when they
    /// are sent again, where brokers have refused them.
    unmarked: Vec<(usize, Done, Option<Instant>)>,
    /// By pipeline: the request that is to be tried again.
    waiting: HashMap<usize, Waiting>,
}

struct Waiting {
    key: u128,
    attempts: u32,
    /// `None`: held until a new version of one of the pipeline's plugins lands.
    due: Option<Instant>,
}

impl Redriving {
    fn knows(&self, key: u128) -> bool {
        self.done.contains(&key) || self.open.iter().any(|(_, done)| done.key.hash() == key)
    }

    /// A new version of a plugin of this pipeline: what waits is tried at once.
    pub fn hurry(&mut self, pipeline: usize, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(&pipeline) {
            (waiting.attempts, waiting.due) = (0, Some(now));
        }
    }

    /// There may be room in the quarantine: what is held is tried once more.
    pub fn try_held(&mut self, pipeline: usize, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(&pipeline).filter(|waiting| waiting.due.is_none()) {
            waiting.due = Some(now);
        }
    }

    /// The commit happened.
    pub fn finish(&mut self) {
        self.done.extend(self.open.iter().map(|(_, done)| done.key.hash()));
        self.finished.append(&mut self.open);
    }

    /// What was processed since the last commit comes again.
    pub fn roll_back(&mut self) {
        self.open.clear();
        self.waiting.clear();
    }
}

fn from_task(mark: Output, slot: u16) -> Output {
    Output { origin: mark.origin.in_task(slot), ..mark }
}

impl Task {
    /// The next dead letter that is to go through one of its pipelines, with
    /// the pipeline's index.
    pub fn next_redrive(&mut self, requests: &Requests, now: Instant) -> Option<(usize, Arc<Request>)> {
        // Asked for by the owner: it is to know what the one before it did.
        let ticket = *self.redriving.ticket.get_or_insert_with(|| requests.ask());
        let redriving = &self.redriving;
        self.pipelines.iter().enumerate().find_map(|(index, pipeline)| {
            let name = &pipeline.plan.name;
            let next = requests.next(name, self.id.partition, ticket, |key| redriving.knows(key))?;
            let early = |waiting: &Waiting| waiting.key == next.hash && waiting.due.is_none_or(|due| due > now);
            if redriving.waiting.get(&index).is_some_and(early) {
                return None;
            }
            let request = requests.claim(name, self.id.partition, next)?;
            if *request.letter.topic != *self.id.topic {
                requests.leave_out(name, self.id.partition, next.offset);
                return None;
            }
            Some((index, request))
        })
    }

    /// Puts a dead letter through the pipeline with this index. Its outputs, and
    /// under exactly-once the mark that it is done, are pushed to `outputs`.
    pub fn redrive(
        &mut self,
        context: &Context,
        (index, request): (usize, Arc<Request>),
        now: &mut Now,
        outputs: &mut Vec<Output>,
    ) -> Progress {
        let (letter, key) = (&request.letter, request.key.hash());
        let waited = self.redriving.waiting.remove(&index).filter(|waiting| waiting.key == key);
        let tried = Tried {
            attempts: waited.map_or(0, |waiting| waiting.attempts),
            before: letter.attempts,
            redriven: letter.redriven.saturating_add(1),
        };
        let pipeline = &mut self.pipelines[index];
        let at = Place { topic: &self.id.topic, partition: self.id.partition, offset: self.position.next };
        let Some(unit) = pipeline.unit_of(letter, at) else {
            // Until a version comes that takes it.
            self.redriving.waiting.insert(index, Waiting { key, attempts: 0, due: None });
            return Progress::Waits;
        };
        let unit = Unit { redriven: true, left_out: letter.left_out(), ..unit };
        match pipeline.settle(context, &unit, now, tried, outputs) {
            Settled::Done => {
                let done = request.done();
                if context.exactly_once {
                    let mark = pipeline.plan.redrive.as_ref().map(|topic| done.mark(topic, now.wall_ms));
                    outputs.extend(mark.map(|mark| from_task(mark, self.slot)));
                }
                self.redriving.open.push((index, done));
                self.position.redriven = self.position.redriven.saturating_add(1);
                Progress::Done
            }
            Settled::Wait { attempts, due, .. } => {
                self.redriving.waiting.insert(index, Waiting { key, attempts, due });
                Progress::Waits
            }
            Settled::Broken(error) => {
                self.broken = Some(error);
                Progress::Waits
            }
        }
    }

    /// After a commit: the pipeline of each letter that was redriven with it.
    /// At least once their marks, which may be sent only now, are pushed to `outputs`,
    /// and those that brokers have refused once more.
    pub fn take_redriven(&mut self, context: &Context, now: Now, outputs: &mut Vec<Output>) -> Vec<Arc<Plan>> {
        let finished = std::mem::take(&mut self.redriving.finished);
        let plans = finished.iter().map(|(index, _)| self.pipelines[*index].plan.clone()).collect();
        if !context.exactly_once {
            let due = |due: &Option<Instant>| due.is_some_and(|due| due <= now.instant);
            let unmarked = &mut self.redriving.unmarked;
            unmarked.extend(finished.into_iter().map(|(index, done)| (index, done, Some(now.instant))));
            for (index, done, again) in unmarked.iter_mut().filter(|(_, _, again)| due(again)) {
                let topic = self.pipelines[*index].plan.redrive.as_ref();
                outputs.extend(topic.map(|topic| from_task(done.mark(topic, now.wall_ms), self.slot)));
                *again = None;
            }
        }
        plans
    }

    /// Brokers have refused the mark that `origin` names: it is sent again.
    pub fn mark_again(&mut self, origin: Origin, now: Instant) {
        let refused = |done: &Done| done.origin().unit() == origin.unit();
        for (_, _, again) in self.redriving.unmarked.iter_mut().filter(|(_, done, _)| refused(done)) {
            *again = Some(now + MARK_AGAIN);
        }
    }

    /// Every mark that was sent and not refused has arrived.
    pub fn marks_arrived(&mut self) {
        self.redriving.unmarked.retain(|(_, _, again)| again.is_some());
    }
}
