//! What the host knows of topics: asked of the brokers once, at start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::config::Config;
use crate::error::HostError;
use crate::state::changelog::{self, Changelog, Wanted};
use crate::task::Plan;
use crate::worker;

/// What a topic takes.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: Arc<str>,
    pub partitions: i32,
    /// The topic's `max.message.bytes`: the largest batch it takes.
    pub max_batch_bytes: u64,
    /// Whether its `cleanup.policy` has `compact`.
    pub compacted: bool,
}

/// The topics that the configuration names, by name.
#[derive(Clone, Debug, Default)]
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

/// Asks the brokers about every topic that `plans` name, and creates or checks
/// the changelog topics.
///
/// # Errors
/// [`HostError::Unreachable`] when no broker answers within
/// `host.start-timeout`; [`HostError::MissingTopic`] when a topic does not
/// exist by then; [`HostError::SmallDeadLetters`] when one cannot take dead letters.
pub fn discover(config: &Config, plans: &[Arc<Plan>]) -> Result<(Topics, Vec<Changelog>), HostError> {
    let client = worker::base_config(config);
    let asking: BaseConsumer = client.create().map_err(HostError::Client)?;
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
    changelog::check_names(config)?;
    let changelogs = changelog::ensure(config, &wanted(plans, &partitions))?;
    let told = settings(&client, partitions.keys());
    let named = partitions.into_iter().map(|(name, partitions)| {
        let Settings { max_batch_bytes, compacted } = told.get(&name).copied().unwrap_or_default();
        Topic { name, partitions, max_batch_bytes: max_batch_bytes.unwrap_or(DEFAULT_MAX_BATCH_BYTES), compacted }
    });
    let kept = changelogs.iter().map(|changelog| Topic {
        name: changelog.topic.as_str().into(),
        partitions: 0,
        max_batch_bytes: changelog.max_batch_bytes,
        compacted: true,
    });
    let topics: Topics = named.chain(kept).collect();
    plans.iter().try_for_each(|plan| check_dead_letters(plan, &topics))?;
    Ok((topics, changelogs))
}

/// Whether a pipeline's dead letters get through and last.
fn check_dead_letters(plan: &Plan, topics: &Topics) -> Result<(), HostError> {
    let Some(topic) = plan.dead_letter.as_ref().and_then(|topic| topics.get(topic)) else { return Ok(()) };
    if topic.max_batch_bytes < TRUNCATED_LETTER_BYTES {
        let (topic, limit) = (topic.name.to_string(), topic.max_batch_bytes);
        return Err(HostError::SmallDeadLetters { topic, limit, least: TRUNCATED_LETTER_BYTES });
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

/// The changelogs that stages keep, with as many partitions as their sources.
fn wanted(plans: &[Arc<Plan>], partitions: &HashMap<Arc<str>, i32>) -> Vec<Wanted> {
    let of_plan = |plan: &Arc<Plan>| {
        let (source, partitions) = (plan.source.to_string(), partitions.get(&plan.source).copied().unwrap_or_default());
        let kept = plan.stages.iter().filter_map(|stage| Some((stage, stage.changelog.as_ref()?)));
        let wanted = kept.map(move |(stage, topic)| Wanted {
            topic: topic.to_string(),
            pipeline: stage.scope.pipeline.clone(),
            stage: stage.scope.stage.clone(),
            source: source.clone(),
            partitions,
            replication: stage.state.replication_factor.map_or(-1, i32::from),
            max_value: stage.state.max_value,
        });
        wanted.collect::<Vec<_>>()
    };
    plans.iter().flat_map(of_plan).collect()
}

fn partition_count(
    asking: &BaseConsumer,
    config: &Config,
    role: &'static str,
    topic: &Arc<str>,
    deadline: Instant,
) -> Result<i32, HostError> {
    let servers = config.kafka.bootstrap_servers().to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = asking.fetch_metadata(Some(topic), ASK.min(left).max(Duration::from_millis(100)));
        let error = match answer {
            Ok(metadata) => match metadata.topics().first() {
                Some(found) if found.error().is_none() && !found.partitions().is_empty() => {
                    return Ok(found.partitions().len() as i32);
                }
                _ => HostError::MissingTopic { role, topic: topic.to_string(), servers: servers.clone() },
            },
            Err(error) => HostError::Unreachable {
                servers: servers.clone(),
                waited: config.host.start_timeout,
                reason: error.to_string(),
            },
        };
        // A topic that was created a moment ago, or a broker that is starting.
        let patient =
            matches!(error, HostError::Unreachable { .. }) || left > config.host.start_timeout - MISSING_PATIENCE;
        if left.is_zero() || !patient {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(200).min(left));
    }
}

/// What a topic's settings say, as far as brokers tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// `max.message.bytes`
    pub max_batch_bytes: Option<u64>,
    /// Whether `cleanup.policy` has `compact`.
    pub compacted: bool,
}

/// Settings of topics; nothing of those that the brokers may not tell.
pub fn settings<'a>(client: &ClientConfig, topics: impl Iterator<Item = &'a Arc<str>>) -> HashMap<Arc<str>, Settings> {
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
    let value = |resource: &ConfigResource, name: &str| resource.get(name)?.value.clone();
    let of_topic = |resource: &ConfigResource| Settings {
        max_batch_bytes: value(resource, "max.message.bytes").and_then(|limit| limit.parse().ok()),
        compacted: value(resource, "cleanup.policy").is_some_and(|policy| policy.contains("compact")),
    };
    let named = |resource: ConfigResource| match &resource.specifier {
        OwnedResourceSpecifier::Topic(name) => Some((Arc::from(name.as_str()), of_topic(&resource))),
        _ => None,
    };
    described.into_iter().flatten().filter_map(named).collect()
}
