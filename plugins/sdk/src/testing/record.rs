use serde::Serialize;

use crate::{Failure, Header, json};

/// A record for [`PluginTester::push`](super::PluginTester::push), which gives
/// it its offset.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub(super) topic: String,
    pub(super) partition: u32,
    pub(super) timestamp: Option<u64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
}

impl Record {
    fn of(key: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Self {
        Self { topic: "input".into(), partition: 0, timestamp: None, key, value, headers: Vec::new() }
    }

    /// In partition 0 of the topic `input`, with the tester's clock as timestamp.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::of(Some(key.into()), Some(value.into()))
    }

    /// With Kafka's null key.
    pub fn keyless(value: impl Into<Vec<u8>>) -> Self {
        Self::of(None, Some(value.into()))
    }

    /// With a null value.
    pub fn tombstone(key: impl Into<Vec<u8>>) -> Self {
        Self::of(Some(key.into()), None)
    }

    /// With neither key nor value.
    pub fn empty() -> Self {
        Self::of(None, None)
    }

    /// With `value` as JSON.
    ///
    /// # Errors
    /// As [`json::write`].
    pub fn json(key: impl Into<Vec<u8>>, value: &(impl Serialize + ?Sized)) -> Result<Self, Failure> {
        Ok(Self::new(key, json::write(value)?))
    }

    /// Of this time, in milliseconds since the Unix epoch.
    pub fn at(self, timestamp: u64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    /// Of this topic.
    pub fn topic(self, topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..self }
    }

    /// Of this partition, from 0.
    pub fn partition(self, partition: u32) -> Self {
        Self { partition, ..self }
    }

    /// With one header more; `None` is Kafka's null header value.
    pub fn header(mut self, name: impl Into<String>, value: Option<&[u8]>) -> Self {
        self.headers.push(Header { name: name.into(), value: value.map(<[u8]>::to_vec) });
        self
    }
}
