//! What queues tell besides records: ends of partitions, errors of one of them,
//! and what the member itself has to say.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;

use super::{POLL, Worker};
use crate::clock::Now;
use crate::commit::WorkerError;
use crate::record::TopicPartition;
use crate::repeated::Repeated;
use crate::state::StateError;
use crate::task::Trouble;

/// By worker and error.
static FAILED: Repeated<(usize, String)> = Repeated::new();

/// Instead of a record that was processed.
pub(super) enum Other {
    /// The partition is to be paused.
    Waits,
    /// A record at this offset, before the position.
    WentBack(i64),
    /// Nothing comes at this offset and after it, for now.
    End(i64),
    /// Reading failed, at this offset where that is known.
    Failed(RDKafkaErrorCode, Option<i64>),
}

impl Worker {
    pub(super) fn act_on(&mut self, id: &TopicPartition, other: Other, now: Now) -> Result<(), WorkerError> {
        match other {
            Other::Waits => self.pause(id),
            Other::WentBack(offset) => self.went_back(id, offset, now),
            Other::End(offset) => self.at_end(id, offset, now),
            Other::Failed(code, offset) => self.reading_failed(id, code, offset, now),
        }
    }

    /// Everything up to `offset` is processed. `--bounded`: where the end is at or
    /// past the bound, what is left below the bound holds no record: transaction
    /// markers take offsets.
    fn at_end(&mut self, id: &TopicPartition, offset: i64, now: Now) -> Result<(), WorkerError> {
        let Some(task) = self.tasks.get_mut(id).filter(|task| !task.waits()) else { return Ok(()) };
        if offset < task.position().next {
            return self.went_back(id, offset, now);
        }
        task.reached_end(offset);
        if let Some(end) = self.shared.bounds.as_ref().and_then(|bounds| bounds.get(id))
            && offset >= *end
        {
            task.skip_to(*end);
        }
        Ok(())
    }

