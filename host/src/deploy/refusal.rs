//! Why a version does not come into force; each says what to do.

use std::collections::BTreeSet;

use crate::foreign::quoted;
use crate::plugin::Refused;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    File(String),
    #[error("{0}")]
    Artefact(#[from] Refused),
    #[error(
        "it is not signed, and `plugins.trusted-keys` asks for a signature: sign it with `gregor plugin sign FILE --key KEY`"
    )]
    Unsigned,
    #[error(
        "its signature is by none of `plugins.trusted-keys`, or it was altered after it was signed: sign it again, or trust its signer's key"
    )]
    Untrusted,
    #[error(
        "it imports {}, which the version before does not: see what it does with that, then run `gregor plugin deploy FILE --approve`",
        quoted(.0.iter().map(String::as_str))
    )]
    Imports(BTreeSet<String>),
    #[error("no stage runs it: deploy one of {0}")]
    Unknown(String),
    #[error("there is no such pipeline: this host has {0}")]
    NoPipeline(String),
    #[error("there is no such partition: the source has {0}, numbered from 0")]
    NoPartition(i32),
    #[error("there is no version to go back to: {0}")]
    NoVersion(String),
    #[error("the version kept of it is damaged: {0}: deploy the file it came from")]
    Damaged(String),
    #[error("the audit log cannot be written, and nothing is changed without it: {0}: see to `host.data-dir`")]
    Audit(std::io::Error),
    #[error("it cannot be kept for a restart: {0}: see to `host.data-dir`")]
    History(std::io::Error),
    #[error("a worker could not start it: {0}")]
    Worker(String),
    #[error(
        "it could not migrate the state of the version before, and all partitions are back on that version and its state: {0}: \
         correct its `migrate`, or raise `plugins.migrate-timeout`"
    )]
    Migration(String),
}

impl Refusal {
    /// As the audit log has it: `init` answers in the plugin's own words, and
    /// those stay out of it.
    pub fn for_audit(&self) -> String {
        match self {
            Refusal::Artefact(Refused::Start { stage, .. }) => {
                format!("it could not be started with the configuration of stage {stage}")
            }
            Refusal::Worker(_) => "a worker could not start it".to_owned(),
            Refusal::Migration(_) => "it could not migrate the state of the version before".to_owned(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_own_words_stay_out_of_the_audit_log() {
        let refused = Refused::Start { stage: "last".into(), reason: "its init says: patient 123".into() };
        let said = || "its init says: patient 123".to_owned();
        for refusal in [Refusal::Artefact(refused), Refusal::Worker(said()), Refusal::Migration(said())] {
            assert!(refusal.to_string().contains("123"));
            assert!(!refusal.for_audit().contains("123"));
        }
    }
}
