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
//!
//! An output that is refused ends nothing: what its task did since the last
//! commit is taken back (exactly once: what every task of the worker did, with
//! the transaction), and the unit that gave it fails with the refusal when it
//! comes again (see `refusal`).

mod crash;
mod error;
mod plain;
mod refusal;
mod steps;
mod transaction;
mod unclear;
mod watchdog;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;

pub use error::WorkerError;
pub use watchdog::Watchdog;

use crate::kafka::{Failed, Member, Sender};
use crate::origin::Origin;
use crate::plugin::Failure;
use crate::repeated::Repeated;
use crate::state::StateError;
use crate::task::Task;
use refusal::{Traced, trace};
use steps::{Unsent, offsets_of, send_changes};
use transaction::{Closed, Ended};

/// How long one question to the brokers may hold the worker.
const ASK: Duration = Duration::from_secs(5);
/// Between two tries of something that did not answer.
const BACKOFF: Duration = Duration::from_millis(100);
/// Once a producer is fenced so often within so long, another host has this
/// one's name: one that was frozen, or whose transaction timed out, is fenced
/// once.
const FENCED: (usize, Duration) = (5, Duration::from_secs(30));

/// Why a transaction is aborted that holds what this worker has no right to any more.
const LOST: &str = "lost";
/// Why work is taken back of which only the group's offsets tell what became of it.
const UNCLEAR: &str = "unclear";

static STORE: Repeated = Repeated::new();
static OPENING: Repeated = Repeated::new();
static BEGINNING: Repeated = Repeated::new();

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
    /// Nothing since the last commit happened, of some tasks or of all. They are
    /// back there and their records are to be fetched again.
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
    /// the group's offsets to tell. With a short name of why.
    Unclear(&'static str),
}

/// Commits of one worker.
pub struct Committer {
    interval: Duration,
    last: Instant,
    phase: Phase,
    /// What the producer is made of.
    producer: ClientConfig,
    /// Exactly once.
    transactional: bool,
    /// A transaction is open.
    begun: bool,
    /// The open transaction can only be aborted.
    doomed: bool,
    /// The next commit is due at once.
    hurried: bool,
    /// Outputs of a producer that is made anew.
    unclear: Vec<Failed>,
    /// Why work was taken back since this was last asked.
    aborts: Vec<&'static str>,
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
    /// Called while brokers are waited for.
    pub waiting: &'a dyn Fn(),
}

