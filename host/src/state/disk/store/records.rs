//! Records of a store's log: one for each commit, written, read again, taken
//! back, and brought into the tree.

use super::DiskStore;
use crate::state::disk::codec::{self, Bytes, Mark};
use crate::state::disk::fault::damaged;
use crate::state::disk::log::{HEAD, Log};
use crate::state::disk::place;
use crate::state::store::{Entry, Key, StateError, StateStore};

/// Bytes of the log beyond which nothing is written any more, because the tree takes nothing.
const MAX_LOG: u64 = 48 << 20;
/// Bytes of the buffer for records that are kept from one to the next.
const MAX_BUFFER: usize = 4 << 20;

impl DiskStore {
    /// Appends what has changed to the log as one record that leads to `mark`,
    /// whose number and sizes are filled in.
    pub(super) fn record(&mut self, mark: Mark, olds: &[(Key, Option<Entry>)]) -> Result<(), StateError> {
        let place = self.place.clone();
        let mut writer = place.writer();
        if writer.generation != self.generation {
            return Err(StateError::Fenced);
        }
        let log = writer.log.as_mut().ok_or(StateError::Fenced)?;
        let failure = place.failure();
        if let Some(damaged @ StateError::Damaged(_)) = failure {
            return Err(damaged);
        }
        if failure.is_some() {
            place::wake(&place);
        }
        if log.len() > MAX_LOG {
            return Err(failure.unwrap_or_else(|| StateError::Unavailable("the log is not spilled yet".into())));
        }
        let mark = Mark { number: log.number() + 1, entries: self.len, bytes: self.bytes, ..mark };
        self.write_body(&mark, olds);
        self.lacking = self.buffer.len();
        log.append(&mut self.buffer, self.sync)?;
        self.lacking = 0;
        for at in self.changed.drain(..) {
            self.hot.slot_mut(at).changed = false;
        }
        (self.mark, self.added) = (mark, 0);
        log.release(place.flushed());
        if place.takes_spill(log.len()) {
            // The record is written: what fails here is tried again with the next one.
            if let Err(error) = self.spill(log) {
                tracing::warn!(%error, "the state's log could not be spilled; trying again");
            }
        }
        // One large record does not keep its room.
        self.buffer.shrink_to(MAX_BUFFER);
        Ok(())
    }

    fn write_body(&mut self, mark: &Mark, olds: &[(Key, Option<Entry>)]) {
        let out = &mut self.buffer;
        out.clear();
        out.resize(HEAD, 0);
        mark.write(out);
        let run = |out: &mut Vec<u8>, lines: &mut dyn FnMut(&mut Vec<u8>)| {
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            lines(out);
            let count = (out.len() - start - 4) as u32;
            out[start..start + 4].copy_from_slice(&count.to_le_bytes());
        };
        run(out, &mut |out| {
            for at in &self.changed {
                let slot = self.hot.slot(*at);
                codec::write_line(out, &slot.key, slot.entry.as_ref());
            }
        });
        run(out, &mut |out| {
            for (key, old) in olds {
                codec::write_line(out, key, old.as_ref());
            }
        });
    }

    /// Brings the tree to where the log is. What is in memory is then the tree's.
    fn spill(&mut self, log: &mut Log) -> Result<(), StateError> {
        for at in &self.pinned {
            let slot = self.hot.slot_mut(*at);
            if slot.former.is_none() {
                let stood = self.place.entry(&slot.key)?;
                slot.former = Some(stood.and_then(|entry| entry.expires_at));
            }
        }
        let spill = self.place.spill();
        for at in self.pinned.drain(..) {
            let slot = self.hot.slot_mut(at);
            spill.write(&slot.key, slot.entry.as_ref(), slot.former.flatten());
            let expires_at = slot.entry.as_ref().and_then(|entry| entry.expires_at);
            self.first_expiry = self.first_expiry.min(expires_at.unwrap_or(u64::MAX));
            slot.former = Some(expires_at);
            slot.pinned = false;
        }
        spill.finish(&self.mark);
        self.expiries.clear();
        self.order = None;
        place::wake(&self.place);
        log.rotate(self.sync)
    }

    /// Takes a record of the log in again.
    pub(super) fn replay(&mut self, body: &[u8]) -> Result<(), StateError> {
        let mut bytes = Bytes(body);
        let (mark, mut news) = (Mark::read(&mut bytes), bytes.run().map(Bytes));
        let (Some(mark), Some(news)) = (mark, news.as_mut()) else { return Err(unreadable()) };
        while !news.0.is_empty() {
            let (key, entry) = codec::read_line(news).ok_or_else(unreadable)?;
            let at = match self.hot.find(key) {
                Some(at) => at,
                None => self.hot.insert(key, None, None),
            };
            self.exchange(at, entry);
        }
        for at in self.changed.drain(..) {
            self.hot.slot_mut(at).changed = false;
        }
        self.mark = mark;
        Ok(())
    }

    pub(super) fn take_back(&mut self, body: &[u8]) -> Result<(), StateError> {
        let mut bytes = Bytes(body);
        let (_, _, olds) = (Mark::read(&mut bytes), bytes.run(), bytes.run());
        let mut olds = Bytes(olds.ok_or_else(unreadable)?);
        while !olds.0.is_empty() {
            let (key, entry) = codec::read_line(&mut olds).ok_or_else(unreadable)?;
            self.set(key, entry)?;
        }
        self.prepared = true;
        self.abort()
    }
}

pub(super) fn unreadable() -> StateError {
    damaged("a record of its log cannot be read")
}
