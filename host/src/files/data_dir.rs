//! The host's own folder, `host.data-dir`: nobody else can change what is in
//! it, and one host at a time has it.

use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};

use super::{OwnedFolder, private};

/// Locked as long as a host has the folder.
const LOCK: &str = "host.lock";
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;
/// Only its owner removes or renames what is in such a folder.
const STICKY: u32 = 0o1000;
/// Bytes of the lock's text that are told.
const LONGEST_HOLDER: u64 = 512;

/// Why a host does not take the folder; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("{} cannot be used: {problem}: let the host's user write there, or name another `host.data-dir`", path.display())]
    Unusable { path: PathBuf, problem: io::Error },
    #[error(
        "{} has mode {mode:04o}, so others than the host's user could replace what is in `host.data-dir`, {}: \
         run `chmod go-w {}` after a look at what is there, or name another folder",
        path.display(), data_dir.display(), path.display()
    )]
    OthersWrite { data_dir: PathBuf, path: PathBuf, mode: u32 },
    #[error(
        "{} belongs to user {owner}, who could replace what is in `host.data-dir`, {}: \
         give it to user {user} or root, or name another folder",
        path.display(), data_dir.display()
    )]
    OthersOwn { data_dir: PathBuf, path: PathBuf, owner: u32, user: u32 },
    #[error(
        "{} is in use by another host ({holder}): stop that one, or give this one a `host.data-dir` of its own",
        path.display()
    )]
    InUse { path: PathBuf, holder: String },
}

/// The folder, until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    folder: OwnedFolder,
    /// Locked; the lock ends with it.
    _lock: File,
}

impl DataDir {
    /// Takes the folder for the host called `host`; makes it where there is none.
    ///
    /// # Errors
    /// When others could change it or a folder above it, or another host has it.
    pub fn open(path: &Path, host: &str) -> Result<DataDir, DataDirError> {
        let unusable = |problem| DataDirError::Unusable { path: path.to_owned(), problem };
        DirBuilder::new().recursive(true).mode(private::FOLDER).create(path).map_err(unusable)?;
        // From here on no part of the path is a link.
        let path = path.canonicalize().map_err(unusable)?;
        let groups = own_groups().map_err(unusable)?;
        for above in path.ancestors().skip(1) {
            let metadata = above.symlink_metadata().map_err(unusable)?;
            check(&path, above, &metadata, &groups, metadata.mode() & STICKY != 0)?;
        }
        let folder = OwnedFolder::open(&path).map_err(unusable)?;
        let metadata = path.symlink_metadata().map_err(unusable)?;
        check(&path, &path, &metadata, &groups, false)?;
        tighten(&path, &metadata).map_err(unusable)?;
        let lock = lock(&folder, host)?;
        Ok(DataDir { folder, _lock: lock })
    }

    pub fn folder(&self) -> &OwnedFolder {
        &self.folder
    }
}

/// The groups of this process. What their members may change is as the host's
/// own: a volume of Kubernetes is its group's, a home often its user's group's.
fn own_groups() -> io::Result<Vec<u32>> {
    let mut groups: Vec<u32> = getgroups()?.into_iter().map(|group| group.as_raw()).collect();
    groups.push(getegid().as_raw());
    Ok(groups)
}

fn check(data_dir: &Path, path: &Path, at: &Metadata, groups: &[u32], sticky: bool) -> Result<(), DataDirError> {
    let (user, owner, mode) = (geteuid().as_raw(), at.uid(), at.mode() & 0o7777);
    let (data_dir, path) = (data_dir.to_owned(), path.to_owned());
    if owner != user && owner != 0 {
        return Err(DataDirError::OthersOwn { data_dir, path, owner, user });
    }
    let by_group = mode & GROUP_WRITES != 0 && !groups.contains(&at.gid());
    if (by_group || mode & ALL_WRITE != 0) && !sticky {
        return Err(DataDirError::OthersWrite { data_dir, path, mode });
    }
    Ok(())
}

/// Takes the right to write from the group of a folder that is this user's.
fn tighten(path: &Path, at: &Metadata) -> io::Result<()> {
    let mode = at.mode() & 0o7777;
    if at.uid() == geteuid().as_raw() && mode & GROUP_WRITES != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(mode & !GROUP_WRITES))?;
    }
    Ok(())
}

fn lock(folder: &OwnedFolder, host: &str) -> Result<File, DataDirError> {
    let path = folder.path().to_owned();
    let unusable = |problem| DataDirError::Unusable { path: path.clone(), problem };
    let mut file = folder.append_to(LOCK).map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(DataDirError::InUse { holder: holder(file), path }),
        Err(error) => return Err(unusable(error.into())),
    }
    let text = format!("host {host}, process {}\n", std::process::id());
    file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(unusable)?;
    Ok(file)
}

/// Who has the lock, as they wrote it there.
fn holder(file: File) -> String {
    let mut text = Vec::new();
    // One that cannot be read is unknown all the same.
    let _ = file.take(LONGEST_HOLDER).read_to_end(&mut text);
    let text: String = String::from_utf8_lossy(&text).chars().filter(|symbol| !symbol.is_control()).collect();
    if text.is_empty() { "it has not written its name yet".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn told(path: &Path) -> String {
        DataDir::open(path, "one").map(|_| "taken".to_owned()).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_folder_that_is_made_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("deep/data");
        assert_eq!(told(&data), "taken");
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_folder_that_others_write_to_is_refused_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        mode(&data, 0o777);
        assert!(told(&data).contains("has mode 0777"), "{}", told(&data));
        // Sticky or not: what is in it would be anybody's.
        mode(&data, 0o1777);
        assert!(told(&data).contains("has mode 1777"));
        mode(&data, 0o755);
        mode(dir.path(), 0o757);
        assert!(told(&data).contains("has mode 0757") && told(&data).contains("chmod go-w"), "{}", told(&data));
        mode(dir.path(), 0o1777);
        assert_eq!(told(&data), "taken");
    }

    #[test]
    fn a_group_of_others_is_refused_and_the_own_loses_its_right() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        mode(&data, 0o775);
        assert_eq!(told(&data), "taken");
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o755);
        let at = data.metadata().unwrap();
        mode(&data, 0o775);
        let writable = data.metadata().unwrap();
        assert!(check(&data, &data, &at, &[], false).is_ok());
        assert!(matches!(check(&data, &data, &writable, &[], false), Err(DataDirError::OthersWrite { .. })));
    }

    #[test]
    fn a_second_host_is_told_who_has_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path(), "ward-3").unwrap();
        let refused = told(dir.path());
        let holder = format!("in use by another host (host ward-3, process {})", std::process::id());
        assert!(refused.contains(&holder), "{refused}");
        drop(first);
        assert_eq!(told(dir.path()), "taken");
    }
}
