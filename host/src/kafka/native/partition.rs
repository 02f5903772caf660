//! One partition, read in batches and without a group.
//!
//! rdkafka passes an end of partition on without its offset. A new leader that
//! still catches up reports an end too early, and whoever reads up to an offset
//! must tell that one from the end it waits for.

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
use rdkafka::bindings::{
    rd_kafka_consume_batch, rd_kafka_consume_start, rd_kafka_consume_stop, rd_kafka_header_cnt, rd_kafka_header_get,
    rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_last_error, rd_kafka_message_destroy,
    rd_kafka_message_headers, rd_kafka_message_t, rd_kafka_message_timestamp, rd_kafka_topic_destroy,
    rd_kafka_topic_new, rd_kafka_topic_t,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr::{
    RD_KAFKA_RESP_ERR__NOENT as NONE, RD_KAFKA_RESP_ERR__PARTITION_EOF as END, RD_KAFKA_RESP_ERR_NO_ERROR as OK,
};

use crate::record::Header;

/// Most records handed out in one turn.
const BATCH: usize = 1_000;
/// The C library hands out no headers of a record that has more than these.
pub const MAX_HEADERS: usize = 100_000;

/// Reads a partition from an offset on, with a client that is no group member.
pub struct PartitionReader<'a> {
    topic: NonNull<rd_kafka_topic_t>,
    partition: i32,
    client: PhantomData<&'a ()>,
}

/// What a partition gives.
pub enum Arrival<'a> {
    Record(Arrived<'a>),
    /// Nothing comes at this offset and after it, for now. Told only with `enable.partition.eof`.
    End(i64),
    /// Reading failed.
    Failed(RDKafkaErrorCode),
}

/// A record in the C library's buffer.
pub struct Arrived<'a> {
    record: &'a rd_kafka_message_t,
}

impl<'a> PartitionReader<'a> {
    /// Begins at `offset`. The client reads a partition once at a time, and
    /// its configuration has no `group.id`.
    ///
    /// # Errors
    /// When the client is a group member.
    pub fn start<C: ConsumerContext>(
        client: &'a BaseConsumer<C>,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> KafkaResult<PartitionReader<'a>> {
        let name = CString::new(topic)?;
        // SAFETY: the client outlives the reader, which borrows it; the name is
        // copied; without a configuration the client's own is taken.
        let topic = unsafe { rd_kafka_topic_new(client.client().native_ptr(), name.as_ptr(), ptr::null_mut()) };
        let topic = NonNull::new(topic).ok_or_else(|| KafkaError::Subscription(last_error().to_string()))?;
        // SAFETY: the topic was made above and is destroyed once, by `drop` or here.
        unsafe {
            if rd_kafka_consume_start(topic.as_ptr(), partition, offset) != 0 {
                let error = last_error();
                rd_kafka_topic_destroy(topic.as_ptr());
                return Err(KafkaError::MessageConsumption(error));
            }
        }
        Ok(PartitionReader { topic, partition, client: PhantomData })
    }

    /// Gives `take` what has arrived, in order, and waits at most `patience`
    /// while that is nothing.
    ///
    /// # Errors
    /// Those of `take`; what comes after in the same turn is left out.
    pub fn poll<E>(&mut self, patience: Duration, mut take: impl FnMut(Arrival<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut batch = self.receive(Duration::ZERO, BATCH);
        if matches!(&batch, Ok(batch) if batch.0.is_empty()) {
            // A wait of the C library lasts until as many have arrived as were asked for.
            batch = self.receive(patience, 1);
        }
        match batch {
            Ok(batch) => batch.0.iter().try_for_each(|record| take(batch.arrival(*record))),
            Err(code) => take(Arrival::Failed(code)),
        }
    }

    fn receive(&mut self, patience: Duration, most: usize) -> Result<Batch, RDKafkaErrorCode> {
        let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        let mut records = vec![ptr::null_mut(); most];
        // SAFETY: the topic lives as long as `self`; the call writes at most
        // `most` pointers and says how many.
        let count =
            unsafe { rd_kafka_consume_batch(self.topic.as_ptr(), self.partition, timeout, records.as_mut_ptr(), most) };
        let count = usize::try_from(count).map_err(|_| last_error())?;
        records.truncate(count);
        Ok(Batch(records))
    }
}

impl Drop for PartitionReader<'_> {
    fn drop(&mut self) {
        // SAFETY: started once, in `start`; no record of it is borrowed any more.
        unsafe {
            rd_kafka_consume_stop(self.topic.as_ptr(), self.partition);
            rd_kafka_topic_destroy(self.topic.as_ptr());
        }
    }
}

/// What one call handed over, given back with it.
struct Batch(Vec<*mut rd_kafka_message_t>);

impl Batch {
    fn arrival(&self, record: *mut rd_kafka_message_t) -> Arrival<'_> {
        // SAFETY: the pointer is one of the batch, which owns its records.
        let record = unsafe { &*record };
        match record.err {
            OK => Arrival::Record(Arrived::new(record)),
            END => Arrival::End(record.offset),
            error => Arrival::Failed(error.into()),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for record in self.0.drain(..) {
            // SAFETY: the batch owns its records and gives each back once.
            unsafe { rd_kafka_message_destroy(record) }
        }
    }
}

impl<'a> Arrived<'a> {
    pub(super) fn new(record: &'a rd_kafka_message_t) -> Arrived<'a> {
        Arrived { record }
    }

    pub fn offset(&self) -> i64 {
        self.record.offset
    }

    pub fn key(&self) -> Option<&'a [u8]> {
        self.slice(self.record.key, self.record.key_len)
    }

