//! The verbs of the tests: a broker, a host, the plugins it runs.
//!
//! ```text
//! let (source, sink) = (kafka().topic(3), kafka().topic(3));
//! let setup = Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
//! kafka().produce(&source, [Record::new("key", "value")]);
//! setup.run_bounded();
//! let outputs = kafka().read(&sink);
//! ```

mod group;
mod host;
mod kafka;
mod names;
mod plugins;
mod raw;
mod record;
mod setup;
mod wait;

pub use host::Host;
pub use kafka::kafka;
pub use names::unique;
pub use plugins::plugin;
pub use raw::produce_header_with_invalid_name;
pub use record::{Received, Record, by_key};
pub use setup::{Pipeline, Setup, Stage};
pub use wait::{PATIENCE, eventually, until};
