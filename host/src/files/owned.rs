//! A folder that only this host changes, held by its descriptor: what is opened
//! in it is in this very folder, whatever becomes of its name, and no link is
//! followed.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fsync, mkdirat, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::private;

/// Begins the name of a file that is being written.
const UNFINISHED: &str = ".unfinished-";
/// Bits of a mode that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// A folder of this host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OwnedFolder {
    fd: Arc<OwnedFd>,
    /// For messages, and for what only takes a path.
    path: PathBuf,
}

impl OwnedFolder {
    /// A folder whose name was resolved: its last part is no link.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<OwnedFolder> {
        let fd = open(path, folder_flags(), Mode::empty())?;
        Ok(OwnedFolder { fd: Arc::new(fd), path: path.to_owned() })
    }

    /// The folder `name` in it, which is made where there is none.
    ///
    /// # Errors
    /// When it is a link, belongs to another user or others may write to it.
    pub fn folder(&self, name: &str) -> io::Result<OwnedFolder> {
        let path = self.path.join(name);
        match mkdirat(&*self.fd, name, Mode::from_raw_mode(private::FOLDER)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(told(&path, &io::Error::from(error))),
        }
        let fd = openat(&*self.fd, name, folder_flags(), Mode::empty());
        let fd = fd.map_err(|error| told(&path, &io::Error::from(error)))?;
        let folder = File::from(fd);
        check(&path, &folder.metadata()?)?;
        Ok(OwnedFolder { fd: Arc::new(folder.into()), path })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it, to be read.
    ///
    /// # Errors
    /// When there is none, it is no regular file, it belongs to another user or
    /// others may write to it.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.file(name, OFlags::RDONLY)
    }

    /// A file in it, to be appended to and read; made where there is none.
    ///
    /// # Errors
    /// As [`OwnedFolder::open_file`], and when it cannot be made.
    pub fn append_to(&self, name: &str) -> io::Result<File> {
        self.file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// All of a file in it.
    ///
    /// # Errors
    /// As [`OwnedFolder::open_file`].
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.read_to_end(&mut bytes).map_err(|error| told(&self.path.join(name), &error))?;
        Ok(bytes)
    }

    /// Writes a whole file or none: by a rename, once it is on disk.
    ///
    /// # Errors
    /// When it is not on disk.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{UNFINISHED}{name}");
        let written = self.write_unfinished(&unfinished, bytes).and_then(|()| {
            renameat(&*self.fd, &unfinished, &*self.fd, name)?;
            Ok(fsync(&*self.fd)?)
        });
        written.map_err(|error| {
            // The next one takes its place where it stays.
            let _ = unlinkat(&*self.fd, &unfinished, AtFlags::empty());
            told(&self.path.join(name), &error)
        })
    }

    fn write_unfinished(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match unlinkat(&*self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&*self.fd, name, flags, Mode::from_raw_mode(private::FILE))?);
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// # Errors
    /// When it is there afterwards.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        unlinkat(&*self.fd, name, AtFlags::empty()).map_err(|error| told(&self.path.join(name), &io::Error::from(error)))
    }

    /// The names in it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = Dir::read_from(&*self.fd)?;
        let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()));
        Ok(names.filter(|name| name != "." && name != "..").collect())
    }

    /// Whether `name` leads to the file that `open` is.
    ///
    /// # Errors
    /// When the folder or the file cannot be asked.
    pub fn still_holds(&self, name: &str, open: &File) -> io::Result<bool> {
        let held = open.metadata()?;
        match statat(&*self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok((there.st_dev, there.st_ino) == (held.dev(), held.ino())),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let path = self.path.join(name);
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = openat(&*self.fd, name, flags, Mode::from_raw_mode(private::FILE)).map_err(|error| match error {
            Errno::LOOP => told(&path, &"it is a link, and the host makes none here"),
            error => told_as(error.kind(), &path, &io::Error::from(error)),
        })?;
        let file = File::from(fd);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(told(&path, &"it is no regular file"));
        }
        check(&path, &metadata)?;
        Ok(file)
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Whether nobody but this user, and root, could have changed it.
fn check(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != geteuid().as_raw() && owner != 0 {
        return Err(told(path, &format!("it belongs to user {owner}, not to the host's user {}", geteuid().as_raw())));
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(told(
            path,
            &format!("others may write to it (mode {mode:04o}): see who did, then take that from them"),
        ));
    }
    Ok(())
}

fn told(path: &Path, problem: &dyn std::fmt::Display) -> io::Error {
    told_as(io::ErrorKind::Other, path, problem)
}

fn told_as(kind: io::ErrorKind, path: &Path, problem: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(kind, format!("{}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(dir: &tempfile::TempDir) -> OwnedFolder {
        OwnedFolder::open(dir.path()).unwrap()
    }

    #[test]
    fn files_are_written_whole_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let inner = folder(&dir).folder("inner").unwrap();
        inner.write("file", b"one").unwrap();
        inner.write("file", b"two").unwrap();
        assert_eq!(inner.read("file").unwrap(), b"two");
        assert_eq!(inner.names().unwrap(), ["file"]);
        let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().mode() & 0o7777;
        assert_eq!((mode("inner"), mode("inner/file")), (0o700, 0o600));
        assert_eq!(inner.read("none").unwrap_err().kind(), io::ErrorKind::NotFound);
        inner.remove("file").unwrap();
        assert!(inner.names().unwrap().is_empty());
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        symlink(".", dir.path().join("loop")).unwrap();
        assert!(folder(&dir).read("link").unwrap_err().to_string().contains("it is a link"));
        assert!(folder(&dir).append_to("link").is_err());
        assert!(folder(&dir).folder("loop").is_err());
    }

    #[test]
    fn what_others_may_write_to_is_refused_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o646)).unwrap();
        let told = folder(&dir).read("file").unwrap_err().to_string();
        assert!(told.contains("mode 0646"), "{told}");
        fs::create_dir(dir.path().join("inner")).unwrap();
        fs::set_permissions(dir.path().join("inner"), Permissions::from_mode(0o770)).unwrap();
        let told = folder(&dir).folder("inner").unwrap_err().to_string();
        assert!(told.contains("mode 0770"), "{told}");
    }

    #[test]
    fn an_open_folder_stays_the_one_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let inner = folder(&dir).folder("inner").unwrap();
        let log = inner.append_to("log").unwrap();
        assert!(inner.still_holds("log", &log).unwrap());
        fs::rename(dir.path().join("inner"), dir.path().join("moved")).unwrap();
        fs::create_dir(dir.path().join("inner")).unwrap();
        inner.write("file", b"one").unwrap();
        assert!(dir.path().join("moved/file").exists());
        fs::remove_file(dir.path().join("moved/log")).unwrap();
        assert!(!inner.still_holds("log", &log).unwrap());
        fs::write(dir.path().join("moved/log"), "another").unwrap();
        assert!(!inner.still_holds("log", &log).unwrap());
    }
}
