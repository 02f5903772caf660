//! The folder of all stores of a host: its lock, caches, and the thread that works for all.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lsm_tree::{Cache, DescriptorTable};

use super::fault::from_io;
use super::place::Place;
use crate::plan::StoreId;
use crate::state::store::StateError;

/// Tells a folder of ours.
const MARKER: &str = "gregor-state";
/// Version of the folder's layout, of logs and of entries.
const VERSION: &[u8] = b"1\n";
const STORES: &str = "stores";
/// The file beside a stage's stores that says how many partitions its source has.
const PARTITIONS: &str = "partitions";
/// Begins the name of a store's folder that is being removed.
const GONE: &str = "gone-";
/// Bytes of decoded blocks that are kept for all stores together.
const CACHE: u64 = 16 << 20;
/// Open files of tables.
const DESCRIPTORS: usize = 200;
/// How long a lock that is held is waited for: a store that was dropped may still be flushing.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Home {
    dir: PathBuf,
    cache: Arc<Cache>,
    descriptors: Arc<DescriptorTable>,
    places: Mutex<HashMap<StoreId, Known>>,
    /// Bytes of a store's log from which it is spilled.
    pub spill: u64,
    work: Option<Sender<Weak<Place>>>,
    thread: Option<JoinHandle<()>>,
    /// Held as long as this lives.
    _lock: File,
}

/// A store that was opened or removed here.
#[derive(Default)]
pub struct Known {
    pub place: Weak<Place>,
    /// Its folder's number; after it was wiped a store gets the next one.
    number: u64,
}

