//! Records and timers that are parked: one that failed for good where its
//! stage's policy says so, and behind it, in their order, those of the same
//! record key. They are entries of the first stage's cache, so that parking one
//! is a write in the commit of its offset, and what holds for state holds for
//! them.
//!
//! ```text
//!               fails for good                    a new version, a partition that is opened
//! ─▶ flows ─────────────────────▶ quarantined ◀──────────────────────────────────┐
//!      ▲   behind it: untried        │ the first of its key is put through        │
//!      │                             ├─ done: the next one of its key ── none left ─▶ flows
//!      └─────────────────────────────┴─ fails again: stays ───────────────────────┘
//! ```

mod codec;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::pipeline::{Pipeline, Settled, Tried};
use super::provenance::{self, Cause};
use super::unit::{Place, Unit};
use super::{Context, Task};
use crate::clock::Now;
use crate::kafka::topics::Topics;
use crate::record::{Output, Record};
use crate::redrive::{Failed, Letter};
use crate::state::{CacheError, Key, Parked, StateError};

/// How long one turn puts parked ones through before records, other partitions
/// and commits get theirs.
const TURN: Duration = Duration::from_millis(50);

/// Of one that is parked untried: the kind that stands in the place of a failure's.
const BEHIND: &str = "quarantined";
/// What a partition waits for that cannot park: room …
const FULL: &str = "quarantine-full";
/// … or a version that copes with a record which no entry takes.
const TOO_LARGE: &str = "quarantine-too-large";

/// What is put through again.
#[derive(Default)]
pub struct Releases {
    /// By when and by order: at once where there is no time. With the tries that
    /// it has had since the last new version.
    due: BTreeMap<(Option<Instant>, Key), u32>,
    /// What has been tried since the last commit.
    tried: BTreeSet<Key>,
}

impl Releases {
    /// The commit happened.
    pub fn finish(&mut self) {
        self.tried.clear();
    }
}

/// What one turn did.
#[derive(Default)]
struct Turn {
    /// Units that are parked no more.
    done: u64,
    /// Those that failed again, for a cause that is to be kept.
    failed: u64,
}

impl Pipeline {
    /// Parks a unit of a record key that is quarantined, untried.
    pub(super) fn park_behind(&mut self, topics: &Topics, unit: &Unit<'_>, tried: Tried, now: &Now) -> Settled {
        let (plan, stage) = (self.plan.clone(), &self.stages[unit.first()]);
        let (stage, digest) = (stage.plan.clone(), stage.version.digest().to_string());
        let cause = Cause {
            pipeline: &plan.name,
            stage: &stage.scope.stage,
            timer_stage: None,
            digest,
            kind: BEHIND,
            reason: "one of its record key is parked before it".to_owned(),
            attempts: tried.before.saturating_add(tried.attempts),
            redriven: tried.redriven,
            at_ms: now.wall_ms,
        };
        match (self.park(topics, unit, &cause, tried.attempts), unit.timer) {
            (Settled::Done, Some((stage, timer))) => self.leave_out(stage, timer, now),
            (settled, _) => settled,
        }
    }

    /// Parks a unit for a cause; one that is parked stays so, for the new one.
    pub(super) fn park(&mut self, topics: &Topics, unit: &Unit<'_>, cause: &Cause<'_>, attempts: u32) -> Settled {
        let (record, bounds) = (&unit.record, &self.plan.quarantine);
        let bare = Unit { record: Record { headers: &[], ..*record }, ..*unit };
        let value = codec::encode(record, &provenance::dead_letter(&bare, cause));
        // Its entry carries the record's key once more.
        let (bytes, key_bytes) = (value.len() as u64, record.key.map_or(0, <[u8]>::len) as u64);
        let entry_limit = self.entry_limit(topics);
        let cache = &mut self.stages[0].cache;
        let wait = |kind| Settled::Wait { attempts, due: None, kind };
        let (parked, first) = (cache.parked(), !cache.is_quarantined(record.key));
        cache.begin(cause.at_ms, record.key);
        let outcome = match unit.parked {
            Some(entry) => cache.park_again(entry, value, bounds.bytes),
            // Without its headers it would be released as another record.
            None if unit.left_out > 0 => Err(CacheError::ValueTooLarge(bounds.bytes)),
            None if bytes > bounds.bytes => Err(CacheError::ValueTooLarge(bounds.bytes)),
            None if bytes + key_bytes > entry_limit => Err(CacheError::ValueTooLarge(entry_limit)),
            None if parked.records >= bounds.records || parked.bytes + bytes > bounds.bytes => {
                Err(CacheError::QuotaExceeded(bounds.bytes))
            }
            None => cache.park(record.partition, value),
        };
        cache.keep();
        let problem = match (outcome, unit.parked) {
            (Err(CacheError::Store(error)), _) => return Settled::Broken(error),
            // Where the new cause has no room it stays as it was.
            (_, Some(_)) => return wait(cause.kind),
            (Ok(()), None) => {
                if first {
                    tell_parked(unit, cause);
                }
                return Settled::Done;
            }
            (Err(CacheError::ValueTooLarge(_)), None) => TOO_LARGE,
            (Err(_), None) => FULL,
        };
        tracing::error!(
            pipeline = cause.pipeline,
            topic = record.topic,
            partition = record.partition,
            offset = unit.timer.is_none().then_some(record.offset),
            kind = problem,
            bytes,
            parked.records = parked.records,
            parked.bytes = parked.bytes,
            "cannot be parked: the partition waits, until there is room or a new version lands",
        );
        wait(problem)
    }

