//! All that touches Kafka's client library, but for a worker's own turns and commits.

pub mod access;
mod client;
mod error;
mod member;
mod native;
mod offsets;
pub mod partitioner;
mod sender;
pub mod topics;

pub use client::{Quiet, base_config, check_property, locked, member_config, reader_config, sender_config};
pub use error::{BrokerError, SendError};
pub use member::{Member, Rebalance};
pub use native::{
    Arrival, Arrived, Fetched, MAX_HEADERS, PartitionReader, Polled, Queue, Uncommitted, commit, flush, headers,
    topic_id,
};
pub use offsets::{GroupOffset, PartitionEnd, committed};
pub use sender::{Failed, Sender, Sent, new_sender, offer, send};
