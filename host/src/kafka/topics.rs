//! What the host knows of topics: asked of the brokers at start, and again when
//! they refuse an output.

mod bounds;
mod facts;

pub use bounds::SendBounds;
pub use facts::Facts;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaRespErr;

use crate::config::Config;
use crate::kafka;
use crate::kafka::BrokerError;
use crate::kafka::access::{self, Obstacle};
use crate::plan::Plan;

/// What a topic takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: Arc<str>,
    /// How many it had at start …
    pub partitions: i32,
    /// … and has now: fewer where it was made anew.
    pub partitions_now: i32,
    /// The topic's `max.message.bytes`: the largest batch it takes.
    pub max_batch_bytes: u64,
    /// The largest output that is tried, in bytes before compression.
    pub largest_output: u64,
    /// Compacted: it takes no record without a key.
    pub compacted: bool,
    pub timestamps: Timestamps,
}

/// How far a record's timestamp may be from the brokers' clock, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// The topic's `message.timestamp.before.max.ms` …
    pub before: i64,
    /// … and `message.timestamp.after.max.ms`.
    pub after: i64,
}

impl Timestamps {
    /// Not bounded, as where the brokers set the time themselves.
    const ANY: Timestamps = Timestamps { before: i64::MAX, after: i64::MAX };
}

impl Topic {
    /// A topic of which nothing else is known.
    pub fn new(name: impl Into<Arc<str>>, partitions: i32, max_batch_bytes: u64) -> Topic {
        Topic {
            name: name.into(),
            partitions,
            partitions_now: partitions,
            max_batch_bytes,
            largest_output: max_batch_bytes,
            compacted: false,
            timestamps: Timestamps::ANY,
        }
    }

    /// With what the brokers tell of its settings.
    fn with(self, settings: &Settings, bounds: &SendBounds) -> Topic {
        let max_batch_bytes = settings.number("max.message.bytes").unwrap_or(self.max_batch_bytes);
        // Brokers before Kafka 3.6 have one bound for both.
        let either = settings.number("message.timestamp.difference.max.ms");
        let bound = |name| settings.number(name).or(either).and_then(|ms| i64::try_from(ms).ok()).unwrap_or(i64::MAX);
        let by_brokers = settings.text("message.timestamp.type") == Some("LogAppendTime");
        let timestamps = Timestamps {
            before: bound("message.timestamp.before.max.ms"),
            after: bound("message.timestamp.after.max.ms"),
        };
        Topic {
            max_batch_bytes,
            largest_output: bounds.largest(max_batch_bytes),
            compacted: settings.text("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
            timestamps: if by_brokers { Timestamps::ANY } else { timestamps },
            ..self
        }
    }
}

/// The topics that the configuration names, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topics(HashMap<Arc<str>, Topic, foldhash::fast::RandomState>);

impl Topics {
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.0.values()
    }
}

impl FromIterator<Topic> for Topics {
    fn from_iter<T: IntoIterator<Item = Topic>>(topics: T) -> Topics {
        Topics(topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect())
    }
}

/// One question to the brokers.
const ASK: Duration = Duration::from_secs(5);
/// How long a topic may be missing after start: one created a moment ago.
const MISSING_PATIENCE: Duration = Duration::from_secs(3);
/// A topic's `max.message.bytes` where the brokers do not tell: Kafka's default.
const DEFAULT_MAX_BATCH_BYTES: u64 = 1_048_588;
/// The largest dead letter without its record: names, position, reason, sizes, hash.
const TRUNCATED_LETTER_BYTES: u64 = 4 << 10;
/// The largest output, in bytes, that is tried where the brokers do not tell.
const LARGEST_UNKNOWN: u64 = 16 << 20;

/// How many partitions every topic has that `plans` name.
///
/// # Errors
/// [`BrokerError::Unreachable`] when no broker answers within
/// `host.start-timeout`, or what keeps brokers from answering;
/// [`BrokerError::MissingTopic`] when a topic does not exist by then, and
/// [`BrokerError::Denied`] when this principal may not see it.
pub fn partitions(config: &Config, plans: &[Arc<Plan>]) -> Result<HashMap<Arc<str>, i32>, BrokerError> {
    let asking: BaseConsumer = kafka::base_config(config).create().map_err(BrokerError::Client)?;
    let deadline = Instant::now() + config.host.start_timeout;
    let named = plans.iter().flat_map(|plan| {
        let outputs = plan.outputs().map(|topic| ("output", topic.clone()));
        std::iter::once(("source", plan.source.clone())).chain(outputs)
    });
    let mut partitions: HashMap<Arc<str>, i32> = HashMap::new();
    for (role, topic) in named {
        if let Entry::Vacant(unknown) = partitions.entry(topic) {
            let count = partition_count(&asking, config, role, unknown.key(), deadline)?;
            unknown.insert(count);
        }
    }
    Ok(partitions)
}

