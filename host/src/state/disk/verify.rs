//! What the engine does not verify before it trusts it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::codec::Bytes;
use super::fault::{damaged, from_io};
use crate::state::store::StateError;

/// Bytes at the end of a table: magic, version, kind of checksum, checksum and place of its contents.
const TRAILER: u64 = 38;

/// Compares the tree's list of tables with the checksum in `current`, which
/// the engine writes and does not read: a flipped bit there hides entries.
///
/// # Errors
/// When they differ or cannot be read.
pub fn verify_list(tree: &Path) -> Result<(), StateError> {
    let current = match fs::read(tree.join("current")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        current => current.map_err(from_io)?,
    };
    let mut bytes = Bytes(&current);
    let (Some(id), Some(sum)) = (bytes.u64(), bytes.take(16)) else {
        return Err(damaged("its list of tables has no checksum"));
    };
    let list = fs::read(tree.join(format!("v{id}"))).map_err(from_io)?;
    if xxh3_128(&list).to_le_bytes() == sum { Ok(()) } else { Err(damaged("its list of tables has a wrong checksum")) }
}

/// Moves tables aside whose contents have a wrong checksum: the engine would
/// ask for as much memory as they say before it compares. A table that was
/// being written in a crash is not missed; any other is, and then the tree
/// does not open. The files that were moved.
///
/// # Errors
/// When a table cannot be read or moved.
pub fn set_torn_tables_aside(tree: &Path) -> Result<Vec<PathBuf>, StateError> {
    let mut aside = Vec::new();
    let tables = match fs::read_dir(tree.join("tables")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(aside),
        tables => tables.map_err(from_io)?,
    };
    for table in tables {
        let table = table.map_err(from_io)?;
        if !is_whole(&table.path()).map_err(from_io)? {
            let to = tree.with_file_name(format!("torn-{}", table.file_name().display()));
            fs::rename(table.path(), &to).map_err(from_io)?;
            aside.push(to);
        }
    }
    Ok(aside)
}

fn is_whole(table: &Path) -> io::Result<bool> {
    let file = File::open(table)?;
    let Some(end) = file.metadata()?.len().checked_sub(TRAILER) else { return Ok(false) };
    let mut trailer = [0; TRAILER as usize];
    file.read_exact_at(&mut trailer, end)?;
    let mut bytes = Bytes(&trailer[6..]);
    let (Some(sum), Some(start)) = (bytes.take(16), bytes.u64()) else { return Ok(false) };
    let Some(len) = end.checked_sub(start) else { return Ok(false) };
    let mut contents = vec![0; len as usize];
    file.read_exact_at(&mut contents, start)?;
    Ok(xxh3_128(&contents).to_le_bytes() == sum)
}
