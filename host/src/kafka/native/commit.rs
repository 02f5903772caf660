//! Offsets committed with an answer for each partition.
//!
//! rdkafka's own `commit` gives one answer for all: that of a partition whose
//! topic was deleted hides that the others are committed.

use std::ffi::{CStr, c_void};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings::{
    rd_kafka_commit_queue, rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll_callback, rd_kafka_t,
    rd_kafka_topic_partition_list_t,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

use crate::kafka::Member;
use crate::record::TopicPartition;

/// A partition whose offset the brokers did not take, and why.
pub type Uncommitted = (TopicPartition, RDKafkaErrorCode);

/// Commits `offsets` and waits for the answer: which of them are not committed,
/// while others are. Calls `late` each time that none came for `patience`: the C
/// library asks again for as long as the group's coordinator is away.
///
/// # Errors
/// When none is committed, unless that is because no topic of them exists.
pub fn commit(
    member: &Member,
    offsets: &TopicPartitionList,
    patience: Duration,
    mut late: impl FnMut(),
) -> Result<Vec<Uncommitted>, KafkaError> {
    let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    let mut answer = Answer { error: None, failed: Vec::new() };
    let client = member.client().native_ptr();
    // SAFETY: the client and the list live through the call. The queue is this call's
    // own, and is given back after `note` was called with what it is handed here, on
    // this thread; where the call itself fails it is never called.
    let error = unsafe {
        let queue = rd_kafka_queue_new(client);
        let taken = rd_kafka_commit_queue(client, offsets.ptr(), queue, Some(note), (&raw mut answer).cast());
        let error = if taken == OK {
            loop {
                rd_kafka_queue_poll_callback(queue, patience);
                match answer.error {
                    Some(error) => break error,
                    None => late(),
                }
            }
        } else {
            taken
        };
        rd_kafka_queue_destroy(queue);
        error
    };
    let failed = answer.failed;
    let missing = |(_, code): &Uncommitted| *code == RDKafkaErrorCode::UnknownTopicOrPartition;
    match error {
        OK => Ok(failed),
        // The answer is the last of those of the partitions.
        _ if !failed.is_empty() && (failed.len() < offsets.count() || failed.iter().all(missing)) => Ok(failed),
        error => Err(KafkaError::ConsumerCommit(error.into())),
    }
}

/// What the brokers said to a commit.
struct Answer {
    /// None until they did.
    error: Option<RDKafkaRespErr>,
    failed: Vec<Uncommitted>,
}

unsafe extern "C" fn note(
    _client: *mut rd_kafka_t,
    error: RDKafkaRespErr,
    offsets: *mut rd_kafka_topic_partition_list_t,
    answer: *mut c_void,
) {
    // SAFETY: `answer` is that of the call that waits; `offsets`, where there
    // are any, and the names in them live until this returns.
    unsafe {
        let answer = &mut *answer.cast::<Answer>();
        answer.error = Some(error);
        let Some(offsets) = offsets.as_ref() else { return };
        if offsets.elems.is_null() {
            return;
        }
        for element in std::slice::from_raw_parts(offsets.elems, usize::try_from(offsets.cnt).unwrap_or(0)) {
            if element.err != OK && !element.topic.is_null() {
                let topic = CStr::from_ptr(element.topic).to_string_lossy();
                answer.failed.push((TopicPartition::new(&*topic, element.partition), element.err.into()));
            }
        }
    }
}
