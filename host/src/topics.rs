//! What the host knows of topics: asked of the brokers once, at start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaRespErr;

use crate::access::{self, Obstacle};
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

/// Asks the brokers about every topic that `plans` name, and creates or checks
/// the changelog topics.
///
/// # Errors
/// [`HostError::Unreachable`] when no broker answers within
/// `host.start-timeout`, or what keeps brokers from answering;
/// [`HostError::MissingTopic`] when a topic does not exist by then, and
/// [`HostError::Denied`] when this principal may not see it.
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
    let limits = max_batch_bytes(&client, partitions.keys());
    let named = partitions.into_iter().map(|(name, partitions)| Topic {
        max_batch_bytes: limits.get(&name).copied().unwrap_or(DEFAULT_MAX_BATCH_BYTES),
        name,
        partitions,
    });
    let kept = changelogs.iter().map(|changelog| Topic {
        name: changelog.topic.as_str().into(),
        partitions: 0,
        max_batch_bytes: changelog.max_batch_bytes,
    });
    Ok((named.chain(kept).collect(), changelogs))
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
                    HostError::MissingTopic { role, topic: topic.to_string(), servers: servers.clone() },
                    left > config.host.start_timeout.saturating_sub(MISSING_PATIENCE),
                ),
            },
            Err(error) => match Obstacle::find(config, deadline.saturating_duration_since(Instant::now())) {
                Some(obstacle) if obstacle.is_lasting() => return Err(obstacle.into_error(config)),
                Some(obstacle) => (obstacle.into_error(config), true),
                // A broker that is starting.
                None => {
                    let (waited, reason) = (config.host.start_timeout, error.to_string());
                    (HostError::Unreachable { servers: servers.clone(), waited, reason }, true)
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

/// What the brokers tell of `max.message.bytes`; nothing where they may not.
pub fn max_batch_bytes<'a>(
    client: &ClientConfig,
    topics: impl Iterator<Item = &'a Arc<str>>,
) -> HashMap<Arc<str>, u64> {
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
    let limit = |resource: &ConfigResource| resource.get("max.message.bytes")?.value.as_ref()?.parse().ok();
    let named = |resource: ConfigResource| match &resource.specifier {
        OwnedResourceSpecifier::Topic(name) => Some((Arc::from(name.as_str()), limit(&resource)?)),
        _ => None,
    };
    described.into_iter().flatten().filter_map(named).collect()
}
