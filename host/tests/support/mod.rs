//! The verbs of the tests: a broker, a host, the plugins it runs.
//!
//! ```text
//! let (source, sink) = (kafka().topic(3), kafka().topic(3));
//! let setup = Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
//! kafka().produce(&source, [Record::new("key", "value")]);
//! setup.run_bounded();
//! let outputs = kafka().read(&sink);
//! ```

pub mod extra;
mod flow;
mod group;
mod host;
mod intruder;
mod kafka;
mod names;
mod plugins;
mod raw;
mod record;
mod setup;
mod wait;

pub use flow::Flow;
pub use host::Host;
pub use intruder::Intruder;
pub use kafka::{kafka, send};
pub use names::unique;
pub use plugins::plugin;
pub use raw::produce_with_header;
pub use record::{Received, Record, by_key};
pub use setup::{Pipeline, Setup, Stage, gregor};
pub use wait::{PATIENCE, eventually, until};
