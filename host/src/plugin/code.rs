//! Compiled code on disk: a version is compiled once, not at every start.
//!
//! A file's name holds all that it must be to be run: the digest of the
//! component, the engine's code id, and the SHA-256 of the code itself, which is
//! checked before each use. A truncated or altered file is compiled anew.
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::artefact::Digest;
use super::compiler::Compiler;
use super::engine::Engine;
use super::refused::Refused;
use crate::files::OwnedFolder;

const SUFFIX: &str = ".cwasm";
/// Begins the name of a file that is being written.
const UNFINISHED: &str = "unfinished-";
/// Such a file was left by a host that ended; no compilation takes as long.
const LEFT: Duration = Duration::from_secs(2 * 3_600);
/// Bytes that the folder may hold, besides the code that was just asked for.
const MAX_BYTES: u64 = 2 << 30;

/// Where a version's code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Compiled,
    Kept,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Compiled => "compiled",
            Source::Kept => "kept",
        }
    }
}

/// The host's own folder of compiled code.
pub struct CodeFolder {
    folder: OwnedFolder,
    engine: Engine,
    compiler: Compiler,
    /// Held while a component is compiled: one at a time takes the memory for it.
    compiling: Mutex<()>,
    /// Digests whose code is being made or loaded, and is not tidied away.
    wanted: Mutex<Vec<Digest>>,
    /// Records flow, and go before compilations.
    gives_way: AtomicBool,
}

impl CodeFolder {
    /// The folder `compiled` in `data`.
    ///
    /// # Errors
    /// When it cannot be made, or is not this user's alone to change.
    pub fn open(data: &OwnedFolder, engine: Engine, compiler: Compiler) -> io::Result<CodeFolder> {
        let folder = data.folder("compiled")?;
        Ok(CodeFolder {
            folder,
            engine,
            compiler,
            compiling: Mutex::default(),
            wanted: Mutex::default(),
            gives_way: AtomicBool::new(false),
        })
    }

    /// From now on a compilation takes a lower priority: records flow. Before, they wait for it.
    pub fn give_way(&self) {
        self.gives_way.store(true, Ordering::Relaxed);
    }

    /// The component with this digest, from the code that is kept of it, else
    /// compiled from `bytes` and kept. Takes seconds then: never on a worker's thread.
    ///
    /// # Errors
    /// Why it cannot be compiled.
    pub fn component(&self, digest: Digest, bytes: &[u8]) -> Result<(Component, Source), Refused> {
        locked(&self.wanted).push(digest);
        let found = self.find_or_compile(digest, bytes);
        let mut wanted = locked(&self.wanted);
        if let Some(nth) = wanted.iter().position(|one| *one == digest) {
            wanted.swap_remove(nth);
        }
        found
    }

    fn find_or_compile(&self, digest: Digest, bytes: &[u8]) -> Result<(Component, Source), Refused> {
        if let Some(loaded) = self.kept(digest) {
            return Ok((loaded?, Source::Kept));
        }
        let path = self.compile(digest, bytes)?;
        let loaded = self
            .load(&path)
            .map_err(|problem| Refused::NotCompiled { folder: self.folder.path().to_owned(), problem })?;
        Ok((loaded?, Source::Compiled))
    }

    fn kept(&self, digest: Digest) -> Option<Result<Component, Refused>> {
        let prefix = self.prefix(digest);
        let path = self.files().into_iter().map(|(path, _)| path).find(|path| name(path).starts_with(&prefix))?;
        match self.load(&path) {
            Ok(loaded) => Some(loaded),
            Err(problem) => {
                let shown = path.display();
                tracing::warn!("{shown} is not used, its plugin is compiled anew: {problem}");
                // The new file may have another name.
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    fn compile(&self, digest: Digest, bytes: &[u8]) -> Result<PathBuf, Refused> {
        let dir = self.folder.path();
        let host = Refused::not_compiled(dir);
        let _alone = locked(&self.compiling);
        // Owner-only from its first moment.
        let mut code = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir).map_err(&host)?;
        let gives_way = self.gives_way.load(Ordering::Relaxed);
        self.compiler.compile(bytes, self.engine.code_id(), code.as_file_mut(), dir, gives_way)?;
        code.as_file().sync_all().map_err(&host)?;
        let checksum = checksum(code.as_file_mut()).map_err(&host)?;
        let path = dir.join(format!("{}{checksum}{SUFFIX}", self.prefix(digest)));
        code.persist(&path).map_err(|error| host(error.error))?;
        Ok(path)
    }

    /// Loads code that is whole and this host's own, or says what is wrong with
    /// the file; the component may still not fit the engine's pool.
    fn load(&self, path: &Path) -> Result<Result<Component, Refused>, String> {
        let mut file = self.folder.open_file(name(path)).map_err(|error| error.to_string())?;
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if metadata.mode() & 0o077 != 0 {
            return Err("it is not a file of this user alone".to_owned());
        }
        let sum = checksum(&mut file).map_err(|error| error.to_string())?;
        if !name(path).ends_with(&format!("-{sum}{SUFFIX}")) {
            return Err("it is not what was written".to_owned());
        }
        // The file that was hashed, whatever its name leads to by now.
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: wasmtime asks that the file holds what it wrote itself and
        // stays as it is. Only this host's compiler writes to this folder, whole
        // files by a rename, never in place; the folder and the file are this
        // user's alone, and whoever may act as this user could change the host
        // itself; the checksum finds what a disk or a crash did to it, and what
        // is loaded is the open file that was hashed. A file that is removed
        // stays mapped. Code of another wasmtime is refused by wasmtime itself.
        let loaded = unsafe { Component::deserialize_file(self.engine.wasmtime(), opened) };
        Ok(loaded.map_err(|error| Refused::of(&error)))
    }

    /// Removes the code of all versions but the `known`, then the oldest until
    /// the folder is within its bound. What is mapped goes on to run.
    pub fn tidy(&self, known: &HashSet<Digest>) {
        let in_work = locked(&self.wanted);
        let wanted: HashSet<String> = known.iter().chain(in_work.iter()).map(|digest| self.prefix(*digest)).collect();
        let mut files = self.files();
        files.sort_by_key(|(_, metadata)| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let mut bytes: u64 = files.iter().map(|(_, metadata)| metadata.len()).sum();
        for (path, metadata) in files {
            let is_known = name(&path).rsplit_once('-').is_some_and(|(stem, _)| wanted.contains(&format!("{stem}-")));
            let is_recent = metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age < LEFT));
            if (is_known && bytes <= MAX_BYTES) || (name(&path).starts_with(UNFINISHED) && is_recent) {
                continue;
            }
            bytes -= metadata.len();
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, "{} cannot be removed", path.display());
            }
        }
    }

    /// Everything but the checksum of the name of a version's code.
    fn prefix(&self, digest: Digest) -> String {
        format!("{digest}-{:016x}-", self.engine.code_id())
    }

    fn files(&self) -> Vec<(PathBuf, fs::Metadata)> {
        let entries = fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))).collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Of all of an open file.
