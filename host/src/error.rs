//! Errors, named by their consequence; each says what to do.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::error::KafkaError;

use crate::config::ConfigErrors;
use crate::deploy::Refusal;
use crate::foreign::ForeignText;

/// Why a host did not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
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
    #[error("the Kafka client refused its configuration: {0}")]
    Client(KafkaError),
    #[error("plugin `{plugin}`: {path} {problem}")]
    PluginFile { plugin: String, path: PathBuf, problem: String },
    #[error("plugin `{plugin}` ({path}) was refused: {refusal}")]
    PluginRefused { plugin: String, path: PathBuf, refusal: Box<Refusal> },
    #[error("{path} cannot be used: {problem}: let the host's user write there, or name another `host.data-dir`")]
    DataDir { path: PathBuf, problem: std::io::Error },
    #[error("{0}")]
    DataDirRefused(#[from] crate::files::DataDirError),
    #[error("the start was cancelled before the first worker started")]
    Cancelled,
    #[error("the thread that starts the host panicked; see the log above")]
    StartPanicked,
    #[error(
        "the pool of plugin instances could not be reserved: {0}: lower `host.max-instances` or a stage's `memory`"
    )]
    Pool(String),
    #[error(
        "the admin server cannot listen on {address}: {problem}: name another address with `host.admin`, or \"off\""
    )]
    Admin { address: String, problem: std::io::Error },
    #[error("worker {worker} ended: {error}")]
    Worker { worker: usize, error: WorkerError },
    #[error(
        "the workers did not end within {0:?} (`host.shutdown-timeout`); what they had not committed is processed again"
    )]
    ShutdownTimeout(Duration),
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("{0}")]
    Changelog(Box<crate::state::changelog::ChangelogError>),
    #[error("the state cannot be opened: {0}")]
    State(#[from] crate::state::StateError),
}

impl From<crate::state::changelog::ChangelogError> for HostError {
    fn from(error: crate::state::changelog::ChangelogError) -> HostError {
        HostError::Changelog(Box::new(error))
    }
}

impl HostError {
    /// The process's exit code: 1 it could not go on, 2 configuration, 3 Kafka, 4 plugin.
    pub fn exit_code(&self) -> u8 {
        match self {
            HostError::Config(_) | HostError::Worker { error: WorkerError::TransactionTimeout { .. }, .. } => 2,
            HostError::Unreachable { .. }
            | HostError::Login { .. }
            | HostError::Authority { .. }
            | HostError::CertificateName { .. }
            | HostError::Tls { .. }
            | HostError::Protocol { .. }
            | HostError::Denied { .. }
            | HostError::NotGranted { .. }
            | HostError::MissingTopic { .. }
            | HostError::Client(_) => 3,
            HostError::PluginFile { .. } | HostError::PluginRefused { .. } => 4,
            _ => 1,
        }
    }
}

/// Why a worker cannot go on. Nothing is lost: the process ends with offsets
/// committed only up to what was delivered.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("{0}")]
    Client(KafkaError),
    #[error(
        "the brokers refused an output for topic {topic} for good ({reason}): its record will be processed again after a restart"
    )]
    Undeliverable { topic: String, reason: String },
    #[error("the group does not take this member any more ({0})")]
    Fenced(KafkaError),
    #[error(
        "another process takes over this worker's transactional id again and again: two hosts have the same `host.id`; give each one of its own"
    )]
    SameName,
    #[error(
        "the brokers deny it ({0}): grant this principal Read on its source topics and its group, and Write on its output topics, for instance with `kafka-acls.sh --add --allow-principal User:NAME --operation Read --topic TOPIC --group APP`"
    )]
    Denied(KafkaError),
    #[error("the state of {partition} cannot be opened: {problem}")]
    State { partition: String, problem: String },
    #[error(
        "topic {topic} has more than the {from} partitions it had at start, and pipeline `{pipeline}` keeps state: its keys have moved away from their state. See `gregor state export` and `import` in docs/operations.md"
    )]
    Grown { topic: String, from: i32, pipeline: String },
    #[error(
        "the brokers refuse transactions of {ours} ms, their transaction.max.timeout.ms is lower: raise that setting of the brokers, or set `\"transaction.timeout.ms\"` in [kafka] to at most that, and above delivery.commit-interval"
    )]
    TransactionTimeout { ours: String },
    #[error("it panicked")]
    Panicked,
}
