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
//! The crate compiles for the machine you develop on too, so that a plugin's
//! own logic has plain `cargo test` unit tests. What only the host can answer
//! ([`cache`], [`metrics`], [`logging`], [`config`]) panics there.
//!
//! A plugin gets an allocator that is made for many small blocks; one that
//! brings its own leaves it out with `default-features = false`.

#[cfg(all(feature = "allocator", any(test, target_arch = "wasm32"), not(target_feature = "atomics")))]
mod alloc;
/// What [`export!`] builds on; use the names below instead.
#[doc(hidden)]
pub mod bindings;
mod convert;
#[cfg(test)]
mod tests;

pub use bindings::exports::gregor::plugin::processor::Guest as Plugin;
pub use bindings::gregor::plugin::types::{Failure, Header, Input, Output};
pub use bindings::gregor::plugin::{cache, metrics};
pub use bindings::wasi::config::store as config;
pub use bindings::wasi::logging::logging;

/// Makes a type the plugin that this crate builds: `gregor_sdk::export!(Shout);`.
#[macro_export]
macro_rules! export {
    ($plugin:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_component!($plugin with_types_in $crate::bindings);

        // The export's name is none that a native linker takes; here the
        // compiler only checks the type and sees that it is used.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn($crate::Input) -> ::std::result::Result<
            ::std::vec::Vec<$crate::Output>,
            $crate::Failure,
        > = <$plugin as $crate::Plugin>::process;
    };
}

impl Output {
    /// A record for the next stage, or for the pipeline's sink after the last
    /// one: partition chosen by key, timestamp of the input, no headers.
    /// `None` as value is a tombstone.
    pub fn new(key: impl Into<Option<Vec<u8>>>, value: impl Into<Option<Vec<u8>>>) -> Self {
        Self {
            topic: None,
            partition: None,
            timestamp: None,
            key: key.into(),
            value: value.into(),
            headers: Vec::new(),
        }
    }

    /// The same record with these headers in place of its own.
    pub fn with_headers(self, headers: Vec<Header>) -> Self {
        Self { headers, ..self }
    }

    /// The same record for a topic that the stage's configuration grants;
    /// `None` is the next stage or the sink.
    pub fn with_topic(self, topic: Option<String>) -> Self {
        Self { topic, ..self }
    }
}

/// A failure that no further attempt can mend: the stage's `on-failure` policy
/// applies at once. The reason is logged only where the stage's `log` is on, and
/// is never in a dead letter; still, do not quote the record.
pub fn reject(reason: impl Into<String>) -> Failure {
    Failure::Reject(reason.into())
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
