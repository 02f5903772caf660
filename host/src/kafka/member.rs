//! A worker's member of the group, and what its callbacks note down.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Partition;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};

use super::PartitionEnd;
use super::client::{locked, log_line};

/// How long one look for statistics takes.
const LOOK: Duration = Duration::from_millis(20);

/// One member of the group. Dropped, it leaves: its partitions go to other
/// members at once instead of after the session's timeout, unless its membership
/// is static (KIP-345), which leaves no group.
pub struct Member(Arc<BaseConsumer<MemberContext>>);

impl Member {
    /// # Errors
    /// When the client library does not take the configuration.
    pub fn new(config: &ClientConfig) -> KafkaResult<Member> {
        config.create_with_context(MemberContext::default()).map(|client| Member(Arc::new(client)))
    }

    /// Leaves the group before it is dropped, which a member that has no partition is
    /// to do: in the midst of a rebalance, such as another worker's leaving begins, the
    /// client library forgets to leave when it closes, and the group waits for the
    /// member until its session times out. Waits `patience` for the rebalance at most;
    /// whether it came to an end.
    pub fn leave(&self, patience: Duration) -> bool {
        let (context, deadline) = (self.0.context(), Instant::now() + patience);
        context.closing.store(true, Ordering::Release);
        self.0.unsubscribe();
        context.outside.store(false, Ordering::Release);
        while !context.outside.load(Ordering::Acquire) {
            if Instant::now() > deadline {
                return false;
            }
            self.0.poll(LOOK);
        }
        true
    }

    /// What its queues keep.
    pub fn consumer(&self) -> &Arc<BaseConsumer<MemberContext>> {
        &self.0
    }
}

impl Deref for Member {
    type Target = BaseConsumer<MemberContext>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Member {
    /// The client library closes once every rebalance is answered, and waits for
    /// that without end: those of before, where an error or a panic came between,
    /// and those that it announces while it closes.
    fn drop(&mut self) {
        let context = self.0.context();
        context.closing.store(true, Ordering::Release);
        while let Some(rebalance) = context.unanswered() {
            rebalance.answer(&self.0);
            context.answered();
        }
    }
}

/// A rebalance as the client library announced it.
#[derive(Clone, Debug)]
pub enum Rebalance {
    Assigned(TopicPartitionList),
    Revoked(TopicPartitionList),
}

impl Rebalance {
    /// The answer of a member that leaves: what it takes up now it loses with the group.
    fn answer(&self, client: &BaseConsumer<MemberContext>) {
        let answered = match self {
            Rebalance::Assigned(partitions) => client.incremental_assign(partitions),
            Rebalance::Revoked(partitions) => client.incremental_unassign(partitions),
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "a rebalance answered while closing");
        }
    }
}

/// A partition's end, as statistics tell it.
fn end(told: &Partition) -> PartitionEnd {
    PartitionEnd { stable: told.ls_offset, high: told.hi_offset.max(told.ls_offset) }
}

/// What a member's callbacks note down for its worker, which acts on it once
/// `poll` has returned, where it may touch everything.
#[derive(Default)]
pub struct MemberContext {
    /// Those that wait for an answer, in the order in which they were announced.
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// Spares the record's path the lock.
    announced: AtomicBool,
    /// While closing there is no later `poll`: answer on the spot.
    closing: AtomicBool,
    ends: Mutex<HashMap<String, HashMap<i32, PartitionEnd>>>,
    /// No broker's connection is up, as of the last statistics.
    cut_off: AtomicBool,
    /// The member has its share of partitions, which may be none.
    steady: AtomicBool,
    /// The member does not take part in the group.
    outside: AtomicBool,
    /// There were statistics since [`MemberContext::settled`] was asked.
    fresh: AtomicBool,
}

impl MemberContext {
    /// The first rebalance without an answer, until [`MemberContext::answered`].
    pub fn unanswered(&self) -> Option<Rebalance> {
        if !self.announced.load(Ordering::Acquire) {
            return None;
        }
        locked(&self.rebalances).front().cloned()
    }

    /// The client has its answer to [`MemberContext::unanswered`].
    pub fn answered(&self) {
        let mut rebalances = locked(&self.rebalances);
        rebalances.pop_front();
        self.announced.store(!rebalances.is_empty(), Ordering::Release);
    }

    /// Whether a broker answered at the client's last statistics; it is taken to
    /// before the first.
    pub fn answering(&self) -> bool {
        !self.cut_off.load(Ordering::Relaxed)
    }

    /// Whether the group had settled at the client's last statistics; none
    /// where that was told before.
    pub fn settled(&self) -> Option<bool> {
        self.fresh.swap(false, Ordering::Acquire).then(|| self.steady.load(Ordering::Relaxed))
    }

    /// The end of a partition as of the client's last statistics.
    pub fn end(&self, topic: &str, partition: i32) -> Option<PartitionEnd> {
        locked(&self.ends).get(topic)?.get(&partition).copied()
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }

    fn stats(&self, statistics: Statistics) {
        let up = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.cut_off.store(!up, Ordering::Relaxed);
        let is_in = |state| statistics.cgrp.as_ref().is_some_and(|group| group.join_state == state);
        self.steady.store(is_in("steady"), Ordering::Relaxed);
        self.outside.store(is_in("init"), Ordering::Release);
        self.fresh.store(true, Ordering::Release);
        let mut ends = locked(&self.ends);
        for (name, topic) in statistics.topics {
            let known = topic.partitions.values().filter(|partition| partition.ls_offset >= 0);
            ends.insert(name, known.map(|known| (known.partition, end(known))).collect());
        }
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, client: &BaseConsumer<Self>, error: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigned = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let partitions = partitions.clone();
        let rebalance = if assigned { Rebalance::Assigned(partitions) } else { Rebalance::Revoked(partitions) };
        if self.closing.load(Ordering::Acquire) {
            return rebalance.answer(client);
        }
        locked(&self.rebalances).push_back(rebalance);
        self.announced.store(true, Ordering::Release);
    }
}
