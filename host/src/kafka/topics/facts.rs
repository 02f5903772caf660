//! What is known of topics while the host runs: asked for again, off the
//! record's path, once brokers refuse what it allows.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{ASK, SendBounds, Topic, Topics, describe};
use crate::config::Config;
use crate::kafka;
use crate::plan::Plan;

/// The topics of a host, as of the last time that the brokers were asked.
pub struct Facts {
    client: ClientConfig,
    bounds: SendBounds,
    /// How many partitions a source has is what its state was made for.
    sources: HashSet<Arc<str>>,
    topics: Mutex<Arc<Topics>>,
    revision: AtomicU64,
    asking: AtomicBool,
}

impl Facts {
    /// `topics` are those found at start.
    pub fn new(config: &Config, plans: &[Arc<Plan>], topics: Arc<Topics>) -> Facts {
        Facts {
            client: kafka::base_config(config),
            bounds: SendBounds::of(config),
            sources: plans.iter().map(|plan| plan.source.clone()).collect(),
            topics: Mutex::new(topics),
            revision: AtomicU64::new(0),
            asking: AtomicBool::new(false),
        }
    }

    /// How often they have changed.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    pub fn topics(&self) -> Arc<Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the brokers again, on a thread of its own; nothing where that is
    /// under way already.
    pub fn refresh(self: &Arc<Self>) {
        if self.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let facts = self.clone();
        let asking = std::thread::Builder::new().name("topics".into()).spawn(move || {
            let found = facts.ask();
            if found != *facts.topics() {
                *facts.topics.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
                facts.revision.fetch_add(1, Ordering::AcqRel);
            }
            facts.asking.store(false, Ordering::Release);
        });
        if let Err(error) = asking {
            tracing::warn!(%error, "no thread to ask the brokers about topics");
            self.asking.store(false, Ordering::Release);
        }
    }

    fn ask(&self) -> Topics {
        let known = self.topics();
        let names: Vec<Arc<str>> = known.iter().map(|topic| topic.name.clone()).collect();
        let described = describe(&self.client, names.iter());
        let asking = self.client.create::<BaseConsumer>();
        let partitions = |topic: &Topic| {
            let metadata = asking.as_ref().ok()?.fetch_metadata(Some(&topic.name), ASK).ok()?;
            let found = metadata.topics().first().filter(|found| found.error().is_none())?;
            i32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)
        };
        let now = |topic: &Topic| {
            // Of a changelog, which names its partitions itself, none are counted.
            let counted = topic.partitions > 0 && !self.sources.contains(&topic.name);
            let partitions_now = if counted { partitions(topic) } else { None };
            let topic = Topic { partitions_now: partitions_now.unwrap_or(topic.partitions_now), ..topic.clone() };
            match described.get(&topic.name) {
                Some(settings) => topic.with(settings, &self.bounds),
                None => topic,
            }
        };
        known.iter().map(now).collect()
    }
}
