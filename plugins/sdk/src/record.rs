//! What reads an input and makes an output.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, Header, Input, Output, json, reject};

impl Input {
    /// The value as JSON.
    ///
    /// # Errors
    /// A reject for a tombstone and as [`json::read`] gives it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        json::read(self.value.as_deref().ok_or_else(|| reject("a tombstone has no JSON value"))?)
    }

    /// The key as text.
    ///
    /// # Errors
    /// A reject for a key that is null or not UTF-8.
    pub fn key_text(&self) -> Result<&str, Failure> {
        let key = self.key.as_deref().ok_or_else(|| reject("the key is null: expected UTF-8 text"))?;
        std::str::from_utf8(key).map_err(|_| reject("the key is not UTF-8 text"))
    }

    /// The same record for the next stage, or for the pipeline's sink after the
    /// last one: key, value, timestamp and headers as they came.
    pub fn forward(self) -> Output {
        let timestamp = Some(self.timestamp);
        Output { topic: None, partition: None, timestamp, key: self.key, value: self.value, headers: self.headers }
    }
}

impl Output {
    /// A record for the next stage, or for the pipeline's sink after the last
    /// one: partition chosen by key, timestamp of the input or the timer, no
    /// headers. `None` as value is a tombstone.
    pub fn new(key: impl Into<Option<Vec<u8>>>, value: impl Into<Option<Vec<u8>>>) -> Self {
        Self {
            topic: None,
            partition: None,
            timestamp: None,
            key: key.into(),
            value: value.into(),
            headers: Vec::new(),
        }
    }

    /// As [`Output::new`], with `value` as JSON.
    ///
    /// # Errors
    /// As [`json::write`].
    pub fn json(key: impl Into<Option<Vec<u8>>>, value: &(impl Serialize + ?Sized)) -> Result<Self, Failure> {
        Ok(Self::new(key, json::write(value)?))
    }

    /// The same record with these headers in place of its own.
    pub fn with_headers(self, headers: Vec<Header>) -> Self {
        Self { headers, ..self }
    }

    /// The same record for a topic that the stage's configuration grants;
    /// `None` is the next stage or the sink.
    pub fn with_topic(self, topic: Option<String>) -> Self {
        Self { topic, ..self }
    }

    /// The same record with this timestamp, in milliseconds since the Unix epoch.
    pub fn with_timestamp(self, timestamp: u64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }
}
