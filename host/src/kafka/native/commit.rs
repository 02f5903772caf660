//! Offsets committed with an answer for each partition.
//!
//! rdkafka's own `commit` gives one answer for all: that of a partition whose
//! topic was deleted hides that the others are committed.

use std::ffi::{CStr, c_void};
use std::ptr;

use rdkafka::TopicPartitionList;
use rdkafka::bindings::{rd_kafka_commit_queue, rd_kafka_t, rd_kafka_topic_partition_list_t};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

use crate::kafka::Member;
use crate::record::TopicPartition;

/// A partition whose offset the brokers did not take, and why.
pub type Uncommitted = (TopicPartition, RDKafkaErrorCode);

/// Commits `offsets` and waits for the answer: which of them are not committed,
/// while others are.
///
/// # Errors
/// When none is committed, unless that is because no topic of them exists.
pub fn commit(member: &Member, offsets: &TopicPartitionList) -> Result<Vec<Uncommitted>, KafkaError> {
    let mut failed: Vec<Uncommitted> = Vec::new();
    // SAFETY: the client and the list live through the call, which waits until
    // it has called `note`, on this thread, with what it is handed here.
    let error = unsafe {
        rd_kafka_commit_queue(
            member.client().native_ptr(),
            offsets.ptr(),
            ptr::null_mut(),
            Some(note),
            (&raw mut failed).cast(),
        )
    };
    let missing = |(_, code): &Uncommitted| *code == RDKafkaErrorCode::UnknownTopicOrPartition;
    match error {
        OK => Ok(failed),
        // The answer is the last of those of the partitions.
        _ if !failed.is_empty() && (failed.len() < offsets.count() || failed.iter().all(missing)) => Ok(failed),
        error => Err(KafkaError::ConsumerCommit(error.into())),
    }
}

unsafe extern "C" fn note(
    _client: *mut rd_kafka_t,
    _error: RDKafkaRespErr,
    offsets: *mut rd_kafka_topic_partition_list_t,
    failed: *mut c_void,
) {
    // SAFETY: `failed` is the list of the call that waits; `offsets`, where there
    // are any, and the names in them live until this returns.
    unsafe {
        let failed = &mut *failed.cast::<Vec<Uncommitted>>();
        let Some(offsets) = offsets.as_ref() else { return };
        if offsets.elems.is_null() {
            return;
        }
        for element in std::slice::from_raw_parts(offsets.elems, usize::try_from(offsets.cnt).unwrap_or(0)) {
            if element.err != OK && !element.topic.is_null() {
                let topic = CStr::from_ptr(element.topic).to_string_lossy();
                failed.push((TopicPartition::new(&*topic, element.partition), element.err.into()));
            }
        }
    }
}
