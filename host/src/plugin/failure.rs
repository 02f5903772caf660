//! Why a call of a plugin gave no outputs.

use std::borrow::Cow;
use std::time::Duration;

use super::limits::{GUEST_STACK, MAX_RESOURCES, Overrun};
use crate::foreign::ForeignText;
use crate::state::StateError;

/// A limit's failure carries the limit and, where known, what was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The plugin's own word that this record can never succeed. Its reason is
    /// guest text: only for the stage's opt-in log.
    #[error("the plugin rejected the record")]
    Reject(ForeignText),
    /// The plugin's own word that this record may succeed later.
    #[error("the plugin asked to be called again later")]
    Retry(ForeignText),
    #[error("the plugin trapped: {0}")]
    Trap(&'static str),
    #[error("the call passed its limit of {0:?}")]
    Timeout(Duration),
    #[error("the plugin asked for {asked} bytes of memory, the limit is {limit}")]
    Memory { asked: u64, limit: u64 },
    #[error("the plugin asked for a table of {asked} elements, the limit is {limit}")]
    Table { asked: u64, limit: u64 },
    #[error("the plugin exhausted its stack of {} bytes", GUEST_STACK)]
    Stack,
    #[error("the plugin asked for one more handle of a resource, the limit is {} at once", MAX_RESOURCES)]
    Handles,
    #[error("{count} outputs for one record, the limit is {limit}")]
    Outputs { count: usize, limit: u32 },
    #[error("{bytes} bytes of outputs for one record, the limit is {limit}")]
    OutputBytes { bytes: u64, limit: u64 },
    #[error("the call passed more than {0} bytes to the host at once")]
    HostCall(u64),
    #[error("{0}")]
    Overrun(Overrun),
    #[error("the writes of the call make the host keep {bytes} bytes, the limit is {limit} (`call-memory`)")]
    CallMemory { bytes: u64, limit: u64 },
    #[error("a record of {bytes} bytes is more than its pipeline takes (`max-record-bytes` = {limit})")]
    RecordTooLarge { bytes: u64, limit: u64 },
    #[error("a record with {count} headers has more than its pipeline takes (`max-headers` = {limit})")]
    TooManyHeaders { count: usize, limit: usize },
    /// There are more instances than the pool has slots for.
    #[error("no instance is free ({0}): raise `host.max-instances`, or start another host")]
    PoolFull(String),
    #[error("an output's {0}")]
    InvalidOutput(&'static str),
    #[error("an output names a topic that the stage's `topics` does not grant")]
    TopicNotGranted,
    #[error("an output names no topic and the pipeline has no sink")]
    NoSink,
    #[error("an output of {bytes} bytes is more than topic {topic} takes ({limit})")]
    OutputTooLarge { topic: String, bytes: u64, limit: u64 },
    #[error(
        "the record's timestamp {timestamp} is {ahead} ms past this host's clock, the limit is {limit} ms (`max-future`)"
    )]
    Future { timestamp: i64, ahead: u64, limit: u64 },
    /// What the brokers do not take, or would not.
    #[error("topic {topic} refused an output: {reason}")]
    OutputRefused { topic: String, reason: Cow<'static, str> },
    /// The topic's fault, never the record's.
    #[error("topic {topic} takes no outputs: {reason}")]
    TopicUnavailable { topic: String, reason: Cow<'static, str> },
    #[error(
        "an entry of the cache takes {bytes} bytes with its record key, the changelog topic {topic} takes {limit}; \
         raise the topic's max.message.bytes or send shorter record keys"
    )]
    EntryTooLarge { topic: String, bytes: u64, limit: u64 },
    #[error("no instance could be made: {0}")]
    NoInstance(ForeignText),
    /// The plugin's own word that it cannot take over the state of the version
    /// before. Guest text, as in [`Failure::Reject`].
    #[error("its migrate refused")]
    Migration(ForeignText),
    /// The host's fault, never the record's.
    #[error("{0}")]
    State(StateError),
}

