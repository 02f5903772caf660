//! Why a host has no version of a plugin to start with.

use std::path::PathBuf;

use super::Refusal;

/// Why a plugin has no version to run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("plugin `{plugin}`: {path} {problem}")]
    File { plugin: String, path: PathBuf, problem: String },
    #[error("plugin `{plugin}` ({path}) was refused: {refusal}")]
    Refused { plugin: String, path: PathBuf, refusal: Box<Refusal> },
}
