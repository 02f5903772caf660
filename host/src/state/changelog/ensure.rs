//! Creating and checking changelog topics at start.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;

use super::error::ChangelogError;
use crate::config::Config;
use crate::kafka::{self, Quiet};

/// A changelog topic that a stage needs.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub topic: String,
    pub pipeline: String,
    pub stage: String,
    /// The pipeline's source topic …
    pub source: String,
    /// … and how many partitions it has.
    pub partitions: i32,
    /// Copies of each partition, for a topic that is created; -1: as many as the brokers' default.
    pub replication: i32,
    /// The largest value, in bytes.
    pub max_value: u64,
}

/// A changelog topic that is there and fit for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changelog {
    pub topic: String,
    pub partitions: i32,
    /// How long deletions stay after compaction: the topic's `delete.retention.ms`.
    pub delete_retention: Duration,
    /// The topic's `max.message.bytes`: the largest batch it takes.
    pub max_batch_bytes: u64,
}

/// One question to the brokers.
const ASK: Duration = Duration::from_secs(5);
/// Between two questions of one kind.
const PAUSE: Duration = Duration::from_millis(100);
/// What a batch holds beside one value: two keys, of which a record's own may be long.
const BESIDE_VALUE: u64 = 64 << 10;
/// Kafka's default of `max.message.bytes`, below which a topic is not created.
const USUAL_BATCH: u64 = 1_048_588;
/// Kafka's default of `delete.retention.ms`.
const USUAL_DELETE_RETENTION: Duration = Duration::from_hours(24);

/// Creates those of `wanted` that do not exist and checks the others; each as
/// it is then, in the order of `wanted`.
///
/// # Errors
/// What is wrong with a topic and what to do, or that the brokers did not
/// answer within `host.start-timeout`.
pub fn ensure(config: &Config, wanted: &[Wanted]) -> Result<Vec<Changelog>, ChangelogError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let client = kafka::base_config(config);
    let brokers = Brokers {
        config,
        asking: client.create_with_context(Quiet).map_err(ChangelogError::Client)?,
        admin: client.create_with_context(Quiet).map_err(ChangelogError::Client)?,
        deadline: Instant::now() + config.host.start_timeout,
    };
    let mut missing = Vec::new();
    for one in wanted {
        if brokers.partitions(one)?.is_none() {
            missing.push(one);
        }
    }
    brokers.create(&missing)?;
    for one in wanted {
        let found = brokers.settled_partitions(one)?;
        if found != one.partitions {
            return Err(ChangelogError::Partitions {
                topic: one.topic.clone(),
                source_topic: one.source.clone(),
                pipeline: one.pipeline.clone(),
                stage: one.stage.clone(),
                found,
                wanted: one.partitions,
            });
        }
    }
    let described = brokers.describe(wanted)?;
    wanted.iter().map(|one| brokers.check(one, &described)).collect()
}

/// `min.compaction.lag.ms`: the entry before an uncommitted one must still be
/// there when the host comes back from a crash.
fn compaction_lag(commit_interval: Duration) -> Duration {
    (100 * commit_interval).max(Duration::from_mins(10))
}

fn largest_batch(max_value: u64) -> u64 {
    max_value + BESIDE_VALUE
}

struct Brokers<'a> {
    config: &'a Config,
    asking: BaseConsumer<Quiet>,
    admin: AdminClient<Quiet>,
    deadline: Instant,
}