/// What a kind of failure speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The plugin: a trap or a limit ended its call.
    Breach,
    /// The plugin: its own word, or what it gave.
    Plugin,
    /// The record: no plugin was called with it.
    Record,
    /// The host, its state, or a topic: they did not serve.
    Host,
}

impl Failure {
    /// Every kind, and what it speaks against.
    pub const KINDS: [(&'static str, Blame); 25] = [
        ("trap", Blame::Breach),
        ("timeout", Blame::Breach),
        ("memory-limit", Blame::Breach),
        ("table-limit", Blame::Breach),
        ("stack-overflow", Blame::Breach),
        ("handle-limit", Blame::Breach),
        ("host-call-limit", Blame::Breach),
        ("call-memory-limit", Blame::Breach),
        ("output-count-limit", Blame::Breach),
        ("output-bytes-limit", Blame::Breach),
        ("reject", Blame::Plugin),
        ("retry", Blame::Plugin),
        ("invalid-output", Blame::Plugin),
        ("topic-not-granted", Blame::Plugin),
        ("no-sink", Blame::Plugin),
        ("output-too-large", Blame::Plugin),
        ("output-refused", Blame::Plugin),
        ("entry-too-large", Blame::Plugin),
        ("no-instance", Blame::Plugin),
        ("future-timestamp", Blame::Record),
        (Failure::RECORD_TOO_LARGE, Blame::Record),
        (Failure::TOO_MANY_HEADERS, Blame::Record),
        ("state", Blame::Host),
        (Failure::NO_FREE_INSTANCE, Blame::Host),
        (Failure::TOPIC_UNAVAILABLE, Blame::Host),
    ];

    /// What a failure of this kind speaks against. A version is judged by its own alone.
    pub fn blame(kind: &str) -> Blame {
        Failure::KINDS.iter().find(|(known, _)| *known == kind).map_or(Blame::Plugin, |(_, blame)| *blame)
    }

    /// The kind of [`Failure::TopicUnavailable`].
    pub const TOPIC_UNAVAILABLE: &'static str = "topic-unavailable";

    pub const RECORD_TOO_LARGE: &'static str = "record-too-large";
    pub const TOO_MANY_HEADERS: &'static str = "too-many-headers";
    pub const NO_FREE_INSTANCE: &'static str = "no-free-instance";

    /// A short name for metrics and dead letters.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Reject(_) => "reject",
            Failure::Retry(_) => "retry",
            Failure::Trap(_) => "trap",
            Failure::Timeout(_) => "timeout",
            Failure::Memory { .. } => "memory-limit",
            Failure::Table { .. } => "table-limit",
            Failure::Stack => "stack-overflow",
            Failure::Handles => "handle-limit",
            Failure::Outputs { .. } => "output-count-limit",
            Failure::OutputBytes { .. } => "output-bytes-limit",
            Failure::HostCall(_) | Failure::Overrun(_) => "host-call-limit",
            Failure::CallMemory { .. } => "call-memory-limit",
            Failure::RecordTooLarge { .. } => Failure::RECORD_TOO_LARGE,
            Failure::TooManyHeaders { .. } => Failure::TOO_MANY_HEADERS,
            Failure::PoolFull(_) => Failure::NO_FREE_INSTANCE,
            Failure::InvalidOutput(_) => "invalid-output",
            Failure::TopicNotGranted => "topic-not-granted",
            Failure::NoSink => "no-sink",
            Failure::OutputTooLarge { .. } => "output-too-large",
            Failure::Future { .. } => "future-timestamp",
            Failure::OutputRefused { .. } => "output-refused",
            Failure::TopicUnavailable { .. } => Failure::TOPIC_UNAVAILABLE,
            Failure::EntryTooLarge { .. } => "entry-too-large",
            Failure::NoInstance(_) => "no-instance",
            Failure::Migration(_) => "migration",
            Failure::State(_) => "state",
        }
    }

    /// Whether a failure of this kind depends on a topic's settings, so that the same
    /// record may succeed once they have changed.
    pub fn is_for_a_topic(kind: &str) -> bool {
        ["output-too-large", "output-refused", "entry-too-large"].contains(&kind)
    }

    /// Whether the instance is in an unknown state and must go.
    pub fn spoils_instance(&self) -> bool {
        matches!(
            self,
            Failure::Trap(_)
                | Failure::Timeout(_)
                | Failure::Memory { .. }
                | Failure::Table { .. }
                | Failure::Stack
                | Failure::Handles
                | Failure::HostCall(_)
                | Failure::Overrun(_)
                | Failure::CallMemory { .. }
                | Failure::State(_)
        )
    }

    /// Whether a limit or a trap ended the call: such a record is tried once
    /// more on a fresh instance.
    pub fn worth_a_fresh_instance(&self) -> bool {
        match self {
            Failure::State(_) => false,
            Failure::Outputs { .. } | Failure::OutputBytes { .. } | Failure::NoInstance(_) => true,
            _ => self.spoils_instance(),
        }
    }

    /// Whether a trap or a limit ended the call, not the plugin's own word.
    pub fn is_breach(&self) -> bool {
        self.worth_a_fresh_instance() && !matches!(self, Failure::NoInstance(_))
    }

    /// The guest's own words, if any.
    pub fn guest_text(&self) -> Option<&ForeignText> {
        match self {
            Failure::Reject(text) | Failure::Retry(text) | Failure::Migration(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_it_speaks_against() {
        let (topic, reason) = (String::from("t"), Cow::from("why"));
        let failures = [
            (Failure::Reject("no".into()), Blame::Plugin),
            (Failure::Retry("later".into()), Blame::Plugin),
            (Failure::Trap("unreachable"), Blame::Breach),
            (Failure::Timeout(Duration::ZERO), Blame::Breach),
            (Failure::Memory { asked: 2, limit: 1 }, Blame::Breach),
            (Failure::Table { asked: 2, limit: 1 }, Blame::Breach),
            (Failure::Stack, Blame::Breach),
            (Failure::Handles, Blame::Breach),
            (Failure::Outputs { count: 2, limit: 1 }, Blame::Breach),
            (Failure::OutputBytes { bytes: 2, limit: 1 }, Blame::Breach),
            (Failure::HostCall(1), Blame::Breach),
            (Failure::CallMemory { bytes: 2, limit: 1 }, Blame::Breach),
            (Failure::RecordTooLarge { bytes: 2, limit: 1 }, Blame::Record),
            (Failure::TooManyHeaders { count: 2, limit: 1 }, Blame::Record),
            (Failure::PoolFull("1".into()), Blame::Host),
            (Failure::InvalidOutput("name"), Blame::Plugin),
            (Failure::TopicNotGranted, Blame::Plugin),
            (Failure::NoSink, Blame::Plugin),
            (Failure::OutputTooLarge { topic: topic.clone(), bytes: 2, limit: 1 }, Blame::Plugin),
            (Failure::Future { timestamp: 2, ahead: 1, limit: 0 }, Blame::Record),
            (Failure::OutputRefused { topic: topic.clone(), reason: reason.clone() }, Blame::Plugin),
            (Failure::TopicUnavailable { topic: topic.clone(), reason }, Blame::Host),
            (Failure::EntryTooLarge { topic, bytes: 2, limit: 1 }, Blame::Plugin),
            (Failure::NoInstance("init".into()), Blame::Plugin),
            (Failure::State(StateError::Fenced), Blame::Host),
        ];
        for (failure, blame) in &failures {
            assert_eq!(Failure::blame(failure.kind()), *blame, "{failure:?}");
            assert_eq!(failure.is_breach(), *blame == Blame::Breach, "{failure:?}");
        }
        let mut of_failures: Vec<_> = failures.iter().map(|(failure, _)| failure.kind()).collect();
        let mut listed: Vec<_> = Failure::KINDS.iter().map(|(kind, _)| *kind).collect();
        of_failures.sort_unstable();
        listed.sort_unstable();
        assert_eq!(of_failures, listed);
    }
}
