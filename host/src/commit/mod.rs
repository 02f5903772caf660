//! The only place that orders durability steps.
//!
//! At least once: changelog entries are sent, everything is flushed, stores
//! prepare, offsets are committed, stores finish.
//!
//! | crash after | a restart finds | result |
//! |---|---|---|
//! | some outputs sent | offsets of the commit before | records replayed, their outputs repeated |
//! | changelog flushed | entries that are ahead of the offsets | dropped on restore; records replayed onto the entries before |
//! | stores prepared | stores that can go either way | undone; records replayed |
//! | offsets committed | the new offsets, stores prepared for them | stores take the new side |
//!
//! Exactly once: outputs, changelog entries, dead letters and offsets are one
//! transaction; stores prepare before it is committed and finish after.
//!
//! | crash after | a restart finds | result |
//! |---|---|---|
//! | some outputs sent | an open transaction | aborted by the producer that takes over its id; records replayed; readers of committed records see nothing twice |
//! | stores prepared | the same, stores that can go either way | the same; stores undone |
//! | offsets put into the transaction | the same | the same |
//! | transaction committed | the new offsets, stores prepared for them | stores take the new side |
//!
//! Steps that brokers or stores do not answer are tried again before any
//! further record is processed; what cannot get better ends the worker before
//! offsets pass what was delivered.

mod crash;
mod steps;
mod transaction;
mod unclear;
mod watchdog;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::Producer;

pub use watchdog::Watchdog;

use crate::error::WorkerError;
use crate::state::StateError;
use crate::task::Task;
use crate::worker::{self, Member, Sender};
use steps::{Unsent, classify, flush, leave_uncommitted, offsets, offsets_of, send_changes};
use transaction::Ended;

/// How long one question to the brokers may hold the worker.
const ASK: Duration = Duration::from_secs(5);
/// Between two tries of something that did not answer.
const BACKOFF: Duration = Duration::from_millis(100);
/// Once a producer is fenced so often within so long, another host has this
/// one's name: one that was frozen, or whose transaction timed out, is fenced
/// once.
const FENCED: (usize, Duration) = (5, Duration::from_secs(30));

/// What a commit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Offsets and all before them are durable.
    Done,
    /// Nothing was new.
    Idle,
    /// At least once: the group is being rebalanced; the next commit has it all.
    Refused,
    /// Brokers or stores do not answer: the same commit is to be tried again
    /// before any further record is processed.
    Pending,
    /// Exactly once: nothing since the last commit happened. Tasks are back
    /// there and their records are to be fetched again.
    RolledBack,
}

enum Phase {
    /// Between two commits.
    Open,
    /// Changelog entries of a commit under way are sent.
    Sent,
    /// Rolled back, until the stores that did not answer do.
    Down,
    /// The producer is to be made anew; what became of its transaction is for
    /// the group's offsets to tell.
    Unclear,
}

/// Commits of one worker.
pub struct Committer {
    interval: Duration,
    last: Instant,
    phase: Phase,
    /// Exactly once: what the producer is made of.
    transactional: Option<ClientConfig>,
    /// A transaction is open.
    begun: bool,
    /// The open transaction can only be aborted.
    doomed: bool,
    /// When the producer was fenced, lately.
    fenced: VecDeque<Instant>,
    watchdog: Watchdog,
}

/// Who takes part in a commit.
pub struct Parties<'a> {
    pub member: &'a Member,
    pub sender: &'a mut Sender,
    /// All of the worker's.
    pub tasks: Vec<&'a mut Task>,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
}

impl Committer {
    /// `transactional` is the producer's configuration where the guarantee is
    /// exactly once.
    pub fn new(interval: Duration, transactional: Option<ClientConfig>, watchdog: Watchdog) -> Committer {
        Committer {
            interval,
            last: Instant::now(),
            phase: Phase::Open,
            transactional,
            begun: false,
            doomed: false,
            fenced: VecDeque::new(),
            watchdog,
        }
    }

    pub fn due(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= self.pace()
    }

