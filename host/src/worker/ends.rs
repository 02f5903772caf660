//! What the brokers are asked for while the host runs: ends of partitions that are not
//! fetched, as they are paused, held, or not taken up yet (the client library knows the
//! ends of those only that it fetches), and which topics the sources
//! and changelogs are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::PartitionEnd;
use crate::kafka::{locked, topic_id};
use crate::observe::PartitionState;
use crate::observe::Views;
use crate::plan::Plan;
use crate::record::TopicPartition;

/// How often the brokers are asked for ends …
const EVERY: Duration = Duration::from_secs(2);
/// … and for the ids of topics.
const IDS: Duration = Duration::from_secs(5);
/// One question to the brokers.
const ASK: Duration = Duration::from_secs(5);

/// What the brokers said last.
#[derive(Debug, Default)]
pub struct Ends {
    ends: Mutex<HashMap<TopicPartition, i64>>,
    /// The ids of sources and changelogs (KIP-516), where the brokers tell them.
    ids: Mutex<HashMap<Arc<str>, String>>,
}

impl Ends {
    pub fn get(&self, id: &TopicPartition) -> Option<PartitionEnd> {
        locked(&self.ends).get(id).map(|end| PartitionEnd { stable: *end, high: *end })
    }

    /// The id of `topic`, a source or a changelog.
    pub fn topic_id(&self, topic: &str) -> Option<String> {
        locked(&self.ids).get(topic).cloned()
    }

    /// Someone else has just asked for the id of `topic`.
    pub fn note_id(&self, topic: &Arc<str>, id: &str) {
        locked(&self.ids).insert(topic.clone(), id.to_owned());
    }

    /// Asks until `stop` hangs up: for the ends of those of `views` that are not
    /// fetched, and for the topics of `plans`. `client` reads committed records, as
    /// the members do.
    pub fn follow(&self, client: &ClientConfig, plans: &[Arc<Plan>], views: &Arc<Views>, stop: &Receiver<()>) {
        let of_plan = |plan: &'_ Arc<Plan>| {
            std::iter::once(plan.source.clone()).chain(plan.changelogs().cloned()).collect::<Vec<_>>()
        };
        let mut topics: Vec<Arc<str>> = plans.iter().flat_map(of_plan).collect();
        topics.sort_unstable();
        topics.dedup();
        let mut asking: Option<BaseConsumer> = None;
        let mut ids_at: Option<Instant> = None;
        let mut wait = Duration::ZERO;
        while stop.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = EVERY;
            if asking.is_none() {
                asking = client.create().ok();
            }
            let Some(asking) = &asking else { continue };
            let unfetched = views.iter().filter(|view| !is_fetched(view.state)).map(|view| view.key().clone());
            let ends = ask(asking, unfetched.collect());
            *locked(&self.ends) = ends;
            if ids_at.is_none_or(|asked| asked.elapsed() >= IDS) {
                topics.iter().for_each(|topic| self.ask_id(asking, topic, plans, views));
                ids_at = Some(Instant::now());
            }
        }
    }

    /// Asks for the id of `topic`. Of another source than before, pipelines without
    /// state process what it holds from their position on: nobody is asked.
    fn ask_id(&self, asking: &BaseConsumer, topic: &Arc<str>, plans: &[Arc<Plan>], views: &Views) {
        // While it does not exist, the one that was is remembered.
        let Ok(Some(id)) = topic_id(asking, topic, ASK) else { return };
        let was = locked(&self.ids).insert(topic.clone(), id.clone());
        let keeps_state = plans.iter().any(|plan| plan.source == *topic && plan.is_durable());
        let Some(was) = was.filter(|was| *was != id && !keeps_state) else { return };
        let of_source = views.iter().filter(|view| view.key().topic == *topic);
        let positions: Vec<_> = of_source.map(|view| (view.key().clone(), view.position)).collect();
        for (partition, position) in positions {
            let Ok((start, end)) = asking.fetch_watermarks(&partition.topic, partition.partition, ASK) else {
                continue;
            };
            tracing::warn!(
                %partition, position, start, end, was, id,
                "source `{topic}` was deleted and made anew while this host read it: {partition} holds offsets {start} \
                 to {end} now and is read from {position}. To read others, stop the hosts of this group and run \
                 `gregor offsets reset`"
            );
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