fn checksum(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    file.rewind()?;
    io::copy(file, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::compiler::Bounds;
    use super::*;

    fn folder(dir: &Path) -> CodeFolder {
        folder_for(dir, 16 << 20)
    }

    fn folder_for(dir: &Path, memory: u64) -> CodeFolder {
        let bounds = Bounds { time: Duration::from_secs(60), memory: 1 << 32 };
        let engine = Engine::new(1, memory).unwrap();
        CodeFolder::open(&OwnedFolder::open(dir).unwrap(), engine, Compiler { apart: false, bounds }).unwrap()
    }

    fn plugin() -> (Digest, &'static [u8]) {
        let bytes = crate::demo_plugins()[2].1;
        (Digest::of(bytes), bytes)
    }

    fn source(folder: &CodeFolder) -> Source {
        let (digest, bytes) = plugin();
        folder.component(digest, bytes).unwrap().1
    }

    fn only_file(folder: &CodeFolder) -> PathBuf {
        let files = folder.files();
        assert_eq!(files.len(), 1);
        files[0].0.clone()
    }

    #[test]
    fn code_is_compiled_once_and_kept_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(source(&folder(dir.path())), Source::Compiled);
        // As after a restart.
        let folder = folder(dir.path());
        assert_eq!(source(&folder), Source::Kept);
        assert_eq!(fs::metadata(only_file(&folder)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.folder.path()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn code_that_is_not_what_was_written_is_compiled_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        source(&folder);
        let damages: [fn(&mut Vec<u8>); 3] = [
            |code| code.truncate(code.len() / 2),
            |code| {
                let middle = code.len() / 2;
                code[middle] ^= 1;
            },
            Vec::clear,
        ];
        for damage in damages {
            let path = only_file(&folder);
            let mut code = fs::read(&path).unwrap();
            damage(&mut code);
            // Another file under the name: the one that is mapped stays whole.
            fs::remove_file(&path).unwrap();
            fs::write(&path, code).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(source(&folder), Source::Compiled);
            assert_eq!(source(&folder), Source::Kept);
        }
    }

    #[test]
    fn code_that_others_could_have_written_is_compiled_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        source(&folder);
        let path = only_file(&folder);
        fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
        assert_eq!(source(&folder), Source::Compiled);
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert_eq!(source(&folder), Source::Compiled);
    }

    #[test]
    fn only_the_code_of_known_versions_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        source(&folder);
        fs::write(folder.folder.path().join(format!("{}1{SUFFIX}", folder.prefix(Digest::of(b"other")))), b"x")
            .unwrap();
        folder.tidy(&HashSet::from([plugin().0]));
        assert_eq!(source(&folder), Source::Kept);
        only_file(&folder);
        folder.tidy(&HashSet::new());
        assert!(folder.files().is_empty());
    }

    #[test]
    fn a_component_that_does_not_fit_the_pool_is_refused_compiled_or_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (digest, bytes) = plugin();
        let small = folder_for(dir.path(), 1 << 20);
        for _ in 0..2 {
            let refused = small.component(digest, bytes).unwrap_err();
            assert!(refused.to_string().contains("minimum byte size"), "{refused}");
        }
        assert_eq!(source(&folder(dir.path())), Source::Kept);
    }

    #[test]
    fn what_is_no_component_is_told_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let bytes = b"\0asm\x0d\0\x01\0\x07\x05hello";
        assert!(matches!(folder.component(Digest::of(bytes), bytes), Err(Refused::Invalid(_))));
        assert_eq!(fs::read_dir(folder.folder.path()).unwrap().count(), 0);
    }
}