    /// All that is parked is to be put through again, each record key from its first on.
    pub fn release_all(&mut self) {
        self.releases.due = self.stages[0].cache.heads().map(|entry| ((None, entry.clone()), 0)).collect();
    }

    /// What was to be put through, or has been since the last commit, is to be put
    /// through again: as far as it is the first of its key once more. The others
    /// follow it, and what failed before stays until a new version comes.
    pub fn release_again(&mut self) {
        let Releases { due, tried } = std::mem::take(&mut self.releases);
        let again: BTreeSet<_> = due.into_keys().map(|(_, entry)| entry).chain(tried).collect();
        let heads = self.stages[0].cache.heads().filter(|entry| again.contains(*entry));
        self.releases.due = heads.map(|entry| ((None, entry.clone()), 0)).collect();
    }

    /// Nothing is released but from the first stage.
    pub(super) fn tell_misplaced(&self) {
        for stage in &self.stages[1..] {
            let Parked { records, .. } = stage.cache.parked();
            if records > 0 {
                let (pipeline, stage) = (&*self.plan.name, &*stage.plan.scope.stage);
                tracing::error!(
                    pipeline,
                    stage,
                    records,
                    "records are parked in the state of a stage that is not the first one now, and stay: give it back \
                     the place and the name that it had until nothing is parked",
                );
            }
        }
    }

    fn is_release_due(&self, now: Instant) -> bool {
        self.releases.due.first_key_value().is_some_and(|((due, _), _)| due.is_none_or(|due| due <= now))
    }

