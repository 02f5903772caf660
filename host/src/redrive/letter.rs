//! A dead letter: the record that failed, and what its headers say of that.

use crate::record::{Header, Record};

/// Begins the name of each header that the host adds.
const OURS: &str = "gregor-";

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where the source record stands.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// The source record's, milliseconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The source record's own.
    pub headers: Vec<Header>,
    pub pipeline: String,
    pub stage: String,
    /// SHA-256 of the plugin's version.
    pub digest: String,
    /// The kind of failure.
    pub error: String,
    /// The same in the host's words.
    pub reason: Option<String>,
    /// How often it was tried in all.
    pub attempts: u32,
    /// How often it had been redriven before it failed again.
    pub redriven: u32,
    /// When it failed, milliseconds since the Unix epoch.
    pub failed_at: Option<u64>,
}

impl Letter {
    /// From a record of a dead-letter topic; `None` for one that no host of ours
    /// wrote: its headers do not say where it comes from.
    pub fn read(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> Option<Letter> {
        let text = |name: &str| {
            let (_, value) = headers.iter().rfind(|(known, _)| known.strip_prefix(OURS) == Some(name))?;
            std::str::from_utf8(value.as_deref()?).ok()
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        Some(Letter {
            topic: owned("topic")?,
            partition: text("partition")?.parse().ok().filter(|partition| *partition >= 0)?,
            offset: text("offset")?.parse().ok().filter(|offset| *offset >= 0)?,
            timestamp: text("timestamp")?.parse().ok()?,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: headers.iter().filter(|(name, _)| !name.starts_with(OURS)).cloned().collect(),
            pipeline: owned("pipeline")?,
            stage: owned("stage")?,
            digest: owned("digest")?,
            error: owned("error")?,
            reason: owned("reason"),
            attempts: text("attempts")?.parse().ok()?,
            redriven: text("redriven").and_then(|redriven| redriven.parse().ok()).unwrap_or(0),
            failed_at: text("failed-at").and_then(|at| at.parse().ok()),
        })
    }

    /// The source record, as its pipeline first got it.
    pub fn record(&self) -> Record<'_> {
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

    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> u64 {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        (self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers) as u64
    }
}
