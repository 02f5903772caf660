//! What a host does, against a real broker: one file for each behaviour.
//!
//! All are one binary, so that what they rest on is linked once. The broker is
//! the one at KAFKA_BOOTSTRAP; `cargo xtask test` starts one for the run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

#[path = "behaviour/bounded.rs"]
mod bounded;
#[path = "behaviour/cache.rs"]
mod cache;
#[path = "behaviour/cli.rs"]
mod cli;
#[path = "behaviour/containment.rs"]
mod containment;
#[path = "behaviour/delivery.rs"]
mod delivery;
#[path = "behaviour/deploy.rs"]
mod deploy;
#[path = "behaviour/determinism.rs"]
mod determinism;
#[path = "behaviour/observability.rs"]
mod observability;
#[path = "behaviour/oracle.rs"]
mod oracle;
#[path = "behaviour/pipelines.rs"]
mod pipelines;
#[path = "behaviour/plugins.rs"]
mod plugins;
#[path = "behaviour/policies.rs"]
mod policies;
#[path = "behaviour/rebalance.rs"]
mod rebalance;
#[path = "behaviour/restart.rs"]
mod restart;
#[path = "behaviour/start.rs"]
mod start;
