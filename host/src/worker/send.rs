//! Outputs on their way to the producer, and what the worker does when some come
//! back refused.

use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::Worker;
use crate::clock::wall_ms;
use crate::commit::WorkerError;
use crate::kafka::{Sender, Sent, flush, offer};
use crate::plugin::Failure;
use crate::record::Output;
use crate::task::Task;

/// How long everything before an output that is sent alone may take to arrive.
const ALONE: Duration = Duration::from_secs(5);
/// One question for the metadata of a topic that took no outputs.
const ASK: Duration = Duration::from_secs(1);
/// How often the brokers are asked what topics take that something is held for.
const LIMITS: Duration = Duration::from_secs(10);

impl Worker {
    /// Hands outputs to the producer, which copies them; waits while its queue is full.
    pub(super) fn send_outputs(&mut self) -> Result<(), WorkerError> {
        for output in self.outputs.drain(..) {
            if self.committer.is_doomed() {
                break;
            }
            // An output of a batch that was refused: alone it shows whether it is at fault.
            let alone = output.origin.is_alone() && drained(&self.sender);
            let origin = output.origin.sent_alone(alone);
            let beat = || self.shared.health.beat(self.index, wall_ms());
            if let Err(code) = offer(&self.sender, record(&output, origin.to_opaque()), &beat) {
                self.committer.refuse(&self.sender, &output.topic, output.partition, code, origin);
                continue;
            }
            if alone {
                drained(&self.sender);
            }
            match self.produced.iter_mut().find(|(topic, _)| std::sync::Arc::ptr_eq(topic, &output.topic)) {
                Some((_, count)) => *count += 1,
                None => self.produced.push((output.topic.clone(), 1)),
            }
        }
        Ok(())
    }

    /// Takes in a task under a slot that no other one has: reports name it.
    pub(super) fn take_in(&mut self, mut task: Task) {
        let used = |slot: u16| slot == 0 || self.tasks.values().any(|task| task.slot() == slot);
        let next = |slot: u16| slot.wrapping_add(1);
        let mut slot = next(self.last_slot);
        while used(slot) {
            slot = next(slot);
        }
        self.last_slot = slot;
        task.set_slot(slot);
        self.tasks.insert(task.id.clone(), task);
    }

    /// After a commit: counts what was taken back, and asks anew what topics take.
    pub(super) fn look_into_aborts(&mut self) {
        let aborts = self.committer.take_aborts();
        for reason in &aborts {
            self.shared.metrics.abort(reason);
        }
        if aborts.iter().any(|reason| ["output-refused", Failure::TOPIC_UNAVAILABLE, "brokers"].contains(reason)) {
            self.shared.facts.refresh();
        } else if self.facts_at <= Instant::now() && self.tasks.values().any(Task::is_held_for_a_topic) {
            self.facts_at = Instant::now() + LIMITS;
            self.shared.facts.refresh();
        }
        if aborts.contains(&Failure::TOPIC_UNAVAILABLE) {
            self.forget_denials();
        }
        let facts = self.shared.facts.revision();
        if facts != self.facts {
            self.facts = facts;
            self.context.topics = self.shared.facts.topics();
            self.tasks.values_mut().for_each(|task| task.try_held_for_topics(Instant::now()));
        }
    }

    /// The client library takes nothing for a topic that was denied until it has
    /// seen it granted in its metadata, which it asks for every few minutes.
    fn forget_denials(&self) {
        let mut outputs: Vec<_> = self.plans.iter().flat_map(|plan| plan.outputs()).collect();
        outputs.sort_unstable();
        outputs.dedup();
        for topic in outputs {
            if let Err(error) = self.sender.client().fetch_metadata(Some(topic), ASK) {
                tracing::debug!(%topic, %error, "no metadata of a topic that takes no outputs");
            }
        }
    }
}

/// Waits until the producer has nothing left to send; whether that is so.
fn drained(sender: &Sender) -> bool {
    let deadline = Instant::now() + ALONE;
    while sender.in_flight_count() > 0 {
        if Instant::now() >= deadline || (sender.context().is_transactional() && sender.context().has_failed()) {
            return false;
        }
        flush(sender, Duration::from_millis(100));
        sender.poll(Duration::ZERO);
    }
    true
}

fn record(output: &Output, opaque: usize) -> Sent<'_, [u8], [u8]> {
    let mut record = BaseRecord::with_opaque_to(&output.topic, opaque).timestamp(output.timestamp);
    record.key = output.key.as_deref();
    record.payload = output.value.as_deref();
    record.partition = output.partition;
    if !output.headers.is_empty() {
        let list = OwnedHeaders::new_with_capacity(output.headers.len());
        let insert = |list: OwnedHeaders, (name, value): &(String, Option<Vec<u8>>)| {
            list.insert(Header { key: name, value: value.as_deref() })
        };
        record.headers = Some(output.headers.iter().fold(list, insert));
    }
    record
}
