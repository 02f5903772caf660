//! Queues of the C library: one for each partition of a member, and the member's
//! own for what concerns no partition.
//!
//! rdkafka 0.39 has a queue for a partition too, but hands each record out with an
//! allocation of its own and an end of partition without its topic and offset.
//!
//! Records are taken one by one. The C library's call for many at once
//! (`rd_kafka_consume_batch_queue`, 2.12.1) counts an end of partition as a record:
//! the member's position is past the end then, and a rebalance at that moment
//! fetches on behind a record that was never handed out.

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;
use rdkafka::bindings::{
    RD_KAFKA_EVENT_ERROR, RD_KAFKA_EVENT_FETCH, rd_kafka_event_destroy, rd_kafka_event_error,
    rd_kafka_event_message_next, rd_kafka_event_t, rd_kafka_event_topic_partition, rd_kafka_event_type,
    rd_kafka_message_t, rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy, rd_kafka_queue_forward,
    rd_kafka_queue_get_consumer, rd_kafka_queue_get_partition, rd_kafka_queue_length, rd_kafka_queue_poll,
    rd_kafka_queue_t, rd_kafka_t, rd_kafka_topic_partition_destroy,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF as END;

use super::partition::Arrived;
use crate::kafka::member::MemberContext;
use crate::record::TopicPartition;

/// A queue of a member of the group.
pub struct Queue {
    queue: NonNull<rd_kafka_queue_t>,
    bell: Box<Bell>,
    /// Closed when its last queue is gone: the C library wants it in that order.
    _member: Arc<BaseConsumer<MemberContext>>,
}

// SAFETY: the C library's queues may be used from any thread; the bell is atomic.
unsafe impl Send for Queue {}

/// Rung by the C library's threads when a queue is empty no more.
struct Bell {
    rung: AtomicBool,
    /// Ends the worker's sleep; it holds one word at most, and one is enough.
    wake: Sender<()>,
}

impl Queue {
    /// Has the records of a partition come through a queue of their own; to be
    /// called before the member is assigned to it, else some go the member's way.
    /// None where the topic has a name that no topic can have.
    pub fn of_partition(
        member: &Arc<BaseConsumer<MemberContext>>,
        id: &TopicPartition,
        wake: &Sender<()>,
    ) -> Option<Queue> {
        let name = CString::new(&*id.topic).ok()?;
        let client = member.client().native_ptr();
        // SAFETY: the client lives as long as `member`, which the queue keeps; the
        // name is copied. A queue that is forwarded nowhere keeps what it gets.
        let queue = unsafe {
            let queue = NonNull::new(rd_kafka_queue_get_partition(client, name.as_ptr(), id.partition))?;
            rd_kafka_queue_forward(queue.as_ptr(), ptr::null_mut());
            queue
        };
        Some(Queue::with_bell(queue, member, wake))
    }

    /// The member's own queue: rebalances, statistics, errors. None where the
    /// client is no member of a group.
    pub fn of_member(member: &Arc<BaseConsumer<MemberContext>>, wake: &Sender<()>) -> Option<Queue> {
        // SAFETY: the client lives as long as `member`, which the queue keeps.
        let queue = unsafe { rd_kafka_queue_get_consumer(member.client().native_ptr()) };
        Some(Queue::with_bell(NonNull::new(queue)?, member, wake))
    }

    fn with_bell(
        queue: NonNull<rd_kafka_queue_t>,
        member: &Arc<BaseConsumer<MemberContext>>,
        wake: &Sender<()>,
    ) -> Queue {
        // What came before the bell was there rang none.
        let bell = Box::new(Bell { rung: AtomicBool::new(true), wake: wake.clone() });
        // SAFETY: the bell is on the heap and lives until `drop` has taken it from
        // the queue; the call is made with the queue locked, and so is that.
        unsafe {
            rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(ring), ptr::from_ref(&*bell).cast_mut().cast());
        }
        Queue { queue, bell, _member: member.clone() }
    }

    /// Whether something came since this was last asked.
    pub fn has_rung(&self) -> bool {
        self.bell.rung.load(Ordering::Relaxed) && self.bell.rung.swap(false, Ordering::Acquire)
    }

    /// Whether anything waits in it.
    pub fn has_some(&self) -> bool {
        // SAFETY: the queue lives as long as `self`.
        unsafe { rd_kafka_queue_length(self.queue.as_ptr()) > 0 }
    }

    /// Takes what comes first, without waiting.
    pub fn poll(&self) -> Option<Polled<'_>> {
        loop {
            // SAFETY: the queue lives as long as `self`; the event is this call's
            // own until it is destroyed, which `Polled` does once.
            let event = unsafe { NonNull::new(rd_kafka_queue_poll(self.queue.as_ptr(), 0))? };
            let mut polled = Polled { event, record: ptr::null(), queue: PhantomData };
            // SAFETY: the event is alive; a record that it gives lives as long as it does.
            unsafe {
                match rd_kafka_event_type(event.as_ptr()) {
                    RD_KAFKA_EVENT_FETCH => {
                        polled.record = rd_kafka_event_message_next(event.as_ptr());
                        if !polled.record.is_null() {
                            return Some(polled);
                        }
                    }
                    RD_KAFKA_EVENT_ERROR => return Some(polled),
                    _ => {}
                }
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue was made once and is destroyed once; without its bell
        // first, which nobody rings any more once the call has returned.
        unsafe {
            rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Called by the C library with the queue locked: it does next to nothing.
unsafe extern "C" fn ring(_client: *mut rd_kafka_t, bell: *mut c_void) {
    // SAFETY: the bell of a queue that still has it.
    let bell = unsafe { &*bell.cast::<Bell>() };
    bell.rung.store(true, Ordering::Release);
    // One that is full wakes the worker all the same.
    let _ = bell.wake.try_send(());
}

/// What a partition's queue gave, in the C library's buffer.
pub struct Polled<'a> {
    event: NonNull<rd_kafka_event_t>,
    /// Null where it is no record.
    record: *const rd_kafka_message_t,
    queue: PhantomData<&'a Queue>,
}

/// What that is.
pub enum Fetched<'a> {
    Record(Arrived<'a>),
    /// Nothing comes at this offset and after it, for now. Told only with `enable.partition.eof`.
    End(i64),
    /// Reading failed, at this offset where that is known.
    Failed {
        code: RDKafkaErrorCode,
        offset: Option<i64>,
    },
}

impl Polled<'_> {
    pub fn fetched(&self) -> Fetched<'_> {
        // SAFETY: the record, where there is one, lives as long as its event.
        if let Some(record) = unsafe { self.record.as_ref() } {
            return Fetched::Record(Arrived::new(record));
        }
        // SAFETY: the event is alive.
        match unsafe { rd_kafka_event_error(self.event.as_ptr()) } {
            END => Fetched::End(self.offset().unwrap_or_default()),
            error => Fetched::Failed { code: error.into(), offset: self.offset() },
        }
    }

    /// Where in the partition an error or its end is; none where it is not told.
    fn offset(&self) -> Option<i64> {
        // SAFETY: the event is alive; what it names is a copy, freed here.
        let offset = unsafe {
            let place = rd_kafka_event_topic_partition(self.event.as_ptr());
            let offset = place.as_ref()?.offset;
            rd_kafka_topic_partition_destroy(place);
            offset
        };
        (offset >= 0).then_some(offset)
    }
}

impl Drop for Polled<'_> {
    fn drop(&mut self) {
        // SAFETY: the event is this value's own, destroyed once.
        unsafe { rd_kafka_event_destroy(self.event.as_ptr()) }
    }
}