    /// Time until the next commit, or the next try of one, is due.
    pub fn remaining(&self, now: Instant) -> Duration {
        self.pace().saturating_sub(now.duration_since(self.last))
    }

    fn pace(&self) -> Duration {
        match self.phase {
            Phase::Open => self.interval,
            Phase::Sent | Phase::Down | Phase::Unclear => BACKOFF,
        }
    }

    /// Whether a commit is under way that no further record may join.
    pub fn is_pending(&self) -> bool {
        !matches!(self.phase, Phase::Open)
    }

    /// Before the worker joins the group: takes over the transactional id,
    /// which ends what an earlier process left open. False if the brokers do
    /// not answer yet.
    ///
    /// # Errors
    /// When they refuse.
    pub fn open(&mut self, sender: &mut Sender) -> Result<bool, WorkerError> {
        let Some(config) = &self.transactional else { return Ok(true) };
        match transaction::open(config, &self.watchdog) {
            Ok(opened) => {
                *sender = opened;
                Ok(true)
            }
            Err((error, true)) => {
                tracing::warn!(%error, "the transactional id is not taken over yet; trying again");
                Ok(false)
            }
            Err((error, false)) => Err(WorkerError::Denied(error)),
        }
    }

    /// Before a record is processed: outputs need a transaction to be in.
    /// False if there is none: its record is to be fetched again.
    pub fn begin(&mut self, sender: &Sender) -> bool {
        if self.transactional.is_some() && !self.begun {
            self.begun = true;
            // Only a fault of ours, or a producer that was fenced meanwhile.
            if let Err(error) = sender.begin_transaction() {
                tracing::warn!(%error, "no transaction can be begun");
                self.doomed = true;
            }
        }
        !self.doomed
    }

    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// The open transaction, if any, is to be aborted with the next commit:
    /// it holds what this worker has no right to any more.
    pub fn give_up(&mut self) -> bool {
        self.doomed |= self.begun;
        self.begun
    }

    /// An output that the producer does not take: the transaction is to be aborted.
    ///
    /// # Errors
    /// At least once: what the client library said, as there is no way back.
    pub fn doom(&mut self, error: WorkerError) -> Result<(), WorkerError> {
        if self.transactional.is_none() {
            return Err(error);
        }
        tracing::warn!(%error, "an output is not taken; aborting the transaction");
        self.doomed = true;
        Ok(())
    }

    /// Makes everything that tasks have settled durable.
    ///
    /// # Errors
    /// When the worker cannot go on: an output was refused for good, the
    /// member is fenced, or the brokers deny it. Offsets are not committed then.
    pub fn commit(&mut self, parties: Parties<'_>) -> Result<Committed, WorkerError> {
        let committed = match self.transactional {
            None => self.commit_plainly(parties),
            Some(_) => self.commit_transaction(parties),
        };
        self.last = Instant::now();
        committed
    }

    fn commit_plainly(&mut self, parties: Parties<'_>) -> Result<Committed, WorkerError> {
        let Parties { member, sender, mut tasks, now_ms } = parties;
        tasks.retain(|task| task.broken().is_none() && task.is_dirty());
        if tasks.is_empty() {
            self.phase = Phase::Open;
            return sender.context().check().map(|()| Committed::Idle);
        }
        crash::point("outputs-sent");
        if !matches!(self.phase, Phase::Sent) {
            for task in &mut tasks {
                match send_changes(sender, task, now_ms) {
                    Ok(()) => {}
                    Err(Unsent::State(error)) => {
                        task.break_off(error);
                        return Ok(Committed::Refused);
                    }
                    Err(Unsent::Output(error)) => return Err(error),
                }
            }
            self.phase = Phase::Sent;
        }
        if !flush(sender)? {
            return Ok(Committed::Pending);
        }
        crash::point("changelog-sent");
        for task in &mut tasks {
            match task.prepare(now_ms) {
                Ok(()) => {}
                Err(error @ (StateError::Unavailable(_) | StateError::Full(_))) => {
                    tracing::warn!(partition = %task.id, %error, "the commit waits for the state store");
                    return Ok(Committed::Pending);
                }
                Err(error) => {
                    task.break_off(error);
                    self.phase = Phase::Open;
                    return Ok(Committed::Refused);
                }
            }
        }
        crash::point("state-prepared");
        let committed = match worker::commit(member, &offsets(&tasks)?) {
            Ok(failed) => {
                leave_uncommitted(&mut tasks, &failed);
                if tasks.is_empty() { Committed::Refused } else { Committed::Done }
            }
            Err(error) => classify(error)?,
        };
        if committed != Committed::Pending {
            self.phase = Phase::Open;
        }
        if matches!(committed, Committed::Done) {
            crash::point("committed");
            tasks.iter_mut().for_each(|task| task.finish());
            crash::point("state-finished");
        }
        Ok(committed)
    }

