//! The one place with `unsafe` code: calls of the C library that rdkafka 0.39
//! wraps in a way that does not serve here.
#![allow(unsafe_code)]

mod commit;
mod partition;
mod queue;
mod topic_id;

use std::time::Duration;

use rdkafka::bindings::rd_kafka_flush;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

pub use commit::{Uncommitted, commit};
pub use partition::{Arrival, Arrived, MAX_HEADERS, PartitionReader};
pub use queue::{Fetched, Polled, Queue};
pub use topic_id::topic_id;

use super::sender::Sender;
use crate::record::Header;

/// Waits at most `patience` until every record that `sender` took is
/// acknowledged; whether all are.
///
/// rdkafka's own `flush` asks the C library with a timeout of 0 and spends the
/// rest of the time in turns of 100 ms that end no sooner: half of a commit
/// interval. The C library waits without spinning and sends without lingering.
/// A record that failed counts until its report is polled.
pub fn flush(sender: &Sender, patience: Duration) -> bool {
    let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is the producer's own, alive for as long as `sender`
    // is borrowed; the call is thread-safe and keeps nothing.
    unsafe { rd_kafka_flush(sender.client().native_ptr(), timeout) == OK }
}

/// The headers of `polled`, in order, as [`Arrived::headers`] gives them.
pub fn headers(polled: &BorrowedMessage<'_>) -> Vec<Header> {
    // SAFETY: `polled` owns its record for the length of its borrow.
    Arrived::new(unsafe { &*polled.ptr() }).headers()
}
