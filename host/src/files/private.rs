//! Files and folders that nobody but their owner may read: they hold tokens or
//! what records hold.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::Mode;
use tempfile::TempDir;

/// Of a private folder.
pub const FOLDER: u32 = 0o700;
/// Of a private file.
pub const FILE: u32 = 0o600;

/// A temporary folder of its own, deleted with the value.
///
/// # Errors
/// When it cannot be made.
pub fn folder(prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(FOLDER)).tempdir()
}

/// Writes a file, in the place of one that is there.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE).open(path)?;
    // One that was there has the mode that it had.
    file.set_permissions(Permissions::from_mode(FILE))?;
    file.write_all(bytes)
}

/// Takes from every file that this process makes from now on what others could
/// do with it.
pub fn by_default() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_and_its_files_are_the_owners_alone() {
        let folder = folder("gregor-private-").unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        let file = folder.path().join("file");
        std::fs::write(&file, "readable").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        write(&file, b"token").unwrap();
        assert_eq!((mode(&file), std::fs::read(&file).unwrap()), (0o600, b"token".to_vec()));
    }
}
