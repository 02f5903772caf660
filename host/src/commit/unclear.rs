//! After an outcome that only the group knows: a producer made anew.

use std::time::Instant;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use super::refusal::trace;
use super::{ASK, Committed, Committer, FENCED, Parties, Phase};
use crate::commit::WorkerError;
use crate::kafka::{self, Sender};
use crate::repeated::Repeated;

static ASKING: Repeated = Repeated::new();

impl Committer {
    /// A producer was fenced, and its successor stands: two hosts with one
    /// name would go on like this for ever.
    fn note_fencing(&mut self) -> Result<(), WorkerError> {
        let (often, within) = FENCED;
        let now = Instant::now();
        self.fenced.push_back(now);
        self.fenced.retain(|at| now.duration_since(*at) < within);
        match self.fenced.len() < often {
            true => Ok(()),
            false => Err(WorkerError::SameName),
        }
    }

    /// Makes the producer anew, which ends its transaction one way or the
    /// other, and asks the group which.
    ///
    /// `why` is the reason that partitions show whose work was rolled back.
    pub(super) fn clear_up(&mut self, parties: Parties<'_>, why: &'static str) -> Result<Committed, WorkerError> {
        let Parties { member, sender, tasks, .. } = parties;
        // They belong to the producer that goes, and are traced once its outcome is known.
        self.unclear.extend(sender.context().take_failures());
        let fenced = is_fenced(sender);
        if !self.open(sender)? {
            return Ok(Committed::Pending);
        }
        if fenced {
            self.note_fencing()?;
        }
        (self.begun, self.doomed) = (false, false);
        let mut tasks = tasks;
        let failures = std::mem::take(&mut self.unclear);
        let traced = trace(&failures, &mut tasks);
        let dirty: Vec<_> = tasks.into_iter().filter(|task| task.is_dirty()).collect();
        let ids = dirty.iter().map(|task| task.id.clone());
        let committed = match kafka::committed(member, ids, ASK) {
            Ok(committed) => committed,
            Err(error) => {
                if let Some(suppressed) = ASKING.line() {
                    tracing::warn!(%error, suppressed, "the group's committed offsets are not known yet; asking again");
                }
                return Ok(Committed::Pending);
            }
        };
        for task in dirty {
            match committed.get(&task.id) {
                Some(group) if task.stands_at(group) => task.finish(),
                _ => {
                    task.roll_back();
                    if !traced.learnt {
                        task.note_stall(why, Instant::now());
                    }
                }
            }
        }
        self.aborts.push(why);
        self.phase = Phase::Open;
        Ok(Committed::RolledBack)
    }
}

fn is_fenced(sender: &Sender) -> bool {
    use RDKafkaErrorCode as Code;
    let fatal = sender.client().fatal_error().map(|(code, _)| code);
    matches!(fatal, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch))
}