impl Home {
    /// # Errors
    /// When it is not ours, is in use by another process, or cannot be read or made.
    pub fn open(dir: &Path, spill: u64) -> Result<Home, StateError> {
        let refuse = |what: &str| Err(StateError::Unavailable(format!("{}: {what}", dir.display())));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(from_io)?;
        match fs::read(dir.join(MARKER)) {
            Ok(version) if version == VERSION => (),
            Ok(_) => return refuse("was written by another version of Gregor; use that one, or another folder"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::read_dir(dir).map_err(from_io)?.next().is_some() {
                    return refuse("holds something else than state; name an empty folder");
                }
                let marker = dir.join(MARKER);
                fs::write(&marker, VERSION).and_then(|()| File::open(marker)?.sync_all()).map_err(from_io)?;
            }
            Err(error) => return Err(from_io(error)),
        }
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(from_io)?;
        let lock = File::options().write(true).create(true).truncate(false).open(dir.join("lock")).map_err(from_io)?;
        let start = Instant::now();
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::Error(error) => return Err(from_io(error)),
                TryLockError::WouldBlock if start.elapsed() > PATIENCE => {
                    return refuse("is in use by another process; end it, or name another folder");
                }
                TryLockError::WouldBlock => thread::sleep(Duration::from_millis(20)),
            }
        }
        fs::create_dir_all(dir.join(STORES)).map_err(from_io)?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(from_io)?;
        let (work, jobs) = mpsc::channel::<Weak<Place>>();
        let thread = thread::Builder::new().name("state".into()).spawn(move || {
            for place in jobs {
                if let Some(place) = place.upgrade() {
                    place.work();
                }
            }
        });
        let home = Home {
            dir: dir.to_owned(),
            cache: Arc::new(Cache::with_capacity_bytes(CACHE)),
            descriptors: Arc::new(DescriptorTable::new(DESCRIPTORS)),
            places: Mutex::default(),
            spill,
            work: Some(work),
            thread: Some(thread.map_err(from_io)?),
            _lock: lock,
        };
        for (dir, _, _) in home.folders()?.iter().filter(|(_, _, number)| number.is_none()) {
            fs::remove_dir_all(dir).map_err(from_io)?;
        }
        Ok(home)
    }

    /// Removes the folder, if it is ours and nobody uses it.
    pub fn discard(dir: &Path) -> Result<(), StateError> {
        let refuse = |what: &str| Err(StateError::Unavailable(format!("{}: {what}", dir.display())));
        if !dir.exists() {
            return Ok(());
        }
        if !dir.join(MARKER).is_file() {
            return refuse("is not a folder of Gregor's state and is left alone");
        }
        let lock = File::options().write(true).create(true).truncate(false).open(dir.join("lock")).map_err(from_io)?;
        match lock.try_lock() {
            Err(TryLockError::Error(error)) => Err(from_io(error)),
            Err(TryLockError::WouldBlock) => refuse("is in use by a process; end it first"),
            Ok(()) => {
                // The marker goes last: what is left of it stays ours.
                for name in [STORES, "lock", MARKER] {
                    let path = dir.join(name);
                    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                    removed
                        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
                        .map_err(from_io)?;
                }
                fs::remove_dir(dir).map_err(from_io)
            }
        }
    }

    pub fn cache(&self) -> Arc<Cache> {
        self.cache.clone()
    }

    pub fn descriptors(&self) -> Arc<DescriptorTable> {
        self.descriptors.clone()
    }

    pub fn work_on(&self, place: &Arc<Place>) {
        if let Some(work) = &self.work {
            // It fails only when the thread has ended, and that it does with this.
            let _ = work.send(Arc::downgrade(place));
        }
    }

    pub fn places(&self) -> MutexGuard<'_, HashMap<StoreId, Known>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a store that is opened or made.
    pub fn folder(&self, id: &StoreId, known: &mut Known) -> Result<PathBuf, StateError> {
        let parent = self.parent(id);
        let numbers = self.numbers(id)?;
        known.number = numbers.last().copied().unwrap_or(known.number + 1).max(known.number);
        Ok(parent.join(format!("{}-{}", id.partition, known.number)))
    }

    /// Removes a store's folders. What is removed only in part is told by its name.
    pub fn remove(&self, id: &StoreId, known: &mut Known) -> Result<(), StateError> {
        let parent = self.parent(id);
        for number in self.numbers(id)? {
            known.number = known.number.max(number);
            let name = format!("{}-{number}", id.partition);
            let gone = parent.join(format!("{GONE}{name}"));
            fs::rename(parent.join(name), &gone).map_err(from_io)?;
            File::open(&parent).and_then(|parent| parent.sync_all()).map_err(from_io)?;
            fs::remove_dir_all(gone).map_err(from_io)?;
        }
        known.number += 1;
        Ok(())
    }

    /// See [`Disk::partitions`](super::Disk::partitions).
    pub fn partitions(&self, pipeline: &str, stage: &str) -> Result<Option<i32>, StateError> {
        match fs::read_to_string(self.folder_of(pipeline, stage).join(PARTITIONS)) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(from_io(error)),
        }
    }

    /// See [`Disk::remember_partitions`](super::Disk::remember_partitions).
    pub fn remember_partitions(&self, pipeline: &str, stage: &str, count: i32) -> Result<(), StateError> {
        let folder = self.folder_of(pipeline, stage);
        fs::create_dir_all(&folder).map_err(from_io)?;
        let written = folder.join(format!("{PARTITIONS}.new"));
        fs::write(&written, format!("{count}\n")).and_then(|()| File::open(&written)?.sync_all()).map_err(from_io)?;
        fs::rename(&written, folder.join(PARTITIONS)).map_err(from_io)?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(from_io)
    }

    pub fn list(&self) -> Result<Vec<StoreId>, StateError> {
        let mut ids: Vec<_> =
            self.folders()?.into_iter().filter(|(_, _, number)| number.is_some()).map(|(_, id, _)| id).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn parent(&self, id: &StoreId) -> PathBuf {
        self.folder_of(&id.pipeline, &id.stage)
    }

    fn folder_of(&self, pipeline: &str, stage: &str) -> PathBuf {
        self.dir.join(STORES).join(encode(pipeline)).join(encode(stage))
    }

    /// Numbers of a store's folders, ascending.
    fn numbers(&self, id: &StoreId) -> Result<Vec<u64>, StateError> {
        let found = self.folders()?.into_iter().filter(|(_, found, _)| found == id);
        let mut numbers: Vec<_> = found.filter_map(|(_, _, number)| number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Each store's folder with its number, or none when it is being removed.
    fn folders(&self) -> Result<Vec<(PathBuf, StoreId, Option<u64>)>, StateError> {
        let mut found = Vec::new();
        for pipeline in folders_in(&self.dir.join(STORES))? {
            for stage in folders_in(&pipeline)? {
                for dir in folders_in(&stage)? {
                    let (Some(pipeline), Some(stage), Some(name)) = (name(&pipeline), name(&stage), name(&dir)) else {
                        continue;
                    };
                    let kept = name.strip_prefix(GONE);
                    let Some((partition, number)) = kept.unwrap_or(name).rsplit_once('-') else { continue };
                    let (Ok(partition), Ok(number)) = (partition.parse(), number.parse()) else { continue };
                    let id = StoreId { pipeline: decode(pipeline), stage: decode(stage), partition };
                    let number = kept.is_none().then_some(number);
                    found.push((dir.clone(), id, number));
                }
            }
        }
        Ok(found)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.work = None;
        // The last store may have been dropped by that thread itself.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

fn folders_in(dir: &Path) -> Result<Vec<PathBuf>, StateError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(from_io)? {
        let entry = entry.map_err(from_io)?;
        if entry.file_type().map_err(from_io)?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// A name as a folder's: other bytes than letters, digits, `-` and `_` as `%` and two hexadecimal digits.
fn encode(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn decode(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some((plain, coded)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let digits = coded.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.extend(digits);
        rest = coded.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
