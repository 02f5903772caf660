//! The log of one store: one record for each commit interval, with new and old entries.
//!
//! A record is a head (magic, number, length, checksum of the body, checksum
//! of the head) and a body (mark, lines of new entries, lines of old ones).
//! Numbers run on without a gap, over all files; a file's name is the number
//! of the last record before it. What follows the last whole record was cut
//! off by a crash, or is damaged: the store then stands where that record
//! left it, which the committed offset tells.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::codec::Bytes;
use super::fault::{damaged, from_io};
use crate::state::store::StateError;

const MAGIC: [u8; 8] = *b"GREGOR\0\x01";
/// Bytes of a record's head; the body comes after it.
pub const HEAD: usize = 40;
const SUFFIX: &str = ".log";

pub struct Log {
    dir: PathBuf,
    file: File,
    /// The number of the last record before the current file.
    base: u64,
    /// Bytes of the current file that are whole records.
    len: u64,
    /// The number of the last record.
    number: u64,
    /// Bases of the files before the current one, the oldest first.
    older: Vec<u64>,
    /// The current file could not be brought back to its last whole record.
    broken: bool,
}

fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}{SUFFIX}"))
}

fn bases(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for file in fs::read_dir(dir)? {
        let name = file?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse::<u64>().ok());
        bases.extend(base);
    }
    bases.sort_unstable();
    Ok(bases)
}

fn create(dir: &Path, base: u64, sync: bool) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(true).open(path(dir, base))?;
    if sync {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

/// Reads the next body into `body`; its number, or none where the whole records end.
fn next(file: &mut impl Read, left: u64, body: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let mut head = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(None);
    }
    file.read_exact(&mut head)?;
    let mut bytes = Bytes(&head);
    let (magic, number, len, sum) = (bytes.take(8), bytes.u64(), bytes.u64(), bytes.u64());
    let (Some(number), Some(len), Some(sum)) = (number, len, sum) else { return Ok(None) };
    let whole = bytes.u64() == Some(xxh3_64_with_seed(&head[..HEAD - 8], 0));
    if magic != Some(&MAGIC) || !whole || len > left - HEAD as u64 {
        return Ok(None);
    }
    body.resize(len as usize, 0);
    file.read_exact(body)?;
    Ok((xxh3_64_with_seed(body, number) == sum).then_some(number))
}

impl Log {
    /// Opens the log of a store whose tree holds everything up to record
    /// `held`, and hands out the bodies after it in order; the log, and the
    /// body of its last record where that is also the store's last.
    ///
    /// # Errors
    /// When records that the tree does not hold are missing in between, when
    /// `apply` cannot read one, or when files cannot be read or written.
    pub fn open(
        dir: &Path,
        held: u64,
        sync: bool,
        mut apply: impl FnMut(&[u8]) -> Result<(), StateError>,
    ) -> Result<(Log, Option<Vec<u8>>), StateError> {
        let mut older = bases(dir).map_err(from_io)?;
        match older.first() {
            None if held > 0 => return Err(damaged("its log is missing")),
            Some(first) if *first > held => return Err(damaged("what stood before its log is missing")),
            _ => (),
        }
        let (mut number, mut len) = (0, 0);
        let (mut body, mut last) = (Vec::new(), None::<Vec<u8>>);
        for base in &older {
            let file = File::open(path(dir, *base)).map_err(from_io)?;
            let size = file.metadata().map_err(from_io)?.len();
            let mut file = BufReader::new(file);
            len = 0;
            while let Some(found) = next(&mut file, size - len, &mut body).map_err(from_io)? {
                if found <= number || (found > held && found != number.max(held) + 1) {
                    return Err(damaged("records are missing in its log"));
                }
                if found > held {
                    apply(&body)?;
                }
                number = found;
                len += (HEAD + body.len()) as u64;
                std::mem::swap(last.get_or_insert_default(), &mut body);
            }
        }
        let ahead = held > number;
        let (base, file) = match older.pop() {
            Some(base) if !ahead => {
                let file = File::options().write(true).open(path(dir, base)).map_err(from_io)?;
                file.set_len(len).map_err(from_io)?;
                (base, file)
            }
            // The tree has more than the log, whose end is lost: a new file goes on from there.
            last => {
                older.extend(last.filter(|base| *base != held));
                len = 0;
                (held, create(dir, held, sync).map_err(from_io)?)
            }
        };
        let log = Log { dir: dir.to_owned(), file, base, len, number: number.max(held), older, broken: false };
        Ok((log, last.filter(|_| !ahead)))
    }

    /// Bytes of the current file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The number of the last record.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Appends the record in `record`, whose first [`HEAD`] bytes are free, as
    /// the next one; `sync` waits until it is on the device.
    ///
    /// # Errors
    /// When it is not written; the log is then as before.
    pub fn append(&mut self, record: &mut [u8], sync: bool) -> Result<(), StateError> {
        if self.broken {
            return Err(StateError::Unavailable("its log is to be opened anew".into()));
        }
        let number = self.number + 1;
        let sum = xxh3_64_with_seed(&record[HEAD..], number);
        let len = (record.len() - HEAD) as u64;
        record[..8].copy_from_slice(&MAGIC);
        for (place, part) in [number, len, sum].into_iter().enumerate() {
            record[8 + place * 8..16 + place * 8].copy_from_slice(&part.to_le_bytes());
        }
        let sum = xxh3_64_with_seed(&record[..HEAD - 8], 0);
        record[HEAD - 8..HEAD].copy_from_slice(&sum.to_le_bytes());
        let written = self.file.write_all_at(record, self.len);
        let written = written.and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            self.broken = self.file.set_len(self.len).is_err();
            return Err(from_io(error));
        }
        self.number = number;
        self.len += record.len() as u64;
        Ok(())
    }

    /// Whether a record of `bytes` would be written now.
    ///
    /// # Errors
    /// When it would not; the log is as before.
    pub fn has_room(&mut self, bytes: usize) -> Result<(), StateError> {
        let written = self.file.write_all_at(&vec![0; bytes], self.len);
        self.broken |= self.file.set_len(self.len).is_err();
        written.map_err(from_io)
    }

    /// Goes on in a new file.
    ///
    /// # Errors
    /// When it cannot be made; the log goes on in the old one.
    pub fn rotate(&mut self, sync: bool) -> Result<(), StateError> {
        if self.number == self.base {
            return Ok(());
        }
        self.file = create(&self.dir, self.number, sync).map_err(from_io)?;
        self.older.push(self.base);
        (self.base, self.len) = (self.number, 0);
        Ok(())
    }

    /// Removes files that are not needed: the tree holds everything up to
    /// record `held` on the device, and the last record, which may be taken
    /// back, is in a later file.
    pub fn release(&mut self, held: u64) {
        while let Some(base) = self.older.first().copied() {
            let end = self.older.get(1).copied().unwrap_or(self.base);
            if end > held || end >= self.number {
                break;
            }
            if let Err(error) = fs::remove_file(path(&self.dir, base)) {
                tracing::warn!(%error, "a state log that is not needed cannot be removed; trying again");
                break;
            }
            self.older.remove(0);
        }
    }
}
