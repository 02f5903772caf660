//! A host for tests: no broker, no WebAssembly, plain `cargo test`.
//!
//! ```
//! use gregor_sdk::testing::{PluginTester, Record};
//! use gregor_sdk::timers::{self, Domain};
//! use gregor_sdk::{Failure, Input, Output, Plugin, Timed};
//!
//! /// Says when a key has been quiet for a second of event time.
//! struct Quiet;
//!
//! impl Plugin for Quiet {
//!     fn process(record: Input) -> Result<Vec<Output>, Failure> {
//!         timers::schedule(Domain::EventTime, record.key_text()?, record.timestamp + 1_000)?;
//!         Ok(vec![])
//!     }
//! }
//!
//! impl Timed for Quiet {
//!     fn on_timer(_: Domain, name: String, _: u64) -> Result<Vec<Output>, Failure> {
//!         Ok(vec![Output::new(name.into_bytes(), b"quiet".to_vec())])
//!     }
//! }
//!
//! gregor_sdk::export!(Quiet: Timed);
//!
//! let mut tester = PluginTester::of::<Quiet>();
//! assert_eq!(tester.push(Record::new("123", "here").at(0)), Ok(vec![]));
//! assert_eq!(tester.push(Record::new("9", "here").at(999)), Ok(vec![]));
//! let quiet = Output::new(b"123".to_vec(), b"quiet".to_vec());
//! assert_eq!(tester.advance_watermark(1_000), Ok(vec![quiet]));
//! ```
//!
//! What a record, a timer or a migration wrote is undone when it fails, as in
//! the host. Not here are the host's limits (time, memory, outputs, cache bytes)
//! and its policies: a failure is what the call returns.

#[doc(hidden)]
pub mod imports;
mod record;
mod sandbox;
mod store;
mod tester;
mod timers;

pub use record::Record;
pub use sandbox::Line;
pub use tester::PluginTester;

use crate::bindings::gregor::plugin::timers::Domain;
use crate::{Failure, Input, Output};

/// A type that was handed to [`export!`](crate::export).
#[doc(hidden)]
pub trait Exported {
    fn exports() -> Exports;
}

type Outcome = Result<Vec<Output>, Failure>;

/// What a component of that type exports.
#[doc(hidden)]
pub struct Exports {
    pub process: fn(Input) -> Outcome,
    pub on_timer: Option<fn(Domain, String, u64) -> Outcome>,
    pub init: Option<fn() -> Result<(), String>>,
    pub migrate: Option<fn(String) -> Result<(), String>>,
}

impl Exports {
    pub fn new(process: fn(Input) -> Outcome) -> Self {
        Self { process, on_timer: None, init: None, migrate: None }
    }
}
