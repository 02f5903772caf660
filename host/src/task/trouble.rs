//! What keeps a partition's records from being read.

use std::time::{Duration, Instant};

use super::Task;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(10);

/// Reading a partition failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One of those below.
    pub kind: &'static str,
    /// Where in the partition.
    pub offset: i64,
    /// When it is to be tried again; none while that is under way.
    due: Option<Instant>,
}

impl Trouble {
    /// What is stored there is not what was written.
    pub const CORRUPT: &'static str = "corrupt-batch";
    /// It cannot be unpacked or understood.
    pub const UNDECODABLE: &'static str = "undecodable-batch";
    /// The topic is no more.
    pub const SOURCE_MISSING: &'static str = "source-missing";
    /// The partition ends before the position.
    pub const OUT_OF_RANGE: &'static str = "out-of-range";

    pub fn new(kind: &'static str, offset: i64, now: Instant) -> Trouble {
        Trouble { kind, offset, due: Some(now + AGAIN) }
    }
}

impl Task {
    /// Reading failed; whether that is to be told, as it was not known.
    pub fn meets(&mut self, trouble: Trouble) -> bool {
        let known = self.trouble.replace(trouble);
        known.is_none_or(|known| (known.kind, known.offset) != (trouble.kind, trouble.offset))
    }

    /// What keeps its records from being read.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Whether reading is to be tried again, from now on.
    pub fn try_reading(&mut self, now: Instant) -> bool {
        let due = self.trouble.as_mut().filter(|trouble| trouble.due.is_some_and(|due| due <= now));
        due.is_some_and(|trouble| trouble.due.take().is_some())
    }

    /// Whether its partition waits for another try to read it.
    pub(super) fn is_unreadable(&self) -> bool {
        self.trouble.is_some_and(|trouble| trouble.due.is_some())
    }

    /// The group did not take its offset; whether that is to be told, as it was not known.
    pub fn left_uncommitted(&mut self) -> bool {
        !std::mem::replace(&mut self.uncommitted, true)
    }

    /// Something was read.
    pub(super) fn is_read(&mut self) {
        if let Some(Trouble { kind, offset, .. }) = self.trouble.take() {
            tracing::info!(partition = %self.id, offset, kind, "the partition is readable again");
        }
    }
}
