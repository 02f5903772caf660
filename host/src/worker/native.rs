//! The one place with `unsafe` code: calls of the C library that rdkafka 0.39
//! wraps in a way that does not serve here.
#![allow(unsafe_code)]

mod partition;
mod topic_id;

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::LazyLock;
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_flush, rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_headers,
    rd_kafka_message_leader_epoch, rd_kafka_version,
};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

pub use partition::{Arrival, Arrived, PartitionReader};
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

/// The headers of `polled`, in order; usually none, and then nothing is allocated.
///
/// rdkafka unwraps the conversion of a header's name to UTF-8, so a record with
/// another name would end the worker: anyone who may produce could stop the
/// group. Here such a name gets U+FFFD for what is no UTF-8.
pub fn headers(polled: &BorrowedMessage<'_>) -> Vec<Header> {
    if has_none(polled) {
        return Vec::new();
    }
    let mut list: *mut rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: `polled` owns its record for the length of its borrow; the list
    // that is written stays owned by the record.
    let found = unsafe { rd_kafka_message_headers(polled.ptr(), &raw mut list) };
    if found != OK || list.is_null() {
        return Vec::new();
    }
    all(polled, list)
}

/// Whether `polled` is known to have no headers; if not, the C library is to be
/// asked, which allocates a reader for that: 7 % of the CPU time of a host whose
/// records have none.
///
/// In a batch of format 2 (KIP-98) the number of headers follows the value, and
/// the C library's record points into the batch as it was fetched or unpacked.
fn has_none(polled: &BorrowedMessage<'_>) -> bool {
    // SAFETY: `polled` owns its record for the length of its borrow. A value
    // that is not empty lies in a batch in memory that the record keeps; one
    // that has a leader's epoch (KIP-320) is of format 2, so at least the number
    // of its headers comes after it. An empty value lies elsewhere. Behind such
    // a batch, one of an older format, as brokers before Kafka 4 may hold them,
    // shows its epoch too: its records have no headers, whatever the byte says,
    // and only the last one's may be the byte after the whole answer.
    unsafe {
        let record = &*polled.ptr();
        *IS_KNOWN
            && record.len > 0
            && !record.payload.is_null()
            && rd_kafka_message_leader_epoch(polled.ptr()) >= 0
            && *record.payload.cast::<u8>().add(record.len) == 0
    }
}

/// Whether the C library is one of which the above was looked up: 2.12.1,
/// `rdkafka_msgset_reader.c`. Another may be linked.
// SAFETY: the call has no conditions.
static IS_KNOWN: LazyLock<bool> = LazyLock::new(|| unsafe { rd_kafka_version() } == 0x020c_01ff);

/// All headers of `list`, which is `owner`'s.
fn all<T>(owner: &T, list: *const rd_kafka_headers_t) -> Vec<Header> {
    let mut headers = Vec::new();
    while let Some(header) = nth(owner, list, headers.len()) {
        headers.push(header);
    }
    headers
}

fn nth<T>(_owner: &T, list: *const rd_kafka_headers_t, index: usize) -> Option<Header> {
    let mut name: *const c_char = ptr::null();
    let mut value: *const c_void = ptr::null();
    let mut size = 0;
    // SAFETY: `list` belongs to `_owner`, which is borrowed; past the last
    // header the call answers an error and writes nothing.
    let found = unsafe { rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut size) };
    if found != OK || name.is_null() {
        return None;
    }
    // SAFETY: librdkafka ends every header's name with a NUL.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    let value = (!value.is_null()).then(|| {
        // SAFETY: the record holds `size` bytes from `value` on for as long as it lives.
        unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) }.to_vec()
    });
    Some((name, value))
}
