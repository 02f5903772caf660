//! Write Gregor plugins in Rust.
//!
//! Implement [`Plugin`] for a type, hand that type to [`export!`], and build a
//! `cdylib` for `wasm32-wasip2`: the `.wasm` file is a plugin.
//!
//! ```
//! use gregor_sdk::{Failure, Input, Output, Plugin, reject};
//!
//! struct Shout;
//!
//! impl Plugin for Shout {
//!     fn process(record: Input) -> Result<Vec<Output>, Failure> {
//!         let value = record.value.ok_or_else(|| reject("a tombstone"))?;
//!         Ok(vec![Output::new(record.key, value.to_ascii_uppercase())])
//!     }
//! }
//!
//! gregor_sdk::export!(Shout);
//! ```
//!
//! | for | see |
//! |---|---|
//! | records, also as JSON | [`Input`], [`Output`], [`json`] |
//! | JSON as it was written, JSON pointers | [`document`], [`pointer`] |
//! | state | [`state`], typed; [`cache`], bytes |
//! | records kept for later | [`held`] |
//! | calls at a later time | [`Timed`], [`timers`] |
//! | windows of event time | [`window`] |
//! | the stage's `config` | [`config`] |
//! | lines of steps in it | [`steps`] |
//! | a check of it before the first record | [`Lifecycle`] |
//! | state that an earlier version left | [`Migration`] |
//! | log lines, own metrics, the time | [`info!`] and its like, [`metrics`], [`clock`] |
//! | tests | [`testing::PluginTester`] |
//!
//! The crate compiles for the machine you develop on too, so that a plugin has
//! plain `cargo test` tests: there a [`testing::PluginTester`] is the host.
//!
//! A plugin gets an allocator that is made for many small blocks; one that
//! brings its own leaves it out with `default-features = false`.

#[cfg(all(feature = "allocator", any(test, target_arch = "wasm32"), not(target_feature = "atomics")))]
mod alloc;
/// What [`export!`] builds on; use the names below instead.
#[doc(hidden)]
pub mod bindings;
pub mod cache;
pub mod clock;
pub mod config;
mod convert;
pub mod document;
#[doc(hidden)]
pub mod export;
pub mod held;
pub mod json;
pub mod logging;
pub mod metrics;
#[cfg(feature = "parts")]
pub mod part;
pub mod pointer;
mod record;
pub mod state;
pub mod steps;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod timers;
pub mod window;

pub use bindings::exports::gregor::plugin::processor::Guest as Plugin;
pub use bindings::gregor::plugin::types::{Failure, Header, Input, Output};
pub use bindings::lifecycle::exports::gregor::plugin::lifecycle::Guest as Lifecycle;
pub use bindings::migration::exports::gregor::plugin::migration::Guest as Migration;
pub use bindings::timed::exports::gregor::plugin::timer_processor::Guest as Timed;

/// A failure that no further attempt can mend: the stage's `on-failure` policy
/// applies at once. The reason is logged only where the stage's `log` is on, and
/// is never in a dead letter; still, do not quote the record.
pub fn reject(reason: impl Into<String>) -> Failure {
    Failure::Reject(reason.into())
}

/// A failure that may be over later: the record is tried again, in its order, as
/// the stage's `retry` says. Of the reason the same holds as of [`reject`]'s.
pub fn retry(reason: impl Into<String>) -> Failure {
    Failure::Retry(reason.into())
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/authors/state-and-time.md")]
struct StateAndTime;
