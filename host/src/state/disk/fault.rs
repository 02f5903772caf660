//! What can go wrong below a store, in its own terms.

use std::io::{Error, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::state::store::StateError;

/// `EIO`: the device gave no or wrong data.
const DEVICE: i32 = 5;

pub fn damaged(what: &str) -> StateError {
    StateError::Damaged(what.into())
}

pub fn from_io(error: Error) -> StateError {
    use ErrorKind::{FileTooLarge, InvalidData, NotFound, QuotaExceeded, StorageFull, UnexpectedEof};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => StateError::Full(error.to_string()),
        UnexpectedEof | NotFound | InvalidData => StateError::Damaged(error.to_string()),
        _ if error.raw_os_error() == Some(DEVICE) => StateError::Damaged(error.to_string()),
        _ => StateError::Unavailable(error.to_string()),
    }
}

pub fn from_tree(error: lsm_tree::Error) -> StateError {
    match error {
        lsm_tree::Error::Io(error) => from_io(error),
        // Their texts are of checksums and tags, never of keys and values.
        other => StateError::Damaged(other.to_string()),
    }
}

/// Runs what reads the tree's files: its decoders may panic over damaged ones.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, StateError>) -> Result<T, StateError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged("its files cannot be decoded")))
}