    /// One partition cannot be read on; the others can.
    fn reading_failed(
        &mut self,
        id: &TopicPartition,
        code: RDKafkaErrorCode,
        offset: Option<i64>,
        now: Now,
    ) -> Result<(), WorkerError> {
        use RDKafkaErrorCode as Code;
        let kind = match code {
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed => {
                return Err(WorkerError::Denied(KafkaError::MessageConsumption(code)));
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => Trouble::SOURCE_MISSING,
            Code::BadMessage | Code::InvalidMessage | Code::InvalidMessageSize => Trouble::CORRUPT,
            Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut => {
                tracing::debug!(worker = self.index, partition = %id, %code, "a broker does not answer; the client keeps trying");
                return Ok(());
            }
            _ => Trouble::UNDECODABLE,
        };
        // Fetched before its partition was paused: it comes again.
        let Some(task) = self.tasks.get_mut(id).filter(|task| !task.waits()) else { return Ok(()) };
        let offset = offset.unwrap_or(0).max(task.position().next);
        if task.meets(Trouble::new(kind, offset, now.instant)) {
            tell(self.index, id, offset, kind, code);
        }
        self.pause(id)?;
        self.publish();
        Ok(())
    }

    /// The client library began anew at `offset`, before the position: the partition
    /// ends before it. That one was cut short or made anew, which only a person can
    /// judge, or its leader is still catching up. State is opened anew, which waits for
    /// the leader and holds the partition where it does not belong to the source.
    fn went_back(&mut self, id: &TopicPartition, offset: i64, now: Now) -> Result<(), WorkerError> {
        let Some(task) = self.tasks.get_mut(id) else { return Ok(()) };
        let position = task.fetch_from();
        if task.is_stamped() {
            // Opened anew, the state is compared with what the source holds now.
            let told = format!("{id} gives offset {offset}, before offset {position}, where it is to be read on");
            task.break_off(StateError::Refused(told));
            return self.pause(id);
        }
        if task.meets(Trouble::new(Trouble::OUT_OF_RANGE, position, now.instant)) {
            tracing::error!(
                worker = self.index, partition = %id, position, first = offset, kind = Trouble::OUT_OF_RANGE,
                "{id} ends before offset {position}, where it is to be read on: the topic was cut short or made anew. \
                 The partition stops there, others continue. Looking again every 10 s, as its leader may be catching \
                 up. To continue elsewhere, stop the hosts of this group and run `gregor offsets reset`"
            );
        }
        self.pause(id)?;
        self.publish();
        Ok(())
    }

    /// Reads again where reading failed: a replica that is whole may lead by now.
    pub(super) fn read_again(&mut self, now: Now) -> Result<(), WorkerError> {
        let due = self.tasks.values_mut().filter_map(|task| {
            let due = task.try_reading(now.instant) && !task.waits();
            due.then(|| (task.id.clone(), task.fetch_from()))
        });
        let due: Vec<_> = due.collect();
        due.iter().try_for_each(|(id, from)| self.resume(id, *from))
    }

    /// Serves the member's own queue, to its end: rebalances, statistics, errors.
    pub(super) fn serve_member(&mut self) -> Result<(), WorkerError> {
        loop {
            // Without an event too: it tells the client library that its member lives.
            match self.member.poll(Duration::ZERO) {
                None => {}
                Some(Ok(stray)) => {
                    let id = TopicPartition::new(stray.topic(), stray.partition());
                    drop(stray);
                    self.return_stray(&id)?;
                }
                Some(Err(error)) => self.member_failed(error)?,
            }
            self.handle_rebalances()?;
            if !self.turns.has_events() {
                return Ok(());
            }
        }
    }

    /// A record that did not come through its partition's queue, where order is
    /// kept: it is fetched again.
    fn return_stray(&self, id: &TopicPartition) -> Result<(), WorkerError> {
        match self.tasks.get(id).filter(|task| !task.waits() && !self.halted) {
            Some(task) => self.resume(id, task.fetch_from()),
            None => Ok(()),
        }
    }

    fn member_failed(&mut self, error: KafkaError) -> Result<(), WorkerError> {
        use RDKafkaErrorCode as Code;
        match (&error, error.rdkafka_error_code()) {
            (KafkaError::MessageConsumptionFatal(_), _) => return Err(WorkerError::Fenced(error)),
            (_, Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed)) => {
                return Err(WorkerError::Denied(error));
            }
            (_, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic)) => self.tell_missing_sources(&error),
            (_, code) => {
                // The client library tells it for each of its brokers and each of its tries.
                let Some(suppressed) = FAILED.line_about((self.index, error.to_string())) else { return Ok(()) };
                let is_away = matches!(
                    code,
                    Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut)
                );
                let what = if is_away { "a broker does not answer" } else { "polling failed" };
                tracing::warn!(worker = self.index, %error, suppressed, "{what}; the client keeps trying");
            }
        }
        Ok(())
    }

    /// Names the sources that do not exist: the client library tells it once for
    /// each, and not of which.
    fn tell_missing_sources(&self, error: &KafkaError) {
        let mut sources: Vec<_> = self.plans.iter().map(|plan| &plan.source).collect();
        sources.sort_unstable();
        sources.dedup();
        for topic in sources {
            let known = self.member.fetch_metadata(Some(topic), POLL * 20);
            let exists = known.is_ok_and(|known| known.topics().iter().all(|topic| topic.error().is_none()));
            if !exists {
                tracing::error!(
                    worker = self.index, %topic, %error,
                    "the source topic does not exist: its partitions are not processed, those of other sources are. \
                     Create it again, or take its pipeline out of the configuration"
                );
            }
        }
    }
}

fn tell(worker: usize, partition: &TopicPartition, offset: i64, kind: &str, code: RDKafkaErrorCode) {
    if kind == Trouble::SOURCE_MISSING {
        tracing::error!(
            worker, %partition, position = offset, kind, %code,
            "the source topic does not exist any more: the partition is not processed, others are. \
             Create the topic again, or take its pipeline out of the configuration"
        );
    } else {
        tracing::error!(
            worker, %partition, offset, kind, %code,
            "cannot read {partition}@{offset}: the partition stops there, others continue. Reading it again every 10 s, \
             as another replica may be whole. To step over it, stop the hosts of this group and run \
             `gregor offsets reset` with the offset of the next readable record"
        );
    }
}