    /// `None` is a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.slice(self.record.payload, self.record.len)
    }

    /// Milliseconds since the Unix epoch; 0 where the record has none.
    pub fn timestamp(&self) -> i64 {
        let mut kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the record is borrowed; the call writes the kind.
        let timestamp = unsafe { rd_kafka_message_timestamp(self.record, &raw mut kind) };
        if kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { 0 } else { timestamp }
    }

    /// All headers, in order; none where the C library does not hand them out.
    pub fn headers(&self) -> Vec<Header> {
        self.headers_up_to(usize::MAX).unwrap_or_default()
    }

    /// All headers, in order, where there are at most `most`; usually none, and
    /// then nothing is allocated here.
    ///
    /// # Errors
    /// How many there are; more than [`MAX_HEADERS`] where the C library does not
    /// hand them out.
    pub fn headers_up_to(&self, most: usize) -> Result<Vec<Header>, usize> {
        let mut list: *mut rd_kafka_headers_t = ptr::null_mut();
        // SAFETY: the record is borrowed; the list that is written stays its own.
        match unsafe { rd_kafka_message_headers(self.record, &raw mut list) } {
            OK if !list.is_null() => {
                // SAFETY: the list is the record's own.
                let count = unsafe { rd_kafka_header_cnt(list) };
                if count <= most { Ok(all(self.record, list)) } else { Err(count) }
            }
            OK | NONE => Ok(Vec::new()),
            _ => Err(MAX_HEADERS + 1),
        }
    }

    /// The first header of this name, unless it is null.
    pub fn header(&self, name: &CStr) -> Option<&'a [u8]> {
        let mut list: *mut rd_kafka_headers_t = ptr::null_mut();
        let mut value: *const c_void = ptr::null();
        let mut size = 0;
        // SAFETY: the record is borrowed; the list that is written stays its own,
        // and is asked only where it was found.
        let found = unsafe {
            rd_kafka_message_headers(self.record, &raw mut list) == OK
                && rd_kafka_header_get(list, 0, name.as_ptr(), &raw mut value, &raw mut size) == OK
        };
        if found { self.slice(value, size) } else { None }
    }

    fn slice(&self, start: *const c_void, size: usize) -> Option<&'a [u8]> {
        // SAFETY: key, value and headers are the record's own, of the size it
        // names, for as long as it is borrowed.
        (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), size) })
    }
}

/// All headers of `list`, which is `owner`'s.
///
/// rdkafka unwraps the conversion of a header's name to UTF-8, so a record with
/// another name would end the worker: anyone who may produce could stop the
/// group. Here such a name gets U+FFFD for what is no UTF-8.
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

fn last_error() -> RDKafkaErrorCode {
    // SAFETY: reads the calling thread's own last error.
    unsafe { rd_kafka_last_error() }.into()
}
