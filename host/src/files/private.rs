//! Files and folders that nobody but their owner may read: they hold tokens or
//! what records hold.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

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

/// Deletes a folder although threads of this process still write there, or delete
/// it as well. Tries for a second.
pub fn remove(folder: &Path) {
    for _ in 0..100 {
        // What another thread has just deleted is no error for long.
        let _ = fs::remove_dir_all(folder);
        if !folder.exists() {
            return;
        }
        sleep(Duration::from_millis(10));
    }
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

    #[test]
    fn a_folder_is_removed_although_somebody_writes_there() {
        let folder = folder("gregor-private-").unwrap();
        let path = folder.path().to_owned();
        let written = path.clone();
        // Until the folder is gone.
        let writing = std::thread::spawn(move || {
            let mut files = 0;
            while std::fs::write(written.join(files.to_string()), "x").is_ok() {
                files += 1;
                sleep(Duration::from_millis(1));
            }
        });
        remove(&path);
        writing.join().unwrap();
        assert!(!path.exists());
    }
}
