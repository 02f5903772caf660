//! A task whose work since the last commit is taken back: what is learnt from
//! that, and what it does when nothing is.

use std::time::{Duration, Instant};

use super::refusals::Refusal;
use super::{Task, Waiting};
use crate::origin::Origin;
use crate::state::StateError;

/// So many times in turn without progress are a state of their own.
const MANY: u32 = 5;
/// How long a task waits once its work was taken back so often; doubled with
/// each further time …
const BACKOFF: Duration = Duration::from_secs(1);
/// … up to this.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Bytes that the writes of a commit interval make the host keep before it is committed
/// ahead of its time: one store's, for one partition.
const MOST_KEPT: u64 = 64 << 20;

impl Task {
    /// Whether its writes since the last commit take so much memory that they are to
    /// be committed now.
    pub fn keeps_much(&self) -> bool {
        self.stages().any(|stage| stage.cache.kept() > MOST_KEPT)
    }

    /// Its slot in the worker, from 1 on; 0 until it has one.
    pub fn slot(&self) -> u16 {
        self.slot
    }

    pub fn set_slot(&mut self, slot: u16) {
        self.slot = slot;
        self.pipelines.iter_mut().enumerate().for_each(|(index, pipeline)| pipeline.place = (slot, index));
    }

    /// The unit that `origin` names gave an output which `topic` refused; whether
    /// that is new. It fails with it when it comes again.
    pub fn note_refusal(&mut self, origin: Origin, topic: &str, refusal: &Refusal) -> bool {
        let unit = origin.unit();
        let of_unit = self.pipelines.iter_mut().enumerate().filter(|(index, _)| unit.in_pipeline(*index) == unit);
        of_unit.fold(false, |new, (_, pipeline)| pipeline.refusals.note(unit, topic, refusal.clone()) || new)
    }

    /// The unit that `origin` names gave an output in a batch that was refused as
    /// a whole; whether that is new. Its outputs are sent in batches of their own
    /// when it comes again.
    pub fn suspect(&mut self, origin: Origin) -> bool {
        let unit = origin.unit();
        let of_unit = self.pipelines.iter_mut().enumerate().filter(|(index, _)| unit.in_pipeline(*index) == unit);
        of_unit.fold(false, |new, (_, pipeline)| pipeline.refusals.suspect(unit) || new)
    }

    /// Back to what the group has committed; its records come again.
    pub fn roll_back(&mut self) {
        self.position = self.committed;
        self.waiting = None;
        (self.rewound, self.at_end, self.read_to, self.sent) = (true, false, 0, false);
        self.redriving.roll_back();
        let failed = self.stages_mut().filter_map(|stage| stage.cache.roll_back().err()).last();
        for pipeline in &mut self.pipelines {
            pipeline.find_time();
            pipeline.release_again();
            pipeline.refusals.roll_back();
        }
        if let Some(error) = failed {
            self.broken = Some(error);
        }
        self.take_back_decision();
        self.roll_back_versions();
    }

    /// A record of it was not processed: it is to be fetched again.
    pub fn fetch_again(&mut self) {
        self.rewound = true;
    }

    /// Whether it was rolled back since this was last asked.
    pub fn take_rewound(&mut self) -> bool {
        std::mem::take(&mut self.rewound)
    }

    /// At least once: back to what the group has committed, as
    /// [`Task::roll_back`], where changelog entries may have been sent since.
    /// What stands under their keys is written again with the next commit.
    ///
    /// # Errors
    /// When the state cannot tell what stands there.
    pub fn roll_back_sent(&mut self) -> Result<(), StateError> {
        let changed: Vec<Vec<String>> = self
            .stages()
            .map(|stage| if stage.plan.changelog.is_some() { stage.cache.changed_keys() } else { Vec::new() })
            .collect();
        self.roll_back();
        self.stages_mut().zip(changed).try_for_each(|(stage, keys)| stage.cache.touch(keys))
    }

    /// Its work was taken back, and nothing was learnt that lets the next try go
    /// otherwise: after a few times it waits longer and longer. `reason` is why.
    pub fn note_stall(&mut self, reason: &'static str, now: Instant) {
        self.stalls = self.stalls.saturating_add(1);
        self.stalled_by = Some(reason);
        if self.stalls >= MANY {
            let backoff = BACKOFF.saturating_mul(2_u32.saturating_pow(self.stalls - MANY)).min(MAX_BACKOFF);
            self.waiting = Some(Waiting {
                record: None,
                pipeline: 0,
                timer: None,
                attempts: 0,
                due: Some(now + backoff),
                kind: Some(reason),
            });
        }
    }

    /// Why its work was taken back, if that was often and without progress in between.
    pub(super) fn stalled_by(&self) -> Option<&'static str> {
        self.stalled_by.filter(|_| self.stalls >= MANY)
    }

    /// Whether the changes of the commit under way are sent already.
    pub fn has_sent(&self) -> bool {
        self.sent
    }

    /// The commit under way did not happen, and more may come before the next one.
    pub fn send_again(&mut self) {
        self.sent = false;
    }

    pub(super) fn finish_refusals(&mut self) {
        let next = self.position.next;
        for (index, pipeline) in self.pipelines.iter_mut().enumerate() {
            // A record that some pipelines are done with and others wait for.
            let next =
                self.position.begun.filter(|begun| index < begun.pipelines).map_or(next, |begun| begun.offset + 1);
            pipeline.refusals.finish(|unit| unit.is_before(next));
        }
    }
}