    /// Puts parked units through, for one turn.
    fn release(
        &mut self,
        context: &Context,
        at: Place<'_>,
        now: &mut Now,
        turn: &mut Turn,
        outputs: &mut Vec<Output>,
    ) -> Result<(), StateError> {
        let since = now.instant;
        while self.is_release_due(now.instant)
            && now.instant.saturating_duration_since(since) < TURN
            && let Some(((_, entry), attempts)) = self.releases.due.pop_first()
        {
            let Some(letter) = self.parked_letter(&entry)? else { continue };
            let Some(unit) = self.unit_of(&letter, at) else {
                self.tell_untaken(&letter);
                continue;
            };
            let unit = Unit { parked: Some(&entry), ..unit };
            self.releases.tried.insert(entry.clone());
            let tried = Tried { attempts, before: letter.attempts, redriven: letter.redriven };
            match self.settle(context, &unit, now, tried, outputs) {
                Settled::Done => {
                    turn.done += 1;
                    self.let_go(&entry, &letter, now)?;
                }
                Settled::Wait { attempts, due: Some(due), .. } => {
                    self.releases.due.insert((Some(due), entry), attempts);
                }
                Settled::Wait { .. } => turn.failed += 1,
                Settled::Broken(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is parked under `entry`; nothing where it is no more, or is to stay.
    fn parked_letter(&mut self, entry: &str) -> Result<Option<Letter>, StateError> {
        let Some(found) = self.stages[0].cache.parked_under(entry)? else { return Ok(None) };
        let key = found.origin.record_key(entry);
        let letter = codec::decode(&found.value).and_then(|decoded| {
            let letter = Letter::read(key, decoded.value, &decoded.ours)?;
            Some(Letter { headers: decoded.own, ..letter })
        });
        if letter.is_none() {
            let pipeline = &*self.plan.name;
            tracing::error!(
                pipeline,
                "one that is parked cannot be read and stays: a newer gregor may have written it"
            );
        }
        Ok(letter)
    }

    /// A letter as it goes through the pipeline once more; nothing of a timer
    /// whose stage takes none now.
    pub(super) fn unit_of<'a>(&self, letter: &'a Letter, at: Place<'a>) -> Option<Unit<'a>> {
        match (&letter.failed, letter.record()) {
            (Failed::Timer(timer), _) => {
                self.stage_for(letter.timer_stage()).map(|stage| Unit::timer(stage, timer, at))
            }
            (Failed::Record(_), record) => record.as_ref().map(Unit::of),
        }
    }

    /// A timer that is parked, and its key behind it, waits for a version that takes it.
    fn tell_untaken(&self, letter: &Letter) {
        tracing::warn!(
            pipeline = &*self.plan.name,
            stage = letter.timer_stage(),
            topic = letter.topic,
            partition = letter.partition,
            "a timer that is parked stays, and its record key behind it: its stage takes none now, or is no more",
        );
    }

    /// One that was parked is done; the next one of its record key follows.
    fn let_go(&mut self, entry: &str, letter: &Letter, now: &Now) -> Result<(), StateError> {
        let cache = &mut self.stages[0].cache;
        cache.begin(now.wall_ms, letter.key.as_deref());
        let gone = cache.unpark(entry);
        cache.keep();
        gone?;
        match letter.key.as_deref().and_then(|key| cache.head(key)) {
            Some(next) => drop(self.releases.due.insert((None, next.clone()), 0)),
            None => {
                let (pipeline, partition) = (&*self.plan.name, letter.partition);
                tracing::info!(
                    pipeline,
                    topic = letter.topic,
                    partition,
                    offset = letter.offset(),
                    "released: nothing of its record key is parked any more",
                );
            }
        }
        Ok(())
    }
}

/// One line for each record key, which it does not name.
fn tell_parked(unit: &Unit<'_>, cause: &Cause<'_>) {
    let record = &unit.record;
    tracing::warn!(
        pipeline = cause.pipeline,
        stage = cause.stage,
        topic = record.topic,
        partition = record.partition,
        offset = unit.timer.is_none().then_some(record.offset),
        "{}",
        match record.key {
            Some(_) => "parked, and those of its record key will be behind it, until a new version lands",
            None => "parked until a new version lands; it has no record key, so nothing waits behind it",
        },
    );
}

impl Task {
    /// Whether [`Task::release`] has something to do.
    pub fn has_release(&self, now: Instant) -> bool {
        self.pipelines.iter().any(|pipeline| pipeline.is_release_due(now)) && self.readiness().takes_back()
    }

    /// Whether parked records are on their way, or are tried again later.
    pub fn is_releasing(&self) -> bool {
        self.pipelines.iter().any(|pipeline| !pipeline.releases.due.is_empty())
    }

    /// Puts parked records and timers of one pipeline through it again, for one
    /// turn, between two records; the next turn is another pipeline's.
    pub fn release(&mut self, context: &Context, now: &mut Now, outputs: &mut Vec<Output>) {
        let due = |(_, pipeline): &(usize, &mut Pipeline)| pipeline.is_release_due(now.instant);
        let after = self.release_next;
        let next = self.pipelines.iter_mut().enumerate().filter(due).min_by_key(|(index, _)| (*index < after, *index));
        let Some((index, pipeline)) = next else { return };
        self.release_next = index + 1;
        let at = Place { topic: &self.id.topic, partition: self.id.partition, offset: self.position.next };
        let mut turn = Turn::default();
        let outcome = pipeline.release(context, at, now, &mut turn, outputs);
        // Both changed the state, which a commit has to tell.
        self.position.redriven = self.position.redriven.saturating_add(turn.done + turn.failed);
        if let Err(error) = outcome {
            self.broken = Some(error);
            return;
        }
        if turn.done == 0 {
            return;
        }
        // There may be room now for what could not be parked.
        self.redriving.try_held(index, now.instant);
        if let Some(waiting) = &mut self.waiting
            && (waiting.pipeline, waiting.kind) == (index, Some(FULL))
        {
            waiting.due = Some(now.instant);
        }
    }
}