impl Brokers<'_> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn options(&self) -> AdminOptions {
        let patience = self.left().max(Duration::from_secs(1));
        AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience))
    }

    /// Asks until there is an answer.
    fn until<T>(&self, topic: &str, mut ask: impl FnMut() -> Result<T, Unanswered>) -> Result<T, ChangelogError> {
        loop {
            let reason = match ask() {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Never(error)) => return Err(*error),
                Err(Unanswered::NotYet(reason)) => reason,
            };
            if self.left().is_zero() {
                return Err(ChangelogError::Unreachable {
                    topic: topic.to_owned(),
                    servers: self.config.kafka.bootstrap_servers().to_owned(),
                    waited: self.config.host.start_timeout,
                    reason,
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// How many partitions the topic has; `None` where it does not exist.
    fn partitions(&self, wanted: &Wanted) -> Result<Option<i32>, ChangelogError> {
        self.until(&wanted.topic, || {
            let metadata = self.asking.fetch_metadata(Some(&wanted.topic), ASK)?;
            let Some(topic) = metadata.topics().first() else { return Ok(None) };
            match topic.error() {
                None if topic.partitions().iter().all(|partition| partition.leader() >= 0) => {
                    Ok(Some(topic.partitions().len() as i32))
                }
                None => Err(Unanswered::NotYet("some of its partitions have no leader".to_owned())),
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => {
                    Err(denied(wanted, "describe", "grant it Describe, Read and Write on the topic"))
                }
                Some(error) => Err(Unanswered::NotYet(Code::from(error).to_string())),
            }
        })
    }

    /// As [`Brokers::partitions`], once every broker asked knows the topic.
    fn settled_partitions(&self, wanted: &Wanted) -> Result<i32, ChangelogError> {
        self.until(&wanted.topic, || match self.partitions(wanted) {
            Ok(Some(partitions)) => Ok(partitions),
            Ok(None) => Err(Unanswered::NotYet("the topic was created and does not show yet".to_owned())),
            Err(error) => Err(Unanswered::Never(Box::new(error))),
        })
    }

    fn create(&self, missing: &[&Wanted]) -> Result<(), ChangelogError> {
        if missing.is_empty() {
            return Ok(());
        }
        let lag = compaction_lag(self.config.delivery.commit_interval).as_millis().to_string();
        let batches: Vec<_> =
            missing.iter().map(|wanted| largest_batch(wanted.max_value).max(USUAL_BATCH).to_string()).collect();
        let topics: Vec<_> = missing
            .iter()
            .zip(&batches)
            .map(|(wanted, batch)| {
                NewTopic::new(&wanted.topic, wanted.partitions, TopicReplication::Fixed(wanted.replication))
                    .set("cleanup.policy", "compact")
                    .set("min.compaction.lag.ms", &lag)
                    .set("max.message.bytes", batch)
            })
            .collect();
        let by_hand = |wanted: &Wanted, batch: &str| {
            format!(
                "kafka-topics.sh --bootstrap-server {} --create --topic {} --partitions {} --config cleanup.policy=compact --config min.compaction.lag.ms={lag} --config max.message.bytes={batch}",
                self.config.kafka.bootstrap_servers(),
                wanted.topic,
                wanted.partitions,
            )
        };
        let created =
            self.until(&missing[0].topic, || Ok(block_on(self.admin.create_topics(&topics, &self.options()))?))?;
        for ((result, wanted), batch) in created.into_iter().zip(missing).zip(&batches) {
            match result {
                Ok(_) => {
                    tracing::info!(topic = wanted.topic, partitions = wanted.partitions, "changelog topic created")
                }
                // Another host of the group was faster.
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => {
                    return Err(ChangelogError::Denied {
                        topic: wanted.topic.clone(),
                        act: "create",
                        remedy: format!("grant it Create on the topic, or run `{}`", by_hand(wanted, batch)),
                    });
                }
                Err((_, code)) => {
                    return Err(ChangelogError::NotCreated {
                        topic: wanted.topic.clone(),
                        reason: code.to_string(),
                        command: by_hand(wanted, batch),
                    });
                }
            }
        }
        Ok(())
    }

    /// The properties of each topic.
    fn describe(&self, wanted: &[Wanted]) -> Result<HashMap<String, ConfigResource>, ChangelogError> {
        let topics: Vec<_> = wanted.iter().map(|wanted| ResourceSpecifier::Topic(&wanted.topic)).collect();
        self.until(&wanted[0].topic, || {
            let mut described = HashMap::new();
            for (answer, wanted) in
                block_on(self.admin.describe_configs(&topics, &self.options()))?.into_iter().zip(wanted)
            {
                match answer {
                    Ok(resource) => {
                        let resource = told(resource)?;
                        if let OwnedResourceSpecifier::Topic(topic) = &resource.specifier {
                            described.insert(topic.clone(), resource);
                        }
                    }
                    Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
                        return Err(denied(wanted, "look at the settings of", "grant it DescribeConfigs on the topic"));
                    }
                    Err(code) => return Err(Unanswered::NotYet(code.to_string())),
                }
            }
            Ok(described)
        })
    }

    fn check(&self, wanted: &Wanted, described: &HashMap<String, ConfigResource>) -> Result<Changelog, ChangelogError> {
        let setting = |name| described.get(&wanted.topic)?.get(name)?.value.as_deref();
        let number = |name| setting(name).and_then(|value| value.parse::<u64>().ok());
        let refuse = |setting, found: String, needed: String, consequence| {
            Err(ChangelogError::Setting {
                topic: wanted.topic.clone(),
                servers: self.config.kafka.bootstrap_servers().to_owned(),
                setting,
                found,
                wanted: needed,
                consequence,
            })
        };
        let policy = setting("cleanup.policy").unwrap_or_default();
        if policy != "compact" {
            let consequence = "the brokers delete entries by their age";
            return refuse("cleanup.policy", policy.to_owned(), "compact".to_owned(), consequence);
        }
        let interval = self.config.delivery.commit_interval;
        let lag = number("min.compaction.lag.ms").unwrap_or(0);
        if u128::from(lag) <= interval.as_millis() {
            let consequence = "an entry can be compacted away before the commit of the one that follows it";
            let needed = compaction_lag(interval).as_millis().to_string();
            return refuse("min.compaction.lag.ms", lag.to_string(), needed, consequence);
        }
        let needed = largest_batch(wanted.max_value);
        let max_batch_bytes = number("max.message.bytes").unwrap_or(USUAL_BATCH);
        if max_batch_bytes < needed {
            let consequence = "it does not take a value as large as the stage's `state.max-value` allows";
            return refuse("max.message.bytes", max_batch_bytes.to_string(), needed.to_string(), consequence);
        }
        Ok(Changelog {
            topic: wanted.topic.clone(),
            partitions: wanted.partitions,
            delete_retention: number("delete.retention.ms").map_or(USUAL_DELETE_RETENTION, Duration::from_millis),
            max_batch_bytes,
        })
    }
}

/// Why a question has no answer.
enum Unanswered {
    NotYet(String),
    Never(Box<ChangelogError>),
}

impl From<KafkaError> for Unanswered {
    fn from(error: KafkaError) -> Unanswered {
        Unanswered::NotYet(error.to_string())
    }
}

/// A topic has many settings. None come from a broker that has not heard yet of
/// one that another has just created, nor for a user who may not ask: both are an
/// error of that one answer, which rust-rdkafka 0.39 drops.
fn told(resource: ConfigResource) -> Result<ConfigResource, Unanswered> {
    if resource.entries.is_empty() {
        let reason = "no settings of it are told: a broker does not know it yet, or DescribeConfigs is not granted";
        return Err(Unanswered::NotYet(reason.to_owned()));
    }
    Ok(resource)
}

fn denied(wanted: &Wanted, act: &'static str, remedy: &str) -> Unanswered {
    let (topic, remedy) = (wanted.topic.clone(), remedy.to_owned());
    Unanswered::Never(Box::new(ChangelogError::Denied { topic, act, remedy }))
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource};

    use super::*;

    #[test]
    fn an_answer_without_settings_is_no_answer_yet() {
        let answer =
            |entries| ConfigResource { specifier: OwnedResourceSpecifier::Topic("changelog".to_owned()), entries };
        let Err(Unanswered::NotYet(reason)) = told(answer(Vec::new())) else {
            panic!("taken for the topic's settings")
        };
        assert!(reason.contains("does not know it yet") && reason.contains("DescribeConfigs"), "{reason}");
        let entry = ConfigEntry {
            name: "cleanup.policy".to_owned(),
            value: Some("compact".to_owned()),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        };
        assert!(told(answer(vec![entry])).is_ok());
    }
}
