//! Files that others put there: plugins, keys, certificates, capsules. Behind
//! such a name may be anything. A pipe or a device is refused without waiting
//! for it, and no file is read past its limit.

use std::fs::{File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Why a file is not read; each stands after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error("does not exist")]
    Missing,
    #[error("is {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("has {bytes} bytes or more, and the limit is {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}

impl From<io::Error> for ForeignError {
    fn from(error: io::Error) -> ForeignError {
        match error.kind() {
            io::ErrorKind::NotFound => ForeignError::Missing,
            _ => ForeignError::Unreadable(error),
        }
    }
}

impl From<ForeignError> for io::Error {
    fn from(error: ForeignError) -> io::Error {
        match error {
            ForeignError::Missing => io::ErrorKind::NotFound.into(),
            ForeignError::Unreadable(error) => error,
            error => io::Error::other(error),
        }
    }
}

/// All of a regular file, links followed, if it has at most `limit` bytes.
///
/// # Errors
/// When there is none, it is no regular file, it is larger, or it cannot be read.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ForeignError> {
    // Does not wait for the other end of a pipe, and takes no terminal over.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ForeignError::NotRegular(kind(metadata.file_type())));
    }
    bounded(file, metadata.len(), limit)
}

/// As [`read`], for a file that the user named, which may be a pipe: a
/// configuration comes decrypted as `<(sops -d FILE)`.
///
/// # Errors
/// As [`read`], but for the kind of file.
pub fn read_named(path: &Path, limit: u64) -> Result<Vec<u8>, ForeignError> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    bounded(file, bytes, limit)
}

fn bounded(file: File, bytes: u64, limit: u64) -> Result<Vec<u8>, ForeignError> {
    if bytes > limit {
        return Err(ForeignError::TooLarge { bytes, limit });
    }
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    // It may grow while it is read.
    file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    match content.len() as u64 {
        bytes if bytes > limit => Err(ForeignError::TooLarge { bytes, limit }),
        _ => Ok(content),
    }
}

fn kind(file: FileType) -> &'static str {
    if file.is_dir() {
        "a folder"
    } else if file.is_fifo() {
        "a named pipe"
    } else if file.is_char_device() || file.is_block_device() {
        "a device"
    } else {
        "a special file"
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn told(path: &Path, limit: u64) -> String {
        read(path, limit).map(|bytes| format!("{} bytes", bytes.len())).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_regular_file_is_read_through_links_within_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "four").unwrap();
        symlink("file", &link).unwrap();
        assert_eq!(read(&link, 4).unwrap(), b"four");
        assert_eq!(told(&file, 3), "has 4 bytes or more, and the limit is 3");
        assert_eq!(told(&folder.path().join("none"), 3), "does not exist");
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(told(&pipe, 3), "is a named pipe, not a regular file");
    }

    #[test]
    fn devices_and_folders_are_refused_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/dev/zero", &link).unwrap();
        assert_eq!(told(&link, 3), "is a device, not a regular file");
        assert_eq!(told(folder.path(), 3), "is a folder, not a regular file");
    }

    #[test]
    fn a_named_file_may_be_endless_and_is_read_to_its_limit() {
        let error = read_named(Path::new("/dev/zero"), 3).unwrap_err();
        assert!(matches!(error, ForeignError::TooLarge { bytes: 4, limit: 3 }), "{error}");
    }
}
