//! A topic's id (KIP-516): it tells a topic from another one of the same name,
//! made after the first was deleted. rdkafka 0.39 does not hand it out.

use std::ffi::CString;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_AdminOptions_set_request_timeout,
    rd_kafka_DescribeTopics, rd_kafka_DescribeTopics_result_topics, rd_kafka_TopicCollection_destroy,
    rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_error, rd_kafka_TopicDescription_topic_id,
    rd_kafka_Uuid_least_significant_bits, rd_kafka_Uuid_most_significant_bits, rd_kafka_admin_op_t,
    rd_kafka_error_code, rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy, rd_kafka_event_error,
    rd_kafka_event_t, rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR as OK;

/// The id of `topic`, in 32 hexadecimal digits; `None` where the brokers are too
/// old to have ids, or do not let this principal describe the topic. Asks twice, each
/// time for at most `patience`.
///
/// # Errors
/// When the brokers do not answer, or do not know the topic.
pub fn topic_id<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    patience: Duration,
) -> KafkaResult<Option<String>> {
    let name = CString::new(topic)?;
    let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // The client asks the broker that its metadata names as the controller, and waits
    // for it without looking again: it may be gone for long.
    client.fetch_metadata(Some(topic), patience)?;
    let client = client.client().native_ptr();
    let mut names = [name.as_ptr()];
    // SAFETY: the client outlives this call. What is made here is destroyed here,
    // once: the request copies names and options, and a queue that is destroyed
    // drops an answer that comes later.
    let answer = unsafe {
        let options = rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        rd_kafka_AdminOptions_set_request_timeout(options, timeout, ptr::null_mut(), 0);
        let topics = rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let queue = rd_kafka_queue_new(client);
        rd_kafka_DescribeTopics(client, topics, options, queue);
        let answer = rd_kafka_queue_poll(queue, timeout);
        rd_kafka_queue_destroy(queue);
        rd_kafka_TopicCollection_destroy(topics);
        rd_kafka_AdminOptions_destroy(options);
        answer
    };
    let Some(answer) = NonNull::new(answer) else {
        return Err(KafkaError::MetadataFetch(Code::OperationTimedOut));
    };
    let told = told(answer);
    // SAFETY: the event is this call's own, and nothing of it is borrowed any more.
    unsafe { rd_kafka_event_destroy(answer.as_ptr()) };
    match told {
        Ok(id) => Ok(id),
        Err(Code::UnsupportedFeature | Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => Ok(None),
        Err(code) => Err(KafkaError::MetadataFetch(code)),
    }
}

/// What the answer tells of its one topic.
fn told(answer: NonNull<rd_kafka_event_t>) -> Result<Option<String>, Code> {
    // SAFETY: the event lives until the caller destroys it, and all that is read
    // here belongs to it; the result is asked only of an event without an error,
    // and the first topic only where there is one.
    unsafe {
        match rd_kafka_event_error(answer.as_ptr()) {
            OK => {}
            error => return Err(error.into()),
        }
        let result = rd_kafka_event_DescribeTopics_result(answer.as_ptr());
        if result.is_null() {
            return Err(Code::BadMessage);
        }
        let mut count = 0;
        let topics = rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count == 0 || topics.is_null() {
            return Err(Code::UnknownTopicOrPartition);
        }
        let error = rd_kafka_TopicDescription_error(*topics);
        if !error.is_null() && rd_kafka_error_code(error) != OK {
            return Err(rd_kafka_error_code(error).into());
        }
        let id = rd_kafka_TopicDescription_topic_id(*topics);
        if id.is_null() {
            return Ok(None);
        }
        let (high, low) = (rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id));
        Ok(((high, low) != (0, 0)).then(|| format!("{high:016x}{low:016x}")))
    }
}