/// What topics with so many `partitions` take, and the `changelogs`, of which the
/// largest batch is known.
///
/// # Errors
/// [`BrokerError::SmallDeadLetters`] when one cannot take dead letters.
pub fn describe_all<'a>(
    config: &Config,
    plans: &[Arc<Plan>],
    partitions: HashMap<Arc<str>, i32>,
    changelogs: impl Iterator<Item = (&'a str, u64)>,
) -> Result<Topics, BrokerError> {
    let bounds = SendBounds::of(config);
    let described = describe(&kafka::base_config(config), partitions.keys());
    let named = partitions.into_iter().map(|(name, partitions)| {
        let settings = described.get(&name);
        let unknown = Topic::new(name, partitions, DEFAULT_MAX_BATCH_BYTES);
        match settings {
            Some(settings) => unknown.with(settings, &bounds),
            // The brokers do not tell: theirs is the last word.
            None => Topic { largest_output: bounds.client.min(LARGEST_UNKNOWN), ..unknown },
        }
    });
    let kept = changelogs.map(|(topic, max_batch_bytes)| {
        let kept = Topic::new(topic, 0, max_batch_bytes);
        Topic { largest_output: bounds.largest(max_batch_bytes), ..kept }
    });
    let topics: Topics = named.chain(kept).collect();
    plans.iter().try_for_each(|plan| check_dead_letters(plan, &topics))?;
    Ok(topics)
}

/// Whether a pipeline's dead letters get through and last.
fn check_dead_letters(plan: &Plan, topics: &Topics) -> Result<(), BrokerError> {
    let Some(topic) = plan.dead_letter.as_ref().and_then(|topic| topics.get(topic)) else { return Ok(()) };
    if topic.max_batch_bytes < TRUNCATED_LETTER_BYTES {
        let (topic, limit) = (topic.name.to_string(), topic.max_batch_bytes);
        return Err(BrokerError::SmallDeadLetters { topic, limit, least: TRUNCATED_LETTER_BYTES });
    }
    if topic.compacted {
        tracing::warn!(
            pipeline = plan.name,
            topic = %topic.name,
            "the dead-letter topic is compacted: each dead letter gets a key of its own there, so that none replaces \
             another. The record's key is in the header gregor-key",
        );
    }
    Ok(())
}

fn partition_count(
    asking: &BaseConsumer,
    config: &Config,
    role: &'static str,
    topic: &Arc<str>,
    deadline: Instant,
) -> Result<i32, BrokerError> {
    let servers = config.kafka.bootstrap_servers().to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = asking.fetch_metadata(Some(topic), ASK.min(left).max(Duration::from_millis(100)));
        let (error, may_pass) = match answer {
            Ok(metadata) => match metadata.topics().first() {
                Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
                    return Ok(found.partitions().len() as i32);
                }
                Some(found) if found.error() == Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => {
                    let right = if role == "source" { "Read" } else { "Write" };
                    return Err(access::denied(config, role, topic, right));
                }
                // A topic that was created a moment ago.
                _ => (
                    BrokerError::MissingTopic { role, topic: topic.to_string(), servers: servers.clone() },
                    left > config.host.start_timeout.saturating_sub(MISSING_PATIENCE),
                ),
            },
            Err(error) => match Obstacle::find(config, deadline.saturating_duration_since(Instant::now())) {
                Some(obstacle) if obstacle.is_lasting() => return Err(obstacle.into_error(config)),
                Some(obstacle) => (obstacle.into_error(config), true),
                // A broker that is starting.
                None => {
                    let (waited, reason) = (config.host.start_timeout, error.to_string());
                    (BrokerError::Unreachable { servers: servers.clone(), waited, reason }, true)
                }
            },
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || !may_pass {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(200).min(left));
    }
}

/// The properties of one topic.
struct Settings(ConfigResource);

impl Settings {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.value.as_deref()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

/// What the brokers tell of topics' settings; nothing where they may not.
fn describe<'a>(client: &ClientConfig, topics: impl Iterator<Item = &'a Arc<str>>) -> HashMap<Arc<str>, Settings> {
    let topics: Vec<_> = topics.collect();
    let Ok(admin) = client.create::<AdminClient<DefaultClientContext>>() else { return HashMap::new() };
    let wanted: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK));
    let described = match futures_executor::block_on(admin.describe_configs(&wanted, &options)) {
        Ok(described) => described,
        Err(error) => {
            tracing::debug!(%error, "the brokers do not describe topics; assuming Kafka's default of max.message.bytes");
            return HashMap::new();
        }
    };
    let named = |resource: ConfigResource| match &resource.specifier {
        // Of a topic that may not be described there are none.
        OwnedResourceSpecifier::Topic(name) if !resource.entries.is_empty() => {
            Some((Arc::from(name.as_str()), Settings(resource)))
        }
        _ => None,
    };
    described.into_iter().flatten().filter_map(named).collect()
}

/// What the brokers tell of `max.message.bytes`; nothing where they may not.
pub fn max_batch_bytes<'a>(
    client: &ClientConfig,
    topics: impl Iterator<Item = &'a Arc<str>>,
) -> HashMap<Arc<str>, u64> {
    let limit = |(name, settings): (Arc<str>, Settings)| Some((name, settings.number("max.message.bytes")?));
    describe(client, topics).into_iter().filter_map(limit).collect()
}
