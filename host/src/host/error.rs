//! Errors of a host, named by their consequence; each says what to do.

use std::time::Duration;

use crate::commit::WorkerError;
use crate::config::ConfigErrors;
use crate::deploy::StartError;
use crate::files::DataDirError;
use crate::kafka::BrokerError;
use crate::state::StateError;
use crate::state::changelog::ChangelogError;

/// Why a host did not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error("{0}")]
    Brokers(#[from] BrokerError),
    #[error("{0}")]
    Plugin(#[from] StartError),
    #[error("{0}")]
    DataDir(#[from] DataDirError),
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
    #[error(
        "the bounded run cannot reach its end: {0}. Everything else is processed and committed. See to the cause, then run it again."
    )]
    Blocked(String),
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("{0}")]
    Changelog(Box<ChangelogError>),
    #[error("the state cannot be opened: {0}")]
    State(#[from] StateError),
}

impl From<ChangelogError> for HostError {
    fn from(error: ChangelogError) -> HostError {
        HostError::Changelog(Box::new(error))
    }
}

impl HostError {
    /// The process's exit code: 1 it could not go on, 2 configuration, 3 Kafka, 4 plugin,
    /// 6 a bounded run that partitions keep from its end.
    pub fn exit_code(&self) -> u8 {
        match self {
            HostError::Config(_) | HostError::Worker { error: WorkerError::TransactionTimeout { .. }, .. } => 2,
            HostError::Brokers(_) => 3,
            HostError::Plugin(_) => 4,
            HostError::Blocked(_) => 6,
            _ => 1,
        }
    }
}
