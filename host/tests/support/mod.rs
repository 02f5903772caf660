//! The verbs of the tests: a broker, a host, the plugins it runs.
//!
//! ```text
//! let (source, sink) = (kafka().topic(3), kafka().topic(3));
//! let setup = Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
//! kafka().produce(&source, [Record::new("key", "value")]);
//! setup.run_bounded();
//! let outputs = kafka().read(&sink);
//! ```

pub mod author;
mod broker;
pub mod cases;
mod chance;
mod code;
pub mod component;
pub mod examples;
pub mod extra;
pub mod flink;
mod flow;
mod group;
mod growth;
mod host;
mod intruder;
mod kafka;
pub mod languages;
mod names;
mod oracle;
mod patients;
mod plugins;
mod raw;
mod record;
mod redis;
mod redis_server;
pub mod rounds;
mod settings;
mod setup;
pub mod tools;
mod transactions;
mod trial;
mod wait;

pub use broker::{Broker, Guarded};
pub use chance::Chance;
pub use flow::Flow;
pub use host::Host;
pub use intruder::Intruder;
pub use kafka::{kafka, send};
pub use names::unique;
pub use oracle::Oracle;
pub use patients::{PATIENTS, Patients};
pub use plugins::{SHELF, plugin};
pub use raw::produce_with_header;
pub use record::{Received, Record, by_key};
pub use redis::{Redis, redis_url};
pub use redis_server::RedisServer;
pub use settings::Settings;
pub use setup::{Pipeline, Setup, Stage, gregor};
pub use trial::{Backend, Guarantee, Trial};
pub use wait::{PATIENCE, eventually, until, until_within};
