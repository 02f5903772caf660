//! Where the state stands, kept as an entry of the host's own; and what someone
//! decides about all entries.

use super::Cache;
use crate::state::stamp::{Ground, Point, STAMP, Stamp};
use crate::state::store::{Page, StateError};

/// Entries that are looked at at once.
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

impl Cache {
    /// From now on each commit stamps the state.
    pub fn found_on(&mut self, ground: Ground) {
        self.ground = Some(ground);
    }

    /// What its stamps say; none where it is not durable.
    pub fn ground(&self) -> Option<&Ground> {
        self.ground.as_ref()
    }

    /// Puts the stamp among the entries, for the commit of this interval, which
    /// leads from `from` to `to`; between two records.
    ///
    /// # Errors
    /// When the store failed.
    pub fn stamp(&mut self, from: Option<&Point>, to: &Point) -> Result<(), StateError> {
        let Some(ground) = &self.ground else { return Ok(()) };
        let entry = Stamp::new(ground.clone(), from.cloned(), to.clone()).entry(self.interval);
        let (key, previous) = self.put(STAMP, entry)?;
        self.undo.push(key, previous);
        self.keep();
        Ok(())
    }

    /// Removes every entry, for the commit of this interval; how many that were.
    ///
    /// # Errors
    /// When the store failed.
    pub fn clear(&mut self) -> Result<u64, StateError> {
        let count = self.len();
        let mut after: Option<String> = None;
        loop {
            let page = Page { prefix: "", after: after.as_deref(), now: 0, limit: PAGE, bytes: PAGE_BYTES };
            let entries = self.store.scan(&page)?;
            let Some((last, _)) = entries.last() else { break };
            after = Some(last.clone());
            for (key, _) in entries {
                if let Some((key, entry)) = self.remove(&key)? {
                    self.undo.push(key, Some(entry));
                }
            }
            self.keep();
        }
        self.watermark = None;
        Ok(count)
    }

    /// Notes every entry as changed by this interval: its commit writes all of
    /// them to a changelog that does not hold them.
    ///
    /// # Errors
    /// When the store failed.
    pub fn touch_all(&mut self) -> Result<(), StateError> {
        let mut after: Option<String> = None;
        loop {
            let page = Page { prefix: "", after: after.as_deref(), now: 0, limit: PAGE, bytes: PAGE_BYTES };
            let entries = self.store.scan(&page)?;
            let Some((last, _)) = entries.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, entry) in entries {
                self.changed.push(key.into(), Some(entry));
            }
        }
    }
}