    fn commit_transaction(&mut self, mut parties: Parties<'_>) -> Result<Committed, WorkerError> {
        match self.phase {
            Phase::Open | Phase::Sent => {}
            Phase::Down => {
                for task in &mut parties.tasks {
                    match task.ready() {
                        Ok(()) => {}
                        Err(error @ (StateError::Unavailable(_) | StateError::Full(_))) => {
                            tracing::warn!(%error, "records wait for the state store");
                            return Ok(Committed::Pending);
                        }
                        Err(error) => task.break_off(error),
                    }
                }
                self.phase = Phase::Open;
                return Ok(Committed::RolledBack);
            }
            Phase::Unclear => return self.clear_up(parties),
        }
        let broken = self.doomed || parties.tasks.iter().any(|task| task.broken().is_some());
        if !broken && !self.begun && !parties.tasks.iter().any(|task| task.is_dirty()) {
            return Ok(Committed::Idle);
        }
        self.begin(parties.sender);
        crash::point("outputs-sent");
        let now_ms = parties.now_ms;
        let mut dirty: Vec<_> = parties.tasks.iter_mut().filter(|task| task.is_dirty()).collect();
        let mut ready = if broken || self.doomed { Err(None) } else { Ok(()) };
        for task in &mut dirty {
            if ready.is_ok() {
                ready = match send_changes(parties.sender, task, now_ms) {
                    Ok(()) => Ok(()),
                    Err(Unsent::State(error)) => Err(Some(error)),
                    Err(Unsent::Output(error)) => {
                        self.doom(error)?;
                        Err(None)
                    }
                };
            }
        }
        crash::point("changelog-sent");
        for task in &mut dirty {
            if ready.is_ok() {
                ready = task.prepare(now_ms).map_err(Some);
                if let Err(Some(error @ (StateError::Damaged(_) | StateError::Refused(_) | StateError::Fenced))) =
                    &ready
                {
                    task.break_off(error.clone());
                }
            }
        }
        crash::point("state-prepared");
        let ended = match &ready {
            Err(_) => transaction::abort(parties.sender, &self.watchdog),
            Ok(()) if dirty.is_empty() => transaction::abort(parties.sender, &self.watchdog),
            Ok(()) => {
                let shared: Vec<&Task> = dirty.iter().map(|task| &***task).collect();
                transaction::commit(parties.sender, parties.member, &offsets_of(&shared)?, &self.watchdog)
            }
        };
        match ended {
            Ended::Committed => {
                (self.begun, self.doomed) = (false, false);
                crash::point("committed");
                dirty.iter_mut().for_each(|task| task.finish());
                crash::point("state-finished");
                Ok(Committed::Done)
            }
            Ended::Aborted => {
                (self.begun, self.doomed) = (false, false);
                parties.sender.context().take_refusal()?;
                dirty.iter_mut().for_each(|task| task.roll_back());
                if let Err(Some(error @ (StateError::Unavailable(_) | StateError::Full(_)))) = ready {
                    tracing::warn!(%error, "the commit waits for the state store; its records are processed again");
                    self.phase = Phase::Down;
                    return Ok(Committed::Pending);
                }
                Ok(Committed::RolledBack)
            }
            Ended::Unclear => {
                self.phase = Phase::Unclear;
                Ok(Committed::Pending)
            }
        }
    }
}
