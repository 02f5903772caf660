//! What a host does, against a real broker: one file for each behaviour.
//!
//! All are one binary, so that what they rest on is linked once. The broker is
//! the one at KAFKA_BOOTSTRAP; `cargo xtask test` starts one for the run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

#[path = "behaviour/abi.rs"]
mod abi;
#[path = "behaviour/access.rs"]
mod access;
#[path = "behaviour/authors.rs"]
mod authors;
#[path = "behaviour/authors_languages.rs"]
mod authors_languages;
#[path = "behaviour/authors_records.rs"]
mod authors_records;
#[path = "behaviour/bounded.rs"]
mod bounded;
#[path = "behaviour/broker_faults.rs"]
mod broker_faults;
#[path = "behaviour/cache.rs"]
mod cache;
#[path = "behaviour/call_budget.rs"]
mod call_budget;
#[path = "behaviour/capsules.rs"]
mod capsules;
#[path = "behaviour/changelog.rs"]
mod changelog;
#[path = "behaviour/cli.rs"]
mod cli;
#[path = "behaviour/compilation.rs"]
mod compilation;
#[path = "behaviour/containment.rs"]
mod containment;
#[cfg(debug_assertions)]
#[path = "behaviour/crash_points.rs"]
mod crash_points;
#[path = "behaviour/dead_letters.rs"]
mod dead_letters;
#[path = "behaviour/delivery.rs"]
mod delivery;
#[path = "behaviour/deploy.rs"]
mod deploy;
#[path = "behaviour/determinism.rs"]
mod determinism;
#[path = "behaviour/development.rs"]
mod development;
#[path = "behaviour/exactly_once.rs"]
mod exactly_once;
#[path = "behaviour/flink.rs"]
mod flink;
#[path = "behaviour/future_records.rs"]
mod future_records;
#[path = "behaviour/fuzz.rs"]
mod fuzz;
#[path = "behaviour/geofence.rs"]
mod geofence;
#[path = "behaviour/growth_of_hosts.rs"]
mod growth_of_hosts;
#[path = "behaviour/growth_of_topics.rs"]
mod growth_of_topics;
#[path = "behaviour/hostile.rs"]
mod hostile;
#[path = "behaviour/hostile_arguments.rs"]
mod hostile_arguments;
#[path = "behaviour/hostile_batches.rs"]
mod hostile_batches;
#[path = "behaviour/hostile_connections.rs"]
mod hostile_connections;
#[path = "behaviour/hostile_edges.rs"]
mod hostile_edges;
#[path = "behaviour/hostile_folders.rs"]
mod hostile_folders;
#[path = "behaviour/hostile_neighbours.rs"]
mod hostile_neighbours;
#[path = "behaviour/hostile_producers.rs"]
mod hostile_producers;
#[path = "behaviour/hostile_storm.rs"]
mod hostile_storm;
#[path = "behaviour/kafka_tools.rs"]
mod kafka_tools;
#[path = "behaviour/keyvalue.rs"]
mod keyvalue;
#[path = "behaviour/kills.rs"]
mod kills;
#[path = "behaviour/lag.rs"]
mod lag;
#[path = "behaviour/languages.rs"]
mod languages;
#[path = "behaviour/large_state.rs"]
mod large_state;
#[path = "behaviour/letters_that_last.rs"]
mod letters_that_last;
#[path = "behaviour/membership.rs"]
mod membership;
#[path = "behaviour/migration.rs"]
mod migration;
#[path = "behaviour/observability.rs"]
mod observability;
#[path = "behaviour/oracle.rs"]
mod oracle;
#[path = "behaviour/order_of_versions.rs"]
mod order_of_versions;
#[path = "behaviour/pauses.rs"]
mod pauses;
#[path = "behaviour/pipelines.rs"]
mod pipelines;
#[path = "behaviour/plugins.rs"]
mod plugins;
#[path = "behaviour/policies.rs"]
mod policies;
#[path = "behaviour/producers.rs"]
mod producers;
#[path = "behaviour/quarantine.rs"]
mod quarantine;
#[path = "behaviour/quarantined_task.rs"]
mod quarantined_task;
#[path = "behaviour/rebalance.rs"]
mod rebalance;
#[path = "behaviour/restart.rs"]
mod restart;
#[path = "behaviour/shelf.rs"]
mod shelf;
#[path = "behaviour/signals.rs"]
mod signals;
#[path = "behaviour/signatures.rs"]
mod signatures;
#[path = "behaviour/silence.rs"]
mod silence;
#[path = "behaviour/standby.rs"]
mod standby;
#[path = "behaviour/start.rs"]
mod start;
#[path = "behaviour/state_commands.rs"]
mod state_commands;
#[path = "behaviour/state_mismatch.rs"]
mod state_mismatch;
#[path = "behaviour/state_survives.rs"]
mod state_survives;
#[path = "behaviour/stores_away.rs"]
mod stores_away;
#[path = "behaviour/swaps.rs"]
mod swaps;
#[path = "behaviour/telling.rs"]
mod telling;
#[path = "behaviour/terminal.rs"]
mod terminal;
#[path = "behaviour/timer_failures.rs"]
mod timer_failures;
#[path = "behaviour/timers.rs"]
mod timers;
#[path = "behaviour/turns.rs"]
mod turns;
#[path = "behaviour/versions.rs"]
mod versions;
#[path = "behaviour/windows.rs"]
mod windows;
#[path = "behaviour/zombies.rs"]
mod zombies;
