//! Why brokers cannot be used; each error says what to do.

use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::foreign::ForeignText;

/// Why a host cannot use its brokers.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error(
        "no broker answered at {servers} within {waited:?} ({reason}): check that it runs and that `bootstrap.servers` in [kafka] names it"
    )]
    Unreachable { servers: String, waited: Duration, reason: String },
    #[error(
        "the brokers at {servers} refuse the login of this host ({reason}): check `sasl.mechanisms`, `sasl.username` and `sasl.password` in [kafka]"
    )]
    Login { servers: String, reason: ForeignText },
    #[error(
        "the certificate of the brokers at {servers} is signed by no authority that this host trusts, or has expired ({reason}): name that authority's certificate with `ssl.ca.location` in [kafka]"
    )]
    Authority { servers: String, reason: ForeignText },
    #[error(
        "the certificate of the brokers at {servers} is for another name: write into `bootstrap.servers` in [kafka] the name that the certificate has, or have it made for this one"
    )]
    CertificateName { servers: String },
    #[error(
        "the TLS handshake with the brokers at {servers} failed ({reason}): check `security.protocol`, `ssl.certificate.location` and `ssl.key.location` in [kafka]"
    )]
    Tls { servers: String, reason: ForeignText },
    #[error(
        "the brokers at {servers} close the connection, as brokers do that expect another `security.protocol` than {protocol} ({reason}): write the one of that listener in [kafka], plaintext, ssl, sasl_plaintext or sasl_ssl"
    )]
    Protocol { servers: String, protocol: String, reason: ForeignText },
    #[error(
        "this host's principal has no right on {role} topic `{topic}`: grant it {right}, for instance with `kafka-acls.sh --bootstrap-server {servers} --add --allow-principal User:{principal} --operation {right} --topic {topic}`"
    )]
    Denied { role: &'static str, topic: String, right: &'static str, servers: String, principal: String },
    #[error(
        "the brokers at {servers} deny it ({reason}): grant this principal Describe and Read on the topics that the configuration names and on the group `{group}`"
    )]
    NotGranted { servers: String, group: String, reason: String },
    #[error(
        "{role} topic `{topic}` does not exist at {servers}: create it, for instance with `kafka-topics.sh --bootstrap-server {servers} --create --topic {topic} --partitions 6`"
    )]
    MissingTopic { role: &'static str, topic: String, servers: String },
    #[error(
        "dead-letter topic `{topic}` takes batches of {limit} bytes at most. A dead letter without its record needs up to {least}. Raise `max.message.bytes` of that topic to {least} or more."
    )]
    SmallDeadLetters { topic: String, limit: u64, least: u64 },
    #[error("the Kafka client refused its configuration: {0}")]
    Client(KafkaError),
}

/// Why a producer of a command has not sent a record.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the brokers refused an output for topic {topic} for good ({reason})")]
    Undeliverable { topic: String, reason: String },
    #[error(
        "the brokers deny it ({0}): grant this principal Read on its source topics and its group, and Write on its output topics, for instance with `kafka-acls.sh --add --allow-principal User:NAME --operation Read --topic TOPIC --group APP`"
    )]
    Denied(KafkaError),
}
