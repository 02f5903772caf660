//! The transaction of one worker's producer: its calls, and what their errors mean.
//!
//! Errors are classified once, here (KIP-98, KIP-360 and librdkafka's
//! `rd_kafka_error_t`): fatal → a new producer; "requires abort", or any error
//! outside the transaction class → abort; retriable → the same call again.
//! Where a commit's outcome stays unclear the producer is made anew too:
//! librdkafka 2.12 repeats an `EndTxn` that timed out, and a late one could
//! end a later transaction (KIP-890).

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::{ClientConfig, TopicPartitionList};

use super::watchdog::Watchdog;
use crate::kafka::{self, Member, Sender};
use crate::repeated::Repeated;

/// One call of the client library.
const CALL: Duration = Duration::from_secs(5);
/// One turn of a call that wants delivery reports served in between.
const TURN: Duration = Duration::from_millis(100);
/// How long retriable errors of one step are borne.
const STEP: Duration = Duration::from_secs(10);

/// By what happened and the error's code.
static TOLD: Repeated<(&str, String)> = Repeated::new();

/// How a transaction ended.
#[derive(Debug)]
pub enum Ended {
    Committed,
    /// With the error, where one made it so.
    Aborted(Option<KafkaError>),
    /// Unknown: the group's committed offsets have to be asked, and a new producer
    /// replaces this one. Holds the error that failed the transaction before, if any.
    Unclear(Option<KafkaError>),
}

enum Class {
    Fatal,
    Abort,
    Again,
}

fn class(error: &KafkaError) -> Class {
    match error {
        KafkaError::Transaction(error) if error.is_fatal() => Class::Fatal,
        KafkaError::Transaction(error) if error.txn_requires_abort() => Class::Abort,
        KafkaError::Transaction(error) if error.is_retriable() => Class::Again,
        _ => Class::Abort,
    }
}

/// Whether a topic takes nothing from this principal, or does not exist.
pub fn is_denied(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownPartition)
    )
}

/// Why a transactional id is not taken over.
pub enum Closed {
    /// Another try may help.
    NotYet(KafkaError),
    Denied(KafkaError),
    /// The brokers' `transaction.max.timeout.ms` is below the producer's `transaction.timeout.ms`.
    Timeout,
}

/// A producer that has taken over its transactional id: whatever an earlier
/// one left open is committed or aborted by then.
///
/// # Errors
/// Why it has not.
pub fn open(config: &ClientConfig, watchdog: &Watchdog) -> Result<Sender, Closed> {
    use RDKafkaErrorCode as Code;
    let sender = kafka::new_sender(config).map_err(Closed::Denied)?;
    let _call = watchdog.call();
    let Err(error) = sender.init_transactions(CALL) else { return Ok(sender) };
    let fatal = sender.client().fatal_error().map(|(code, _)| code);
    match fatal.or_else(|| error.rdkafka_error_code()) {
        Some(Code::InvalidTransactionTimeout) => Err(Closed::Timeout),
        Some(Code::TransactionalIdAuthorizationFailed | Code::ClusterAuthorizationFailed) => Err(Closed::Denied(error)),
        _ => Err(Closed::NotYet(error)),
    }
}

/// Puts `offsets` into the open transaction and commits it.
pub fn commit(sender: &Sender, member: &Member, offsets: &TopicPartitionList, watchdog: &Watchdog) -> Ended {
    let Some(group) = member.group_metadata() else { return abort(sender, watchdog) };
    let (taking, taken) = (Arc::clone(sender), offsets.clone());
    match watchdog.leave_behind(move || step(|| taking.send_offsets_to_transaction(&taken, &group, CALL))) {
        Some(Ok(())) => {}
        Some(Err((error, class))) => {
            tell(&error, sender, "the transaction does not take the offsets");
            return match class {
                Class::Fatal => Ended::Unclear(Some(error)),
                Class::Abort | Class::Again => abort_for(error, sender, watchdog),
            };
        }
        None => {
            tracing::warn!(
                "the client library does not say whether the transaction takes the offsets; making the producer anew"
            );
            return Ended::Unclear(None);
        }
    }
    let _call = watchdog.call();
    super::crash::point("offsets-sent");
    let flushed = until(Instant::now() + STEP, || {
        let flushed = kafka::flush(sender, TURN);
        sender.poll(Duration::ZERO);
        flushed || sender.context().has_failed()
    });
    if sender.context().has_failed() {
        return abort(sender, watchdog);
    }
    if !flushed {
        let error = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
        tell(&error, sender, "the brokers do not acknowledge the outputs; aborting the transaction");
        return abort_for(error, sender, watchdog);
    }
    match step(|| sender.commit_transaction(CALL)) {
        Ok(()) => Ended::Committed,
        Err((error, Class::Abort)) => {
            tell(&error, sender, "the transaction is not committed");
            abort_for(error, sender, watchdog)
        }
        Err((error, _)) => {
            tell(&error, sender, "whether the transaction is committed is not known; asking the group");
            Ended::Unclear(None)
        }
    }
}

/// Aborts the open transaction. What was sent in it is never seen by readers
/// of committed records.
pub fn abort(sender: &Sender, watchdog: &Watchdog) -> Ended {
    let _call = watchdog.call();
    let deadline = Instant::now() + STEP;
    loop {
        // In turns: it waits for reports of what it purges, which only `poll` serves.
        match sender.abort_transaction(TURN) {
            Ok(()) => {
                sender.poll(Duration::ZERO);
                return Ended::Aborted(None);
            }
            Err(error) if matches!(class(&error), Class::Again) && Instant::now() < deadline => {
                sender.poll(Duration::ZERO);
            }
            Err(error) => {
                tell(&error, sender, "the transaction cannot be aborted; making the producer anew");
                return Ended::Unclear(None);
            }
        }
    }
}

/// As [`abort`], with the error that failed the transaction before, if one did.
pub fn abort_failed(sender: &Sender, watchdog: &Watchdog) -> Ended {
    // Refused with that error, as every call but the abort is then.
    let cause = sender.begin_transaction().err();
    match cause.filter(|error| matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())) {
        None => abort(sender, watchdog),
        Some(error) => {
            tell(&error, sender, "the transaction failed; aborting it");
            abort_for(error, sender, watchdog)
        }
    }
}

fn abort_for(error: KafkaError, sender: &Sender, watchdog: &Watchdog) -> Ended {
    match abort(sender, watchdog) {
        Ended::Aborted(None) => Ended::Aborted(Some(error)),
        Ended::Unclear(None) => Ended::Unclear(Some(error)),
        ended => ended,
    }
}

fn tell(error: &KafkaError, sender: &Sender, what: &'static str) {
    let Some(suppressed) = TOLD.line_about((what, error.to_string())) else { return };
    let (topics, trouble) = (sender.context().waits_for(), sender.context().trouble());
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
            tracing::error!(%error, topics, trouble, suppressed, "{what}. Grant this principal Write on the topic.");
        }
        _ => tracing::warn!(%error, topics, trouble, suppressed, "{what}"),
    }
}

/// Calls until it is done or cannot be, retriable errors for a while.
fn step(call: impl Fn() -> Result<(), KafkaError>) -> Result<(), (KafkaError, Class)> {
    let deadline = Instant::now() + STEP;
    loop {
        match call() {
            Ok(()) => return Ok(()),
            Err(error) => match class(&error) {
                Class::Again if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                class => return Err((error, class)),
            },
        }
    }
}

fn until(deadline: Instant, mut done: impl FnMut() -> bool) -> bool {
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
    }
}
