use std::collections::BTreeMap;

use crate::cache::Error;

const MAX_KEY: usize = 512;
/// Keys that begin so are the host's own.
const RESERVED: char = '\u{10ffff}';
const MAX_SCAN: usize = 1_000;
/// A page of a scan ends once it passes this, as in the host.
const MAX_SCAN_BYTES: usize = 1 << 20;

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    /// By the clock of processing time.
    expires_at: Option<u64>,
}

/// The cache of one stage and topic partition, with the undo of one call.
#[derive(Default)]
pub struct Store {
    entries: BTreeMap<String, Entry>,
    /// What stood under each key before the call wrote it, oldest first.
    undo: Vec<(String, Option<Entry>)>,
}

impl Store {
    pub fn keep(&mut self) {
        self.undo.clear();
    }

    pub fn undo(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(entry) => self.entries.insert(key, entry),
                None => self.entries.remove(&key),
            };
        }
    }

    fn lives(&self, key: &str, now: u64) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires_at.is_none_or(|at| now < at))
    }

    pub fn get(&self, key: &str, now: u64) -> Option<&[u8]> {
        self.lives(key, now).map(|entry| entry.value.as_slice())
    }

    pub fn set(&mut self, key: &str, value: &[u8], ttl_ms: Option<u64>, now: u64) -> Result<(), Error> {
        self.write(key, Entry { value: value.to_vec(), expires_at: ttl_ms.map(|ttl| now.saturating_add(ttl)) })
    }

    fn write(&mut self, key: &str, entry: Entry) -> Result<(), Error> {
        if key.is_empty() || key.len() > MAX_KEY || key.starts_with(RESERVED) {
            return Err(Error::InvalidKey("a key is 1 to 512 bytes of UTF-8 and does not begin with U+10FFFF".into()));
        }
        let before = self.entries.insert(key.to_owned(), entry);
        self.undo.push((key.to_owned(), before));
        Ok(())
    }

    pub fn delete(&mut self, key: &str, now: u64) -> bool {
        let lived = self.lives(key, now).is_some();
        if let Some(before) = self.entries.remove(key) {
            self.undo.push((key.to_owned(), Some(before)));
        }
        lived
    }

    pub fn increment(&mut self, key: &str, delta: i64, now: u64) -> Result<i64, Error> {
        let (current, expires_at) = match self.lives(key, now) {
            None => (0, None),
            Some(entry) => {
                let number = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<i64>().ok());
                (number.ok_or(Error::NotANumber)?, entry.expires_at)
            }
        };
        let sum = current.checked_add(delta).ok_or(Error::NotANumber)?;
        self.write(key, Entry { value: sum.to_string().into_bytes(), expires_at })?;
        Ok(sum)
    }

    pub fn scan(&self, prefix: &str, after: Option<&str>, limit: usize, now: u64) -> Vec<(String, Vec<u8>)> {
        let mut bytes = 0;
        self.entries
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .filter(|(key, _)| self.lives(key, now).is_some())
            .take(limit.min(MAX_SCAN))
            .take_while(|(key, entry)| {
                let fits = bytes < MAX_SCAN_BYTES;
                bytes += key.len() + entry.value.len();
                fits
            })
            .map(|(key, entry)| (key.clone(), entry.value.clone()))
            .collect()
    }

    /// Every entry that has not expired.
    pub fn all(&self, now: u64) -> BTreeMap<String, Vec<u8>> {
        let alive = self.entries.iter().filter(|(key, _)| self.lives(key, now).is_some());
        alive.map(|(key, entry)| (key.clone(), entry.value.clone())).collect()
    }
}
