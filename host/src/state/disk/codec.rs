//! Bytes of entries and marks, as the log and the tree hold them.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::state::store::{Checkpoint, Entry, Origin};

const EXPIRES: u8 = 1;
const ORIGIN_NULL: u8 = 2;
const ORIGIN_KEY: u8 = 4;

/// What a record of the log brought the store to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Counts the records of the log; 0 before the first.
    pub number: u64,
    /// The source offset that taking the last commit back leads to.
    pub from: i64,
    /// The next source offset; -1 when the store is not whole.
    pub to: i64,
    /// Every changelog record below this offset is in the store.
    pub changelog: i64,
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
}

impl Mark {
    /// Of a store that nothing was written to.
    pub const NONE: Mark = Mark { number: 0, from: -1, to: -1, changelog: 0, at: 0, entries: 0, bytes: 0 };

    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { position: self.to, changelog: self.changelog, at: self.at }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        for number in [self.number, self.at, self.entries, self.bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for offset in [self.from, self.to, self.changelog] {
            out.extend_from_slice(&offset.to_le_bytes());
        }
    }

    pub fn read(bytes: &mut Bytes<'_>) -> Option<Mark> {
        let (number, at, entries, size) = (bytes.u64()?, bytes.u64()?, bytes.u64()?, bytes.u64()?);
        let (from, to, changelog) = (bytes.i64()?, bytes.i64()?, bytes.i64()?);
        Some(Mark { number, from, to, changelog, at, entries, bytes: size })
    }
}

/// Reads what was written in order.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.take(8)?.try_into().ok().map(i64::from_le_bytes)
    }

    /// Bytes with their number before them.
    pub fn run(&mut self) -> Option<&'a [u8]> {
        let count = self.take(4)?.try_into().ok().map(u32::from_le_bytes)?;
        self.take(count as usize)
    }
}

/// Writes `bytes` with their number before them; what [`Bytes::run`] reads.
pub fn write_run(out: &mut Vec<u8>, bytes: &[u8]) {
    // Keys and values are far below 4 GiB: the host's limits see to it.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    let origin = match &entry.origin {
        Origin::Same => 0,
        Origin::Null => ORIGIN_NULL,
        Origin::Key(_) => ORIGIN_KEY,
    };
    out.push(origin | if entry.expires_at.is_some() { EXPIRES } else { 0 });
    if let Some(at) = entry.expires_at {
        out.extend_from_slice(&at.to_le_bytes());
    }
    if let Origin::Key(record_key) = &entry.origin {
        write_run(out, record_key);
    }
    out.extend_from_slice(&entry.value);
}

fn read_entry(bytes: &[u8]) -> Option<Entry> {
    let mut bytes = Bytes(bytes);
    let flags = bytes.u8()?;
    let expires_at = if flags & EXPIRES != 0 { Some(bytes.u64()?) } else { None };
    let origin = match flags & !EXPIRES {
        0 => Origin::Same,
        ORIGIN_NULL => Origin::Null,
        ORIGIN_KEY => Origin::Key(bytes.run()?.into()),
        _ => return None,
    };
    Some(Entry::durable(bytes.0.to_vec(), expires_at, origin))
}

/// Writes one line of a record: a key, and the entry under it or none.
pub fn write_line(out: &mut Vec<u8>, key: &str, entry: Option<&Entry>) {
    write_run(out, key.as_bytes());
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    if let Some(entry) = entry {
        write_entry(out, entry);
    }
    // No entry has no bytes: an entry has at least its flags.
    let count = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&count.to_le_bytes());
}

/// Reads what [`write_line`] wrote.
pub fn read_line<'a>(bytes: &mut Bytes<'a>) -> Option<(&'a str, Option<Entry>)> {
    let key = std::str::from_utf8(bytes.run()?).ok()?;
    match bytes.run()? {
        [] => Some((key, None)),
        entry => Some((key, Some(read_entry(entry)?))),
    }
}

/// An entry for the tree, with a checksum over its key and itself.
pub fn seal_entry(key: &str, entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry.value.len() + 32);
    out.extend_from_slice(&[0; 8]);
    write_entry(&mut out, entry);
    seal(key.as_bytes(), out)
}

/// The entry that was sealed for `key`; none when it is damaged.
pub fn open_entry(key: &str, sealed: &[u8]) -> Option<Entry> {
    read_entry(open(key.as_bytes(), sealed)?)
}

/// A mark for the tree.
pub fn seal_mark(mark: &Mark) -> Vec<u8> {
    let mut out = vec![0; 8];
    mark.write(&mut out);
    seal(b"", out)
}

/// The mark that was sealed; none when it is damaged.
pub fn open_mark(sealed: &[u8]) -> Option<Mark> {
    Mark::read(&mut Bytes(open(b"", sealed)?))
}

fn seal(key: &[u8], mut out: Vec<u8>) -> Vec<u8> {
    let sum = xxh3_64_with_seed(&out[8..], xxh3_64(key));
    out[..8].copy_from_slice(&sum.to_le_bytes());
    out
}

fn open<'a>(key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let mut bytes = Bytes(sealed);
    let sum = bytes.u64()?;
    (sum == xxh3_64_with_seed(bytes.0, xxh3_64(key))).then_some(bytes.0)
}
