//! What a stage gives to its instances.

use std::collections::BTreeMap;

use crate::config::{self, Isolation, LogLevel};

/// What a stage gives to its instances: names, limits and configuration.
#[derive(Debug)]
pub struct Scope {
    pub pipeline: String,
    pub stage: String,
    pub plugin: String,
    pub limits: config::Limits,
    pub cache: CacheLimits,
    pub isolation: Isolation,
    pub log: Option<LogLevel>,
    pub config: BTreeMap<String, String>,
}

impl Scope {
    pub fn new(pipeline: &str, stage: &config::Stage) -> Scope {
        Scope {
            pipeline: pipeline.to_owned(),
            stage: stage.name.clone(),
            plugin: stage.plugin.clone(),
            limits: stage.limits.clone(),
            cache: CacheLimits {
                bytes: stage.state.max_bytes,
                value: stage.state.max_value,
                call: stage.limits.call_memory,
            },
            isolation: stage.isolation,
            log: stage.log,
            config: stage.config.clone(),
        }
    }
}

/// Bounds of one cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Bytes of all keys and values, but of what is parked.
    pub bytes: u64,
    /// Bytes of one value.
    pub value: u64,
    /// Bytes that the writes of one call may make the host keep: what stood there
    /// before, and what stands there now.
    pub call: u64,
}
