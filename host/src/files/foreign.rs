//! Files that others put there: plugins, keys, certificates, capsules. Behind
//! such a name may be anything. A pipe or a device is refused without waiting
//! for it, and no file is read past its limit.

use std::fs::{File, FileType};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Longest line of a text, in bytes: more than any value takes, base64 or escaped.
pub const MAX_LINE: u64 = 256 << 20;

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
    let file = open(path)?;
    let bytes = file.metadata()?.len();
    bounded(file, bytes, limit)
}

/// A regular file, links followed, to read from.
///
/// # Errors
/// When there is none, it is no regular file, or it cannot be opened.
pub fn open(path: &Path) -> Result<File, ForeignError> {
    // Does not wait for the other end of a pipe, and takes no terminal over.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ForeignError::NotRegular(kind(metadata.file_type())));
    }
    Ok(file)
}

/// All of standard input, if it has at most `limit` bytes.
///
/// # Errors
/// When it has more, or cannot be read.
pub fn standard_input(limit: u64) -> Result<Vec<u8>, ForeignError> {
    bounded(io::stdin().lock(), 0, limit)
}

/// The lines of a text without their ends, each of at most `limit` bytes.
pub struct TextLines<R> {
    text: R,
    limit: u64,
}

impl<R: BufRead> TextLines<R> {
    pub fn new(text: R, limit: u64) -> TextLines<R> {
        TextLines { text, limit }
    }
}

impl<R: BufRead> Iterator for TextLines<R> {
    type Item = Result<String, ForeignError>;

    fn next(&mut self) -> Option<Result<String, ForeignError>> {
        let mut line = Vec::new();
        // One byte more tells that it is longer, two are its end.
        match (&mut self.text).take(self.limit.saturating_add(2)).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error.into())),
        }
        if line.pop_if(|last| *last == b'\n').is_some() {
            line.pop_if(|last| *last == b'\r');
        }
        let bytes = line.len() as u64;
        if bytes > self.limit {
            return Some(Err(ForeignError::TooLarge { bytes, limit: self.limit }));
        }
        Some(String::from_utf8(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error).into()))
    }
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

fn bounded(file: impl Read, bytes: u64, limit: u64) -> Result<Vec<u8>, ForeignError> {
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
    fn lines_are_read_to_their_limit() {
        let read = |text: &'static str| TextLines::new(text.as_bytes(), 3).map(|line| line.map_err(|e| e.to_string()));
        let lines = |text: &'static str| read(text).collect::<Result<Vec<_>, _>>();
        assert_eq!(lines("abc\r\n\nabc\nd").unwrap(), ["abc", "", "abc", "d"]);
        assert_eq!(lines("a\nabcd\n").unwrap_err(), "has 4 bytes or more, and the limit is 3");
        let mut endless = TextLines::new(io::BufReader::new(io::repeat(0)), 3);
        assert!(matches!(endless.next(), Some(Err(ForeignError::TooLarge { bytes: 5, limit: 3 }))));
    }

    #[test]
    fn a_named_file_may_be_endless_and_is_read_to_its_limit() {
        let error = read_named(Path::new("/dev/zero"), 3).unwrap_err();
        assert!(matches!(error, ForeignError::TooLarge { bytes: 4, limit: 3 }), "{error}");
    }
}
