//! Timers of one stage for one topic partition, as entries among those of the
//! cache: staging, undo, changelog, disk, Redis and export carry them along.
//!
//! ```text
//! key              value                                 record key
//! U+10FFFF e name  the event time, ms, decimal           of the record that scheduled it
//! U+10FFFF p name  the processing time, ms, decimal      the same
//! U+10FFFF w       the watermark, ms, decimal            none
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::store::Entry;
use crate::state::Key;

/// Begins every key that is the host's own: a noncharacter, which Unicode
/// reserves for internal use. It sorts after all others.
pub const RESERVED: char = '\u{10FFFF}';
/// The same as a scan's prefix.
pub(super) const RESERVED_PREFIX: &str = "\u{10FFFF}";
/// Under which a stage's watermark stands.
pub(super) const WATERMARK: &str = "\u{10FFFF}w";
/// Names are 1 to this many bytes.
pub(super) const MAX_NAME: usize = 256;

/// The first byte of [`RESERVED`] in UTF-8; few other characters have it.
const FIRST: u8 = 0xF4;

/// Whether `key` is the host's own, which no plugin sees.
pub(super) fn is_reserved(key: &str) -> bool {
    key.as_bytes().first() == Some(&FIRST) && key.starts_with(RESERVED)
}

/// What moves a timer's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    /// The watermark.
    EventTime,
    /// The host's wall clock.
    ProcessingTime,
}

impl Domain {
    pub const ALL: [Domain; 2] = [Domain::EventTime, Domain::ProcessingTime];

    pub fn name(self) -> &'static str {
        match self {
            Domain::EventTime => "event-time",
            Domain::ProcessingTime => "processing-time",
        }
    }

    pub fn named(name: &str) -> Option<Domain> {
        Domain::ALL.into_iter().find(|domain| domain.name() == name)
    }

    pub(super) fn key(self, name: &str) -> String {
        let letter = match self {
            Domain::EventTime => 'e',
            Domain::ProcessingTime => 'p',
        };
        format!("{RESERVED}{letter}{name}")
    }

    fn of(key: &str) -> Option<Domain> {
        match key.strip_prefix(RESERVED)?.as_bytes().first()? {
            b'e' => Some(Domain::EventTime),
            b'p' => Some(Domain::ProcessingTime),
            _ => None,
        }
    }
}

/// A timer, as it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    pub domain: Domain,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// The key of the source record that scheduled it.
    pub record_key: Option<Vec<u8>>,
    /// That of its entry.
    pub(super) key: Key,
}

impl Timer {
    /// `at` is in milliseconds since the Unix epoch.
    pub fn new(domain: Domain, name: &str, at: u64, record_key: Option<Vec<u8>>) -> Timer {
        Timer { domain, at, record_key, key: domain.key(name).into() }
    }

    pub fn name(&self) -> &str {
        self.key.strip_prefix(RESERVED).and_then(|rest| rest.get(1..)).unwrap_or_default()
    }
}

/// The time that an entry of the host's own tells; none where it tells none.
pub(super) fn time(entry: &Entry) -> Option<u64> {
    std::str::from_utf8(&entry.value).ok()?.parse().ok()
}

/// The timers among the entries, in the order of their times. It follows every
/// write of the store, so it equals the entries.
#[derive(Default)]
pub(super) struct Timers {
    event: BTreeSet<(u64, Key)>,
    processing: BTreeSet<(u64, Key)>,
}

impl Timers {
    pub fn of(&self, domain: Domain) -> &BTreeSet<(u64, Key)> {
        match domain {
            Domain::EventTime => &self.event,
            Domain::ProcessingTime => &self.processing,
        }
    }

    /// What stood under `key` told the time `before`, what stands there now tells `after`.
    pub fn replace(&mut self, key: &Key, before: Option<u64>, after: Option<u64>) {
        let timers = match Domain::of(key) {
            Some(Domain::EventTime) => &mut self.event,
            Some(Domain::ProcessingTime) => &mut self.processing,
            None => return,
        };
        if let Some(at) = before {
            timers.remove(&(at, key.clone()));
        }
        if let Some(at) = after {
            timers.insert((at, key.clone()));
        }
    }

    pub fn len(&self) -> u64 {
        (self.event.len() + self.processing.len()) as u64
    }
}
