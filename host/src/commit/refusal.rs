//! Outputs that were not taken: what each error says, and which unit it is
//! traced back to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Instant;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::kafka::Failed;
use crate::origin::{Kind, Origin};
use crate::plugin::Failure;
use crate::repeated::Repeated;
use crate::task::{Refusal, Task};

/// The reason where it is no output's and no topic's.
const BROKERS: &str = "brokers";

/// By topic and error.
static REFUSED: Repeated<(String, String)> = Repeated::new();

/// What an error says of the outputs that it came back for.
#[derive(Debug, PartialEq, Eq)]
enum Blame {
    /// Each of them would be refused again.
    Each(Refusal),
    /// One of them, or all of them together, as they were in one batch. Which one is
    /// told by sending each in a batch of its own: a batch that follows a refused one
    /// may come back with the same error for the gap in its sequence numbers.
    Batch(Refusal),
    /// Another output of their batch, or nothing that is an output's: all may be sent again.
    None,
}

fn blame(code: Code) -> Blame {
    let output = |reason: &'static str| Refusal::Output(Cow::Borrowed(reason));
    let topic = |reason: &'static str| Blame::Each(Refusal::Topic(Cow::Borrowed(reason)));
    match code {
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            topic("the brokers deny Write on it; grant this principal Write on the topic")
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            topic("it does not exist; create it, or take it out of the configuration")
        }
        Code::UnknownPartition => Blame::Each(output("its partition does not exist in the topic")),
        // Larger than the client's own bounds: never handed to a broker.
        Code::QueueFull => {
            Blame::Each(output("it is larger than queue.buffering.max.kbytes of [kafka]; raise that property"))
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => Blame::Batch(output(
            "it is larger than max.message.bytes of the topic, or message.max.bytes of [kafka], allows",
        )),
        Code::InvalidTimestamp => Blame::Batch(output(
            "its timestamp is outside message.timestamp.before.max.ms or message.timestamp.after.max.ms of the topic",
        )),
        Code::InvalidRecord => Blame::Batch(output(
            "the brokers found it invalid (InvalidRecord): it has no key for a compacted topic, or its timestamp is out of bounds",
        )),
        Code::PolicyViolation => Blame::Batch(output("a policy of the brokers refuses it (PolicyViolation)")),
        Code::UnsupportedForMessageFormat => Blame::Batch(output("the topic's message format has no room for it")),
        _ => Blame::None,
    }
}

/// What was traced back.
#[derive(Debug, Default)]
pub(super) struct Traced {
    /// Slots of the tasks that gave outputs which failed.
    pub slots: Vec<u16>,
    /// Something was learnt that lets the next try go otherwise.
    pub learnt: bool,
    /// A short name of the cause, for metrics and views.
    pub reason: Option<&'static str>,
}

/// Notes each failure with the task that it came from. To be called before the
/// tasks are rolled back.
pub(super) fn trace(all: &[Failed], tasks: &mut [&mut Task]) -> Traced {
    let mut traced = Traced::default();
    let by_slot: HashMap<u16, usize> = tasks.iter().enumerate().map(|(index, task)| (task.slot(), index)).collect();
    for failed in all {
        let blame = blame(failed.code);
        if traced.reason.is_none_or(|known| known == BROKERS) {
            traced.reason = Some(reason(&blame));
        }
        tell(failed);
        for origin in &failed.origins {
            let Some(task) = by_slot.get(&origin.slot()).map(|index| &mut *tasks[*index]) else { continue };
            if !traced.slots.contains(&origin.slot()) && !origin.is_of(Kind::Mark) {
                traced.slots.push(origin.slot());
            }
            if origin.is_of(Kind::Mark) {
                task.mark_again(*origin, Instant::now());
            }
            if !is_unit(*origin) {
                continue;
            }
            traced.learnt |= match &blame {
                Blame::Each(refusal) => task.note_refusal(*origin, &failed.topic, refusal),
                Blame::Batch(refusal) if origin.is_alone() => task.note_refusal(*origin, &failed.topic, refusal),
                Blame::Batch(_) => task.suspect(*origin),
                Blame::None => false,
            };
        }
    }
    traced
}

fn is_unit(origin: Origin) -> bool {
    !origin.is_of(Kind::Mark) && !origin.is_of(Kind::Changelog)
}

fn reason(blame: &Blame) -> &'static str {
    match blame {
        Blame::Each(Refusal::Topic(_)) => Failure::TOPIC_UNAVAILABLE,
        Blame::Each(Refusal::Output(_)) | Blame::Batch(_) => "output-refused",
        Blame::None => BROKERS,
    }
}

fn tell(Failed { topic, partition, code, origins }: &Failed) {
    let Some(suppressed) = REFUSED.line_about((topic.clone(), code.to_string())) else { return };
    if origins.iter().all(|origin| origin.is_of(Kind::Mark)) {
        tracing::error!(
            topic, partition, %code, marks = origins.len(), suppressed,
            "the brokers refuse marks of redriven dead letters; at least once they are sent again every 3 s. Until they \
             arrive, a restart redrives these letters once more. Let `{topic}` take records as a topic with Kafka's \
             defaults does"
        );
        return;
    }
    let changelog = origins.iter().any(|origin| origin.is_of(Kind::Changelog));
    tracing::warn!(
        topic, partition, %code, outputs = origins.len(), changelog, suppressed,
        "outputs were not delivered; their records are processed again since the last commit"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_batch_blames_no_record_yet() {
        for code in [Code::MessageSizeTooLarge, Code::InvalidTimestamp, Code::InvalidRecord, Code::PolicyViolation] {
            assert!(matches!(blame(code), Blame::Batch(Refusal::Output(_))), "{code}");
        }
        for code in [Code::InvalidDifferentRecord, Code::MessageTimedOut, Code::OutOfOrderSequenceNumber] {
            assert_eq!(blame(code), Blame::None, "{code}");
        }
    }

    #[test]
    fn a_topic_that_takes_nothing_blames_no_record() {
        for code in [Code::TopicAuthorizationFailed, Code::UnknownTopic] {
            assert!(matches!(blame(code), Blame::Each(Refusal::Topic(_))), "{code}");
        }
        assert!(matches!(blame(Code::UnknownPartition), Blame::Each(Refusal::Output(_))));
    }
}
