//! Ends of partitions that are not fetched: paused, held, or not taken up yet. The
//! client library knows the ends of those only that it fetches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use crate::admin::Views;
use crate::record::TopicPartition;
use crate::task::{PartitionEnd, PartitionState};

/// How often the brokers are asked.
const EVERY: Duration = Duration::from_secs(2);
/// One question to the brokers.
const ASK: Duration = Duration::from_secs(5);

/// What the brokers said last.
#[derive(Debug, Default)]
pub struct Ends(Mutex<HashMap<TopicPartition, i64>>);

impl Ends {
    pub fn get(&self, id: &TopicPartition) -> Option<PartitionEnd> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).map(|end| PartitionEnd { stable: *end, high: *end })
    }

    /// Asks for the ends of those of `views` that are not fetched, until `stop`
    /// hangs up. `client` reads committed records, as the members do.
    pub fn follow(&self, client: &ClientConfig, views: &Arc<Views>, stop: &Receiver<()>) {
        let mut asking: Option<BaseConsumer> = None;
        while stop.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let unfetched = views.iter().filter(|view| !is_fetched(view.state)).map(|view| view.key().clone());
            let unfetched: Vec<_> = unfetched.collect();
            // Connected once there is something to ask.
            if asking.is_none() && !unfetched.is_empty() {
                asking = client.create().ok();
            }
            let ends = asking.as_ref().map(|asking| ask(asking, unfetched)).unwrap_or_default();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ends;
        }
    }
}

/// The ends of `partitions`, as far as the brokers answer.
fn ask(asking: &BaseConsumer, partitions: Vec<TopicPartition>) -> HashMap<TopicPartition, i64> {
    let mut ends = HashMap::with_capacity(partitions.len());
    for id in partitions {
        match asking.fetch_watermarks(&id.topic, id.partition, ASK) {
            Ok((_, end)) => drop(ends.insert(id, end)),
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut) => break,
            // A topic that was deleted.
            Err(_) => {}
        }
    }
    ends
}

fn is_fetched(state: PartitionState) -> bool {
    matches!(state, PartitionState::Running | PartitionState::Finished)
}
