//! `[kafka]`: the client's own properties, word for word.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::path::Path;

use super::document::{Item, Table, Value};
use super::read::Reader;
use super::{Guarantee, KafkaProperty, check, risk};

/// Properties of librdkafka, by name. `Debug` shows no secret's value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaProperties(BTreeMap<String, String>);

impl KafkaProperties {
    /// The value of a property, if the file gives it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The brokers to start from, `host:port` joined by commas.
    pub fn bootstrap_servers(&self) -> &str {
        self.get(BOOTSTRAP_SERVERS).unwrap_or_default()
    }

    /// Whether members join by the consumer protocol (KIP-848) instead of the classic one.
    pub fn consumer_protocol(&self) -> bool {
        self.get(GROUP_PROTOCOL) == Some("consumer")
    }

    /// All properties, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.into_iter()
    }
}

impl<'a> IntoIterator for &'a KafkaProperties {
    type Item = (&'a str, &'a str);
    type IntoIter =
        std::iter::Map<btree_map::Iter<'a, String, String>, fn((&'a String, &'a String)) -> (&'a str, &'a str)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl FromIterator<(String, String)> for KafkaProperties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value)| (key, if is_secret(key) { "***" } else { value });
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}

fn is_secret(key: &str) -> bool {
    const MARKS: [&str; 6] = ["password", "passphrase", "secret", "token", "key.pem", "oauthbearer.config"];
    MARKS.iter().any(|mark| key.contains(mark))
}

const GROUP_PROTOCOL: &str = "group.protocol";
const BOOTSTRAP_SERVERS: &str = "bootstrap.servers";

/// Properties that Gregor answers for itself, and why or where.
const OWN: &[(&str, &str)] = &[
    ("group.id", "it is `app`; change that"),
    ("group.instance.id", "each worker is a member of its own: write host.static-membership = true"),
    ("partition.assignment.strategy", "the workers' rebalance is cooperative-sticky"),
    ("enable.auto.commit", "offsets are committed once the outputs are flushed"),
    ("auto.commit.interval.ms", "write delivery.commit-interval"),
    ("auto.commit.enable", "offsets are committed once the outputs are flushed"),
    ("enable.auto.offset.store", "offsets are committed once the outputs are flushed"),
    ("auto.offset.reset", "write `start` in the pipeline"),
    ("enable.partition.eof", "the end of a partition is told by position"),
    ("transactional.id", "it is made of `app`, host.id and the worker"),
    ("enable.idempotence", "without it a retry could repeat or reorder outputs, so it is on"),
    ("acks", "every output waits for all replicas in sync, so that none is lost"),
    ("request.required.acks", "every output waits for all replicas in sync, so that none is lost"),
    ("delivery.report.only.error", "the delivery of each output is counted"),
    ("metadata.broker.list", "it is another name of \"bootstrap.servers\"; write that"),
];

/// Properties that name a file, or a folder of certificates.
const FILES: [&str; 11] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.crl.location",
    "ssl.keystore.location",
    "ssl.engine.location",
    "https.ca.location",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
];
/// What the client takes in the place of a file: it looks for the machine's own.
const PROBE: &str = "probe";

/// Under exactly once only.
const OWN_IN_TRANSACTIONS: &[(&str, &str)] = &[("isolation.level", "exactly-once reads committed records only")];

/// With `group.protocol = "consumer"`, where the brokers' settings hold (KIP-848).
const OWN_TO_BROKERS: &[(&str, &str)] = &[
    ("session.timeout.ms", "with the consumer protocol it is the brokers' group.consumer.session.timeout.ms"),
    ("heartbeat.interval.ms", "with the consumer protocol it is the brokers' group.consumer.heartbeat.interval.ms"),
    ("group.protocol.type", "the consumer protocol has none"),
];

/// Makes one key of each path: `ssl.ca.location = "x"` without quotes is a
/// table in TOML, and the property that the user meant all the same.
pub(super) fn join_dotted_keys(root: &mut Table) {
    if let Some(Item { value: Value::Table(kafka), .. }) = root.items.get_mut("kafka") {
        for (key, item) in std::mem::take(&mut kafka.items) {
            insert_joined(kafka, key, item);
        }
    }
}

fn insert_joined(kafka: &mut Table, key: String, item: Item) {
    match item.value {
        Value::Table(inner) => {
            for (rest, item) in inner.items {
                insert_joined(kafka, format!("{key}.{rest}"), item);
            }
        }
        _ => {
            kafka.items.insert(key, item);
        }
    }
}

/// Reads `[kafka]`. The client judges each property that is not Gregor's own.
/// Files are named relative to `dir`; the client would look from where it runs.
pub(super) fn properties(
    reader: &mut Reader<'_>,
    dir: &Path,
    guarantee: Guarantee,
    insecure: bool,
    accepts: KafkaProperty<'_>,
) -> KafkaProperties {
    let mut properties = reader.scalars();
    for (key, value) in &mut properties {
        if FILES.contains(&key.as_str()) && !value.is_empty() && value != PROBE {
            let path = dir.join(&*value);
            check::file(reader, key, &path);
            *value = path.to_string_lossy().into_owned();
        }
        if value.ends_with(['\n', '\r']) && !key.ends_with(".pem") {
            reader.refuse(key, "ends with a line break", "take it off: it is not part of the value in its file");
        }
    }
    let consumer_protocol = properties.iter().any(|(key, value)| key == GROUP_PROTOCOL && value == "consumer");
    for (key, value) in &properties {
        let own = OWN
            .iter()
            .chain(match guarantee {
                Guarantee::AtLeastOnce => &[],
                Guarantee::ExactlyOnce => OWN_IN_TRANSACTIONS,
            })
            .chain(if consumer_protocol { OWN_TO_BROKERS } else { &[] });
        if let Some((_, why)) = own.into_iter().find(|(name, _)| name == key) {
            reader.refuse(key, "is Gregor's to set", format!("leave it out: {why}"));
        } else if let Err(problem) = accepts(key, value) {
            let problem =
                if is_secret(key) && !value.is_empty() { problem.replace(value.as_str(), "***") } else { problem };
            let cure = "librdkafka's CONFIGURATION.md lists its properties and their values";
            reader.refuse(key, problem, cure);
        }
    }
    match properties.iter().find(|(key, _)| key == BOOTSTRAP_SERVERS) {
        Some((_, servers)) if !servers.trim().is_empty() => {}
        _ if reader.has("metadata.broker.list") => {}
        found => {
            let problem = if found.is_some() { "is empty" } else { "is missing" };
            let cure = "name at least one broker: \"bootstrap.servers\" = \"localhost:9092\"";
            reader.refuse(BOOTSTRAP_SERVERS, problem, cure);
        }
    }
    risk::kafka(reader, &properties, insecure);
    properties.into_iter().collect()
}
