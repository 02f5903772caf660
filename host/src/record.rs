//! Records on their way in and out.

use std::fmt;
use std::sync::Arc;

use crate::origin::Origin;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A header of a record: its name and value, `None` being Kafka's null.
pub type Header = (String, Option<Vec<u8>>);

/// One record as polled, borrowed from the client library's buffer, or an
/// output of the stage before: then topic, partition and offset stay those of
/// the source record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header],
}

impl Record<'_> {
    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> u64 {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        (self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers) as u64
    }
}

/// A record that outlives the client library's buffer: one that waits to be tried again.
#[derive(Clone, Debug)]
pub struct OwnedRecord {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header>,
}

impl OwnedRecord {
    pub fn of(record: &Record<'_>) -> OwnedRecord {
        OwnedRecord {
            topic: record.topic.into(),
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.to_vec(),
        }
    }

    pub fn view(&self) -> Record<'_> {
        Record {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        }
    }
}

/// One record to produce. Its topic is one the host knows: the sink, the
/// dead-letter topic or one that the stage's configuration grants.
#[derive(Debug)]
pub struct Output {
    pub topic: Arc<str>,
    /// `None`: chosen by key as Java's default partitioner does (murmur2).
    pub partition: Option<i32>,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
    /// What gave it, should it be refused.
    pub origin: Origin,
}

impl Output {
    /// An upper bound of the record's size in a batch of its own, as a topic's
    /// `max.message.bytes` counts it: the batch's header and, for each field, a
    /// length (record format v2 of Kafka's protocol).
    pub fn batch_bytes(&self) -> u64 {
        const BATCH: usize = 61;
        const RECORD: usize = 40;
        const FIELD: usize = 5;
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) + 2 * FIELD).sum();
        let body = self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len);
        (BATCH + RECORD + headers + body) as u64
    }
}
