//! Outputs that were not taken: what each error says, and which unit it is
//! traced back to.

use std::borrow::Cow;
use std::collections::HashMap;

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::origin::{Kind, Origin};
use crate::repeated::Repeated;
use crate::task::{Refusal, Task};
use crate::worker::Failed;

/// By topic and error.
static REFUSED: Repeated<(String, String)> = Repeated::new();

/// What an error says of the outputs that it came back for.
#[derive(Debug, PartialEq, Eq)]
enum Blame {
    /// Each of them would be refused again.
    Each(Refusal),
    /// One of them, or all of them together, as they were in one batch.
    Batch(Refusal),
    /// Another output of their batch, or nothing that is an output's: all may be sent again.
    None,
}

fn blame(failed: &Failed, all: &[Failed]) -> Blame {
    let output = |reason: &'static str| Refusal::Output(Cow::Borrowed(reason));
    let topic = |reason: &'static str| Blame::Each(Refusal::Topic(Cow::Borrowed(reason)));
    let (refusal, is_each) = match failed.code {
        Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            return topic("the brokers deny Write on it; grant this principal Write on the topic");
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            return topic("it does not exist; create it, or take it out of the configuration");
        }
        Code::UnknownPartition => (output("its partition does not exist in the topic"), true),
        // Larger than the client's own bounds: never handed to a broker.
        Code::QueueFull => {
            (output("it is larger than queue.buffering.max.kbytes of [kafka]; raise that property"), true)
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            (output("it is larger than max.message.bytes of the topic, or message.max.bytes of [kafka], allows"), false)
        }
        Code::InvalidTimestamp => (
            output(
                "its timestamp is outside message.timestamp.before.max.ms or message.timestamp.after.max.ms of the topic",
            ),
            names_records(failed, all),
        ),
        Code::InvalidRecord => (
            output(
                "the brokers found it invalid (InvalidRecord): it has no key for a compacted topic, or its timestamp is out of bounds",
            ),
            names_records(failed, all),
        ),
        Code::PolicyViolation => (output("a policy of the brokers refuses it (PolicyViolation)"), false),
        Code::UnsupportedForMessageFormat => (output("the topic's message format has no room for it"), false),
        _ => return Blame::None,
    };
    // The reports of a batch come together: one report is one batch.
    if is_each || failed.origins.len() == 1 { Blame::Each(refusal) } else { Blame::Batch(refusal) }
}

/// Whether the brokers said which records of the batch they found at fault: the
/// others come back as innocent then.
fn names_records(failed: &Failed, all: &[Failed]) -> bool {
    all.iter().any(|other| {
        other.code == Code::InvalidDifferentRecord
            && (&other.topic, other.partition) == (&failed.topic, failed.partition)
    })
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
        let blame = blame(failed, all);
        traced.reason.get_or_insert(reason(&blame));
        tell(failed);
        for origin in &failed.origins {
            let Some(task) = by_slot.get(&origin.slot()).map(|index| &mut *tasks[*index]) else { continue };
            if !traced.slots.contains(&origin.slot()) && !origin.is_of(Kind::Mark) {
                traced.slots.push(origin.slot());
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
        Blame::Each(Refusal::Topic(_)) => "topic-unavailable",
        Blame::Each(Refusal::Output(_)) | Blame::Batch(_) => "output-refused",
        Blame::None => "brokers",
    }
}

fn tell(Failed { topic, partition, code, origins }: &Failed) {
    let Some(suppressed) = REFUSED.line_about((topic.clone(), code.to_string())) else { return };
    let changelog = origins.iter().any(|origin| origin.is_of(Kind::Changelog));
    tracing::warn!(
        topic, partition, %code, outputs = origins.len(), changelog, suppressed,
        "outputs were not delivered; their records are processed again since the last commit"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(partition: i32, code: Code, outputs: u64) -> Failed {
        let origins = (0..outputs).map(|offset| Origin::new(Kind::Record, offset)).collect();
        Failed { topic: "sink".to_owned(), partition, code, origins }
    }

    #[test]
    fn a_batch_of_one_names_its_output() {
        let refused = |outputs| blame(&failed(0, Code::MessageSizeTooLarge, outputs), &[]);
        assert!(matches!(refused(1), Blame::Each(Refusal::Output(_))));
        assert!(matches!(refused(2), Blame::Batch(_)));
    }

    #[test]
    fn brokers_that_name_records_are_believed() {
        let invalid = failed(0, Code::InvalidRecord, 3);
        let of = |partition| [invalid.clone(), failed(partition, Code::InvalidDifferentRecord, 2)];
        assert!(matches!(blame(&invalid, &of(0)), Blame::Each(_)));
        assert!(matches!(blame(&invalid, &of(1)), Blame::Batch(_)), "that was another batch");
        assert_eq!(blame(&of(0)[1], &of(0)), Blame::None);
    }

    #[test]
    fn a_topic_that_takes_nothing_blames_no_record() {
        for code in [Code::TopicAuthorizationFailed, Code::UnknownTopic] {
            assert!(matches!(blame(&failed(0, code, 9), &[]), Blame::Each(Refusal::Topic(_))), "{code}");
        }
        assert_eq!(blame(&failed(0, Code::MessageTimedOut, 9), &[]), Blame::None);
    }
}
