//! Settings of clients: tuned defaults, the user's properties over them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use crate::config::{Config, Guarantee};
use crate::foreign::ForeignText;
use crate::kafka::topics::{SendBounds, Topics};
use crate::repeated::Repeated;

/// Whether the client library takes a property of [kafka]; else its own words.
///
/// # Errors
/// Why it does not.
pub fn check_property(key: &str, value: &str) -> Result<(), String> {
    match ClientConfig::new().set(key, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, words, _, _)) => Err(words),
        Err(error) => Err(error.to_string()),
    }
}

/// The user's properties alone: for looking at topics.
pub fn base_config(config: &Config) -> ClientConfig {
    let mut client = ClientConfig::new();
    overlay(&mut client, config);
    // That is the members', who alone join a group.
    client.remove("group.protocol");
    client
}

/// A client outside any group that reads to the end of what `isolation` lets it see.
pub fn reader_config(client: &ClientConfig, isolation: &str) -> ClientConfig {
    let mut reader = client.clone();
    reader.remove("group.id");
    reader
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    reader
}

/// What a member fetches ahead of its records, in KiB and in records, over all of
/// its partitions where each member has an equal share of them.
const AHEAD: (usize, usize) = (8_192, 20_000);
/// Least for one partition.
const LEAST_AHEAD: (usize, usize) = (128, 500);

/// A group member: our defaults, the user's properties over them, and what
/// the host needs for its promises. `partitions`: of all sources.
pub fn member_config(config: &Config, worker: usize, partitions: usize) -> ClientConfig {
    let mut client = ClientConfig::new();
    // The client library bounds the queue of each partition by itself.
    let share = |all: usize, least| (all * config.host.workers / partitions.max(1)).clamp(least, all);
    client
        .set("client.id", format!("{}-{}-{worker}", config.app, config.host.id))
        .set("isolation.level", "read_committed")
        // A byte that changed on a broker's disk is an error, not another location.
        .set("check.crcs", "true")
        // The default of 1,000 ms leaves a fast consumer idle once its queue was full.
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", share(AHEAD.1, LEAST_AHEAD.1).to_string())
        .set("queued.max.messages.kbytes", share(AHEAD.0, LEAST_AHEAD.0).to_string())
        .set("fetch.wait.max.ms", "100")
        // How soon a host that is to stop knows that no rebalance is under way.
        .set("statistics.interval.ms", "250");
    if !config.kafka.consumer_protocol() {
        client
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A member hears of a rebalance with its next heartbeat; the default is 3,000 ms.
            .set("heartbeat.interval.ms", "500");
    }
    if config.host.static_membership {
        client.set("group.instance.id", format!("{}-{worker}", config.host.id));
    }
    overlay(&mut client, config);
    client
        .set("group.id", &config.app)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Of a position that the brokers do not have: what retention left, or, where
        // that is before the position, what the worker holds the partition for.
        .set("auto.offset.reset", "earliest")
        // Only the end says that nothing is left: transaction markers take offsets.
        .set("enable.partition.eof", "true");
    client
}

/// The transactional id of a worker: the same after a restart, so that what
/// was left open is ended then.
fn transactional_id(config: &Config, worker: usize) -> String {
    format!("{}-{}-{worker}", config.app, config.host.id)
}

/// A producer whose outputs keep their order and are never given up while
/// brokers are away.
pub fn sender_config(config: &Config, worker: usize, topics: &Topics) -> ClientConfig {
    let largest = topics.iter().map(|topic| topic.largest_output).max().unwrap_or(1_000_000);
    let smallest = topics.iter().map(|topic| topic.max_batch_bytes).min().unwrap_or(1_000_000);
    let mut client = ClientConfig::new();
    client
        .set("client.id", format!("{}-{}-{worker}", config.app, config.host.id))
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        .set("linger.ms", "10")
        .set("message.max.bytes", SendBounds::message_max_bytes(largest).to_string())
        // A batch is never larger than what every topic takes, but for one with a single record.
        .set("batch.size", smallest.clamp(1_000, 262_144).to_string())
        .set("queue.buffering.max.messages", "50000")
        .set("queue.buffering.max.kbytes", SendBounds::queue_kib(largest).to_string())
        // Which topics a flush waits for.
        .set("statistics.interval.ms", "1000")
        // As Java's default partitioner, so that both put a key into the same partition.
        .set("partitioner", "murmur2_random");
    let exactly_once = config.delivery.guarantee == Guarantee::ExactlyOnce;
    if exactly_once {
        // A transaction that outlives its process blocks readers of committed
        // records for as long; the default is 60 s. Records expire with it.
        client.set("transaction.timeout.ms", "10000").remove("message.timeout.ms");
    }
    overlay(&mut client, config);
    if exactly_once {
        client.set("transactional.id", transactional_id(config, worker));
    }
    // A report for every record costs more than it tells: flush says when all are through.
    client.set("delivery.report.only.error", "true");
    client
}

fn overlay(client: &mut ClientConfig, config: &Config) {
    client.set("allow.auto.create.topics", "false").set("log.connection.close", "false");
    config.kafka.iter().for_each(|(key, value)| {
        client.set(key, value);
    });
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client outside the group, whose lines go the way of the others'.
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Quiet {}

/// By the line without its numbers.
static LINES: Repeated<String> = Repeated::new();
/// Characters by which two lines are told apart.
const LIKENESS: usize = 160;

/// A line of the client library, which repeats some of them several times a second.
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
    if facility != "CONFWARN" && !matches!(level, RDKafkaLogLevel::Debug) {
        let likeness = facility.chars().chain(line.chars()).filter(|char| !char.is_ascii_digit()).take(LIKENESS);
        match LINES.line_about(likeness.collect()) {
            None => return,
            Some(0) => {}
            Some(suppressed) => {
                tracing::info!(target: "librdkafka", facility, suppressed, "lines like the next one were left out")
            }
        }
    }
    // It may have a broker's words in it.
    let line = ForeignText::from(line);
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{line}");
        }
        // Properties of the other kind of client: [kafka] holds both.
        RDKafkaLogLevel::Warning if facility == "CONFWARN" => tracing::debug!(target: "librdkafka", facility, "{line}"),
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{line}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}