impl Committer {
    /// `producer` is the producer's configuration, with a transactional id where
    /// the guarantee is exactly once.
    pub fn new(interval: Duration, producer: ClientConfig, watchdog: Watchdog) -> Committer {
        Committer {
            interval,
            last: Instant::now(),
            phase: Phase::Open,
            transactional: producer.get("transactional.id").is_some(),
            producer,
            begun: false,
            doomed: false,
            hurried: false,
            unclear: Vec::new(),
            aborts: Vec::new(),
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
            Phase::Open if self.hurried => Duration::ZERO,
            Phase::Open => self.interval,
            Phase::Sent | Phase::Down | Phase::Unclear(_) => BACKOFF,
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
        if !self.transactional {
            return Ok(true);
        }
        match transaction::open(&self.producer, &self.watchdog) {
            Ok(opened) => {
                *sender = opened;
                Ok(true)
            }
            Err(Closed::NotYet(error)) => {
                if let Some(suppressed) = OPENING.line() {
                    tracing::warn!(%error, suppressed, "the transactional id is not taken over yet; trying again");
                }
                Ok(false)
            }
            Err(Closed::Denied(error)) => Err(WorkerError::Denied(error)),
            Err(Closed::Timeout) => Err(WorkerError::TransactionTimeout {
                ours: self.producer.get("transaction.timeout.ms").unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Before a record is processed: outputs need a transaction to be in.
    /// False if there is none: its record is to be fetched again.
    pub fn begin(&mut self, sender: &Sender) -> bool {
        if self.transactional && !self.begun {
            self.begun = true;
            // Only a fault of ours, or a producer that was fenced meanwhile.
            if let Err(error) = sender.begin_transaction() {
                if let Some(suppressed) = BEGINNING.line() {
                    tracing::warn!(%error, suppressed, "no transaction can be begun");
                }
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

    /// An output that the producer does not take: its unit is to be processed
    /// again, and the next commit, which is due at once, takes back what came of it.
    pub fn refuse(&mut self, sender: &Sender, topic: &str, partition: Option<i32>, code: Code, origin: Origin) {
        // The producer's transaction failed before: that has a cause of its own.
        if !matches!(code, Code::PurgeQueue | Code::State) {
            // Refused by itself, not with a batch.
            sender.context().note(topic, partition.unwrap_or(-1), code, origin.sent_alone(true));
        }
        (self.doomed, self.hurried) = (self.transactional, true);
    }

    /// Whether what is sent now comes to nothing.
    pub fn is_doomed(&self) -> bool {
        self.doomed
    }

    /// Why work was taken back since this was last asked, once for each time.
    pub fn take_aborts(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.aborts)
    }

    /// Makes everything that tasks have settled durable.
    ///
    /// # Errors
    /// When the worker cannot go on: an output was refused for good, the
    /// member is fenced, or the brokers deny it. Offsets are not committed then.
    pub fn commit(&mut self, parties: Parties<'_>) -> Result<Committed, WorkerError> {
        self.hurried = false;
        let committed = match self.transactional {
            false => self.commit_plainly(parties),
            true => self.commit_transaction(parties),
        };
        self.last = Instant::now();
        committed
    }

    fn commit_transaction(&mut self, mut parties: Parties<'_>) -> Result<Committed, WorkerError> {
        match self.phase {
            Phase::Open | Phase::Sent => {}
            Phase::Down => {
                for task in &mut parties.tasks {
                    match task.ready() {
                        Ok(()) => {}
                        Err(error) if error.is_retriable() => {
                            if let Some(suppressed) = STORE.line() {
                                tracing::warn!(%error, suppressed, "records wait for the state store");
                            }
                            return Ok(Committed::Pending);
                        }
                        Err(error) => task.break_off(error),
                    }
                }
                self.phase = Phase::Open;
                return Ok(Committed::RolledBack);
            }
            Phase::Unclear(why) => return self.clear_up(parties, why),
        }
        let failed = parties.sender.context().has_failed();
        let broken = self.doomed || failed || parties.tasks.iter().any(|task| task.broken().is_some());
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
                ready = match send_changes(parties.sender, task, now_ms, parties.waiting) {
                    Ok(()) => Ok(()),
                    Err(Unsent::State(error)) => Err(Some(error)),
                    Err(Unsent::Refused { topic, code, origin }) => {
                        self.refuse(parties.sender, &topic, Some(task.id.partition), code, origin);
                        Err(None)
                    }
                };
            }
        }
        crash::point("changelog-sent");
        for task in &mut dirty {
            if ready.is_ok() {
                ready = task.prepare(now_ms).map_err(Some);
                if let Err(Some(error)) = &ready
                    && !error.is_retriable()
                {
                    task.break_off(error.clone());
                }
            }
        }
        crash::point("state-prepared");
        let ended = match &ready {
            Err(_) => transaction::abort_failed(parties.sender, &self.watchdog),
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
            Ended::Aborted(error) => {
                (self.begun, self.doomed) = (false, false);
                let failures = parties.sender.context().take_failures();
                let traced = trace(&failures, &mut parties.tasks);
                let away = ready.as_ref().err().and_then(Option::as_ref).filter(|error| error.is_retriable());
                let reason = reason(&traced, ready.as_ref().err().and_then(Option::as_ref), error.as_ref());
                if !failures.is_empty() || parties.tasks.iter().any(|task| task.is_dirty()) {
                    self.aborts.push(reason);
                }
                for task in parties.tasks.iter_mut().filter(|task| task.is_dirty()) {
                    task.roll_back();
                    // A store that is away is waited for, nothing is tried meanwhile.
                    if !traced.learnt && away.is_none() && reason != LOST {
                        task.note_stall(reason, Instant::now());
                    }
                }
                if let Some(error) = away {
                    if let Some(suppressed) = STORE.line() {
                        tracing::warn!(
                            %error, suppressed,
                            "the commit waits for the state store; its records are processed again"
                        );
                    }
                    self.phase = Phase::Down;
                    return Ok(Committed::Pending);
                }
                Ok(Committed::RolledBack)
            }
            Ended::Unclear(error) => {
                let denied = error.as_ref().is_some_and(transaction::is_denied);
                self.phase = Phase::Unclear(if denied { Failure::TOPIC_UNAVAILABLE } else { UNCLEAR });
                Ok(Committed::Pending)
            }
        }
    }
}

/// A short name of why a transaction was aborted.
fn reason(traced: &Traced, state: Option<&StateError>, error: Option<&KafkaError>) -> &'static str {
    match (traced.reason, state, error) {
        (Some(reason), ..) => reason,
        (None, Some(_), _) => "state",
        (None, None, Some(error)) if transaction::is_denied(error) => Failure::TOPIC_UNAVAILABLE,
        (None, None, Some(_)) => "brokers",
        (None, None, None) => LOST,
    }
}
