//! Questions to the brokers, asked until there is an answer.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;

use crate::config::Config;
use crate::host::HostError;
use crate::kafka::BrokerError;
use crate::kafka::Quiet;
use crate::kafka::access::{self, Obstacle};

/// One question.
pub const ASK: Duration = Duration::from_secs(5);
/// Between two questions of one kind.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a command asks: `host.start-timeout`.
pub struct Brokers<'a> {
    config: &'a Config,
    deadline: Instant,
}

impl<'a> Brokers<'a> {
    pub fn new(config: &'a Config) -> Brokers<'a> {
        Brokers { config, deadline: Instant::now() + config.host.start_timeout }
    }

    /// The result of `ask` once it has one.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn until<T>(&self, mut ask: impl FnMut() -> KafkaResult<T>) -> Result<T, HostError> {
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if access::is_denied(&error) {
                let (servers, group) = (self.config.kafka.bootstrap_servers().to_owned(), self.config.app.clone());
                return Err(BrokerError::NotGranted { servers, group, reason: error.to_string() }.into());
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            let error = match Obstacle::find(self.config, left) {
                Some(obstacle) if obstacle.is_lasting() => return Err(obstacle.into_error(self.config).into()),
                Some(obstacle) => obstacle.into_error(self.config).into(),
                None => self.unreachable(&error),
            };
            if left.is_zero() {
                return Err(error);
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub fn unreachable(&self, error: &KafkaError) -> HostError {
        BrokerError::Unreachable {
            servers: self.config.kafka.bootstrap_servers().to_owned(),
            waited: self.config.host.start_timeout,
            reason: error.to_string(),
        }
        .into()
    }

    /// How many partitions a topic has; `None` where it does not exist.
    ///
    /// # Errors
    /// When no broker answers, or this principal may not see the topic.
    pub fn partitions(&self, client: &BaseConsumer<Quiet>, topic: &str) -> Result<Option<i32>, HostError> {
        let told = self.until(|| {
            let metadata = client.fetch_metadata(Some(topic), ASK)?;
            let Some(found) = metadata.topics().first() else { return Ok(Ok(None)) };
            match found.error() {
                None => Ok(Ok(Some(found.partitions().len() as i32))),
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(Ok(None)),
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => {
                    Ok(Err(access::denied(self.config, "the", topic, "Read")))
                }
                Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            }
        })?;
        Ok(told?)
    }
}
