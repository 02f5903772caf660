//! A dead letter: the record or the timer that failed, and what its headers say
//! of that.

use super::truncated::Truncated;
use crate::kafka::MAX_HEADERS;
use crate::record::{Header, Record};
use crate::state::{Domain, Timer};

/// Begins the name of each header that the host adds.
const OURS: &str = "gregor-";
/// The record's key, where the letter has one of its own: in a compacted topic
/// it would not outlive the next letter of its record key.
pub const OWN_KEY: &str = "gregor-key";

/// Whether a header of this name is the host's. What a record brings under such a
/// name says nothing: its producer wrote it, or an earlier pipeline.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The source record at this offset.
    Record(i64),
    Timer(Timer),
}

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where the source record stands.
    pub topic: String,
    pub partition: i32,
    pub failed: Failed,
    /// The source record's, or the timer's time; milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The source record's; of a timer, that of the record that scheduled it.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The source record's own.
    pub headers: Vec<Header>,
    pub pipeline: String,
    /// Where it failed.
    pub stage: String,
    /// Of a timer, where that is another one.
    pub timer_stage: Option<String>,
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
    /// Sizes and hash of the record, where the letter does not hold it: key, value
    /// and headers are then to be read where the record stands.
    pub truncated: Option<Truncated>,
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
        let key = match headers.iter().rfind(|(name, _)| name == OWN_KEY) {
            Some((_, own)) => own.as_deref(),
            None => key,
        };
        let failed = match text("timer-domain") {
            Some(domain) => {
                let (domain, at) = (Domain::named(domain)?, text("timer-at")?.parse().ok()?);
                Failed::Timer(Timer::new(domain, text("timer-name")?, at, key.map(<[u8]>::to_vec)))
            }
            // The last one has no offset after it.
            None => Failed::Record(text("offset")?.parse().ok().filter(|offset| (0..i64::MAX).contains(offset))?),
        };
        Some(Letter {
            topic: owned("topic")?,
            partition: text("partition")?.parse().ok().filter(|partition| *partition >= 0)?,
            failed,
            timestamp: text("timestamp")?.parse().ok()?,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: headers.iter().filter(|(name, _)| !is_ours(name)).cloned().collect(),
            pipeline: owned("pipeline")?,
            stage: owned("stage")?,
            timer_stage: owned("timer-stage"),
            digest: owned("digest")?,
            error: owned("error")?,
            reason: owned("reason"),
            attempts: text("attempts")?.parse().ok()?,
            redriven: text("redriven").and_then(|redriven| redriven.parse().ok()).unwrap_or(0),
            failed_at: text("failed-at").and_then(|at| at.parse().ok()),
            truncated: Truncated::read(|name| text(name.strip_prefix(OURS)?)),
        })
    }

    /// Takes over what the record at its place holds; `None` where that is not the
    /// record that failed.
    pub fn completed(self, key: Option<&[u8]>, value: Option<&[u8]>, headers: Vec<Header>) -> Option<Letter> {
        let known = self.truncated.as_ref().is_some_and(|truncated| truncated.is_of(key, value));
        let headers = headers.into_iter().filter(|(name, _)| !is_ours(name)).collect();
        known.then(|| Letter { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), headers, ..self })
    }

    /// The offset of the source record, if it is one that failed.
    pub fn offset(&self) -> Option<i64> {
        match self.failed {
            Failed::Record(offset) => Some(offset),
            Failed::Timer(_) => None,
        }
    }

    /// The stage whose timer it is, if it is one.
    pub fn timer_stage(&self) -> &str {
        self.timer_stage.as_deref().unwrap_or(&self.stage)
    }

    /// The source record, as its pipeline first got it; none of a timer.
    pub fn record(&self) -> Option<Record<'_>> {
        let offset = self.offset()?;
        Some(Record {
            topic: &self.topic,
            partition: self.partition,
            offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
        })
    }

    /// How many headers the source record has, where the client library hands out none
    /// of them, as they are too many; else 0.
    pub fn left_out(&self) -> usize {
        let count = self.truncated.as_ref().map_or(0, |truncated| truncated.header_count);
        usize::try_from(count).ok().filter(|count| *count > MAX_HEADERS).unwrap_or(0)
    }

    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> u64 {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        (self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers) as u64
    }
}
