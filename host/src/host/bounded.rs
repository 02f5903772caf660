//! The end of a bounded run: reached, or out of reach as partitions wait for someone.

use std::time::{Duration, Instant};

use hashbrown::HashMap;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::HostError;
use crate::observe::PartitionState;
use crate::record::TopicPartition;
use crate::worker::Shared;

/// One question to the group.
const ASK: Duration = Duration::from_secs(5);
/// How long all that is left has to be blocked: a new version may be on its way.
const BLOCKED: Duration = Duration::from_secs(2);
/// The same where a partition cannot be read: by then it was tried once more, as
/// another replica may be whole.
const UNREADABLE: Duration = Duration::from_secs(15);
/// When the log says what is waited for, and then how often.
const TELL_FIRST: Duration = Duration::from_secs(5);
const TELL: Duration = Duration::from_secs(30);
/// Partitions that a line names.
const NAMED: usize = 5;

/// A bounded run as it is looked at from time to time.
pub struct BoundedRun<'a> {
    ends: &'a HashMap<TopicPartition, i64>,
    /// Asks the group about its offsets.
    probe: &'a BaseConsumer,
    shared: &'a Shared,
    /// Since when every partition that is short of its end waits for someone.
    blocked: Option<Instant>,
    tell_at: Instant,
}

impl<'a> BoundedRun<'a> {
    pub fn new(ends: &'a HashMap<TopicPartition, i64>, probe: &'a BaseConsumer, shared: &'a Shared) -> BoundedRun<'a> {
        BoundedRun { ends, probe, shared, blocked: None, tell_at: Instant::now() + TELL_FIRST }
    }

    /// Whether the group, other hosts included, has committed up to every end,
    /// and nothing that is parked is on its way here.
    ///
    /// # Errors
    /// [`HostError::Blocked`] when all that is left waits for someone.
    pub fn has_ended(&mut self) -> Result<bool, HostError> {
        let Some(short) = self.short() else { return Ok(false) };
        if short.is_empty() {
            // Offsets say nothing of what is parked: that is released once its partition
            // is open here, which takes a member of the group.
            let Shared { health, views, .. } = self.shared;
            let opening = || views.iter().any(|view| view.state == PartitionState::Restoring || view.releasing);
            return Ok(health.joined_all() && !opening());
        }
        let state = |id: &TopicPartition| self.shared.views.get(id).map(|view| view.state);
        let unreadable = short.iter().any(|id| state(id) == Some(PartitionState::Unreadable));
        let patience = if unreadable { UNREADABLE } else { BLOCKED };
        match short.iter().all(|id| state(id).is_some_and(PartitionState::needs_someone)) {
            false => self.blocked = None,
            true if self.blocked.get_or_insert_with(Instant::now).elapsed() >= patience => {
                return Err(HostError::Blocked(self.named(&short)));
            }
            true => {}
        }
        if Instant::now() >= self.tell_at {
            self.tell_at = Instant::now() + TELL;
            tracing::info!(partitions = short.len(), "the bounded run waits: {}", self.named(&short));
        }
        Ok(false)
    }

    /// Partitions of which the group has not committed all up to their ends; nothing
    /// while the brokers do not tell.
    fn short(&self) -> Option<Vec<TopicPartition>> {
        let mut asked = TopicPartitionList::with_capacity(self.ends.len());
        for id in self.ends.keys() {
            asked.add_partition(&id.topic, id.partition);
        }
        let committed = self.probe.committed_offsets(asked, ASK).ok()?;
        let id = |topic: &str, partition| TopicPartition::new(topic, partition);
        let is_short = |id: &TopicPartition, offset| {
            let end = self.ends.get(id).copied().unwrap_or_default();
            !matches!(offset, Offset::Offset(offset) if offset >= end)
        };
        let elements = committed.elements();
        let all = elements.iter().map(|element| (id(element.topic(), element.partition()), element.offset()));
        let mut short: Vec<_> = all.filter(|(id, offset)| is_short(id, *offset)).map(|(id, _)| id).collect();
        short.sort();
        Some(short)
    }

    fn named(&self, short: &[TopicPartition]) -> String {
        let mut named: Vec<String> = short.iter().take(NAMED).map(|id| self.describe(id)).collect();
        if short.len() > NAMED {
            named.push(format!("and {} more", short.len() - NAMED));
        }
        named.join(", ")
    }

    fn describe(&self, id: &TopicPartition) -> String {
        let Some(view) = self.shared.views.get(id) else { return format!("{id} is on another host") };
        let why = view.failure.map(str::to_owned).or_else(|| view.awaits.clone());
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        format!("{id} is {} at offset {}{why}", view.state.name(), view.position)
    }
}
