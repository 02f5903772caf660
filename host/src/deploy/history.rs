//! The versions that were in force, kept for a rollback and for a restart.
//!
//! ```text
//! <data-dir>/versions/<plugin>/index.json        which, when, and which is in force
//!                              <digest>.wasm     the component as it was deployed
//! ```
//!
//! The index is read anew for each change: deploys are rare, and what stands on
//! disk is what the next start finds.

use std::collections::{BTreeSet, HashSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::files::OwnedFolder;
use crate::plugin::Digest;
use crate::task::{Ran, Standing};

const INDEX: &str = "index.json";
const SUFFIX: &str = ".wasm";
/// Version of the index's format.
const FORMAT: u32 = 1;
/// Digests of versions that were in force, remembered when their bytes are not kept any more.
const REMEMBERED: usize = 1_000;

/// A version that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    pub digest: Digest,
    pub bytes: u64,
    /// When it came into force last, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Who brought it into force.
    pub by: String,
    /// The interfaces that it imports, without their versions.
    pub imports: BTreeSet<String>,
    /// Whether it was rolled back: no rollback goes there unless it is named.
    pub rolled_back: bool,
}

/// A plugin's versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Index {
    format: u32,
    /// The file in the plugins' folder as it was when a version last came into
    /// force: it is not deployed again by itself.
    pub passed_over: Option<Digest>,
    /// By when they came into force; the last is in force.
    pub versions: Vec<Kept>,
    /// Versions that are known to be older than the one in force, here or on
    /// another host; the last to become so is last.
    #[serde(default)]
    older: Vec<Digest>,
    /// How often a version came back.
    #[serde(default)]
    returns: u64,
}

impl Index {
    fn new() -> Index {
        Index { format: FORMAT, passed_over: None, versions: Vec::new(), older: Vec::new(), returns: 0 }
    }

    /// The version in force.
    pub fn active(&self) -> Option<&Kept> {
        self.versions.last()
    }

    /// What is known of the versions before the one in force.
    pub fn standing(&self) -> Standing {
        let kept = self.versions.iter().map(|kept| kept.digest);
        Standing { returns: self.returns, before: kept.chain(self.older.iter().copied()).collect() }
    }

    /// Whether the version is to be told from its own earlier time in force:
    /// not where it only follows another host.
    fn comes_back(&self, digest: Digest, before: &[Ran]) -> bool {
        let known = self.standing().before.contains(&digest);
        let follows = before.iter().any(|ran| ran.digest == digest);
        match before.iter().any(|ran| ran.digest != digest) {
            true => known || follows,
            false => known && !follows && self.active().is_none_or(|active| active.digest != digest),
        }
    }

    /// Brings a version into force, in the place of an earlier entry of it;
    /// `before` are versions of other hosts that it is to come after.
    fn activate(&mut self, kept: Kept, passed_over: Option<Digest>, keep: usize, before: &[Ran]) {
        self.returns = before.iter().map(|ran| ran.returns).fold(self.returns, u64::max);
        if self.comes_back(kept.digest, before) {
            self.returns += 1;
        }
        let older = self.versions.iter().map(|kept| kept.digest).chain(before.iter().map(|ran| ran.digest));
        for digest in older.collect::<Vec<_>>() {
            self.older.retain(|known| *known != digest);
            self.older.push(digest);
        }
        self.older.drain(..self.older.len().saturating_sub(REMEMBERED));
        self.versions.retain(|known| known.digest != kept.digest);
        self.versions.push(kept);
        self.passed_over = passed_over;
        self.versions.drain(..self.versions.len().saturating_sub(keep));
    }

    /// The version to go back to: the one whose digest begins with `to`, else
    /// the last one in force before that was not rolled back itself.
    ///
    /// # Errors
    /// When there is none, or several; the error names those there are.
    pub fn target(&self, to: Option<&str>) -> Result<&Kept, Refusal> {
        let Some((_, before)) = self.versions.split_last() else {
            return Err(Refusal::NoVersion("none is kept".to_owned()));
        };
        let Some(to) = to else {
            return before.iter().rev().find(|kept| !kept.rolled_back).ok_or_else(|| {
                let named = "those that were rolled back have to be named with `--to`";
                Refusal::NoVersion(match before {
                    [] => "only the one in force is kept".to_owned(),
                    _ => format!("{named}: {}", digests(before)),
                })
            });
        };
        let mut named = self.versions.iter().filter(|kept| kept.digest.to_string().starts_with(to));
        match (named.next(), named.next()) {
            (Some(kept), None) if !to.is_empty() => Ok(kept),
            (None, _) => Err(Refusal::NoVersion(format!("{to:?} begins none of {}", digests(&self.versions)))),
            _ => Err(Refusal::NoVersion(format!("{to:?} begins several of {}", digests(&self.versions)))),
        }
    }
}

fn digests(versions: &[Kept]) -> String {
    versions.iter().map(|kept| kept.digest.short()).collect::<Vec<_>>().join(", ")
}

/// The folder of all plugins' versions.
#[derive(Clone, Debug)]
pub struct History {
    dir: OwnedFolder,
    keep: usize,
}

impl History {
    /// Keeps `keep` versions of each plugin, the one in force among them, below `data`.
    ///
    /// # Errors
    /// When the folder cannot be made, or others may write to it.
    pub fn open(data: &OwnedFolder, keep: usize) -> io::Result<History> {
        Ok(History { dir: data.folder("versions")?, keep })
    }

    /// The versions of `plugin`; none where it never ran here.
    ///
    /// # Errors
    /// When they cannot be read, or another Gregor wrote them.
    pub fn of(&self, plugin: &str) -> io::Result<Index> {
        let folder = self.dir.folder(plugin)?;
        let text = match folder.read(INDEX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Index::new()),
            Err(error) => return Err(error),
        };
        let told = |problem: String| io::Error::other(format!("{}: {problem}", folder.path().join(INDEX).display()));
        let index: Index = serde_json::from_slice(&text).map_err(|error| told(error.to_string()))?;
        if index.format != FORMAT {
            return Err(told("another version of Gregor wrote it".to_owned()));
        }
        Ok(index)
    }

    /// Keeps a version's bytes and brings it into force for the next start,
    /// after the versions `older` of other hosts; the index before. The caller
    /// swaps the workers, or [restores](History::restore) the index.
    ///
    /// # Errors
    /// When it is not all on disk: then nothing has changed.
    pub fn activate(
        &self,
        plugin: &str,
        kept: Kept,
        component: &[u8],
        passed_over: Option<Digest>,
        rolls_back: bool,
        older: &[Ran],
    ) -> io::Result<Index> {
        let before = self.of(plugin)?;
        if self.read(plugin, kept.digest).is_err() {
            self.dir.folder(plugin)?.write(&file_name(kept.digest), component)?;
        }
        let mut after = before.clone();
        if let Some(left) = after.versions.last_mut().filter(|_| rolls_back) {
            left.rolled_back = true;
        }
        after.activate(kept, passed_over, self.keep, older);
        self.restore(plugin, &after)?;
        Ok(before)
    }

    /// # Errors
    /// When the index is not on disk.
    pub fn restore(&self, plugin: &str, index: &Index) -> io::Result<()> {
        self.dir.folder(plugin)?.write(INDEX, &serde_json::to_vec_pretty(index)?)
    }

    /// A version's bytes, as they were deployed.
    ///
    /// # Errors
    /// When they cannot be read or are not the ones.
    pub fn read(&self, plugin: &str, digest: Digest) -> io::Result<Vec<u8>> {
        let folder = self.dir.folder(plugin)?;
        let bytes = folder.read(&file_name(digest))?;
        if Digest::of(&bytes) != digest {
            let path = folder.path().join(file_name(digest));
            return Err(io::Error::other(format!("{}: it is not what was written", path.display())));
        }
        Ok(bytes)
    }

    /// Removes the bytes of a plugin's versions that its index does not name any more.
    pub fn tidy(&self, plugin: &str) {
        // What cannot be read now is left alone.
        let (Ok(index), Ok(folder)) = (self.of(plugin), self.dir.folder(plugin)) else { return };
        for name in folder.names().into_iter().flatten() {
            let digest = name.strip_suffix(SUFFIX).and_then(|stem| Digest::try_from(stem.to_owned()).ok());
            let is_left = digest.is_some_and(|digest| index.versions.iter().all(|kept| kept.digest != digest));
            if is_left && let Err(error) = folder.remove(&name) {
                tracing::warn!(%error, "a version that is not kept any more cannot be removed");
            }
        }
    }

    /// The versions that are kept of all `plugins`.
    pub fn digests(&self, plugins: &[String]) -> HashSet<Digest> {
        let indexes = plugins.iter().filter_map(|plugin| self.of(plugin).ok());
        indexes.flat_map(|index| index.versions).map(|kept| kept.digest).collect()
    }
}

fn file_name(digest: Digest) -> String {
    format!("{digest}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn kept(name: &str) -> Kept {
        Kept {
            digest: Digest::of(name.as_bytes()),
            bytes: name.len() as u64,
            since: 1,
            by: "folder".to_owned(),
            imports: BTreeSet::new(),
            rolled_back: false,
        }
    }

    fn history(dir: &Path) -> History {
        History::open(&OwnedFolder::open(dir).unwrap(), 3).unwrap()
    }

    fn activate(history: &History, name: &str, rolls_back: bool) {
        history.activate("p", kept(name), name.as_bytes(), None, rolls_back, &[]).unwrap();
    }

    fn target(history: &History, to: Option<&str>) -> Result<Digest, String> {
        history.of("p").unwrap().target(to).map(|kept| kept.digest).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn each_rollback_goes_one_further_back() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        assert!(target(&history, None).unwrap_err().contains("none is kept"));
        activate(&history, "a", false);
        assert!(target(&history, None).unwrap_err().contains("only the one in force"));
        activate(&history, "b", false);
        activate(&history, "c", false);
        assert_eq!(target(&history, None), Ok(Digest::of(b"b")));
        activate(&history, "b", true);
        assert_eq!(target(&history, None), Ok(Digest::of(b"a")));
        activate(&history, "a", true);
        assert!(target(&history, None).unwrap_err().contains("`--to`"));
        // One that was rolled back is a version like any other once it is back.
        activate(&history, "c", false);
        assert_eq!(target(&history, None), Ok(Digest::of(b"a")));
    }

    #[test]
    fn a_version_is_named_by_the_beginning_of_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        ["a", "b", "c"].iter().for_each(|name| activate(&history, name, false));
        let a = Digest::of(b"a");
        assert_eq!(target(&history, Some(&a.short())), Ok(a));
        assert!(target(&history, Some("")).unwrap_err().contains("several"));
        let missing = target(&history, Some("xyz")).unwrap_err();
        assert!(missing.contains(&a.short()), "{missing}");
    }

    #[test]
    fn the_last_versions_are_kept_and_their_bytes_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        ["a", "b", "c", "d"].iter().for_each(|name| activate(&history, name, false));
        history.tidy("p");
        assert_eq!(history.digests(&["p".to_owned()]), ["b", "c", "d"].map(|name| Digest::of(name.as_bytes())).into());
        assert!(history.read("p", Digest::of(b"a")).is_err());
        assert_eq!(history.read("p", Digest::of(b"b")).unwrap(), b"b");
        assert_eq!(history.of("p").unwrap().active().unwrap().digest, Digest::of(b"d"));
    }

    #[test]
    fn bytes_that_were_altered_are_not_given_and_are_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        activate(&history, "a", false);
        fs::write(dir.path().join("versions/p").join(file_name(Digest::of(b"a"))), "x").unwrap();
        assert!(history.read("p", Digest::of(b"a")).unwrap_err().to_string().contains("not what was written"));
        activate(&history, "a", false);
        assert_eq!(history.read("p", Digest::of(b"a")).unwrap(), b"a");
    }

    #[test]
    fn an_index_can_be_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        activate(&history, "a", false);
        let before = history.activate("p", kept("b"), b"b", Some(Digest::of(b"b")), false, &[]).unwrap();
        assert_eq!(history.of("p").unwrap().passed_over, Some(Digest::of(b"b")));
        history.restore("p", &before).unwrap();
        assert_eq!(history.of("p").unwrap(), before);
    }

    #[test]
    fn versions_that_are_not_kept_any_more_stay_known_as_older() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        let standing = || history.of("p").unwrap().standing();
        let ran = |name: &str, returns| Ran { digest: Digest::of(name.as_bytes()), returns };
        ["a", "b", "c", "d"].iter().for_each(|name| activate(&history, name, false));
        assert_eq!(history.of("p").unwrap().versions.len(), 3);
        assert!(standing().follows(Digest::of(b"d"), ran("a", 0)));
        assert!(!standing().follows(Digest::of(b"d"), ran("x", 0)));
        activate(&history, "c", true);
        assert_eq!(standing().returns, 1, "c came back");
        assert!(standing().follows(Digest::of(b"c"), ran("d", 0)));
        let other = [ran("x", 4)];
        history.activate("p", kept("c"), b"c", None, false, &other).unwrap();
        assert_eq!(standing().returns, 5, "the same version, on purpose after another host's");
        assert!(standing().follows(Digest::of(b"c"), other[0]));
        history.activate("p", kept("d"), b"d", None, false, &[ran("d", 6)]).unwrap();
        assert_eq!(standing().returns, 6, "as on the host that it follows");
    }

    #[test]
    fn a_damaged_index_is_an_error_and_no_empty_history() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path());
        activate(&history, "a", false);
        fs::write(dir.path().join("versions/p").join(INDEX), "{").unwrap();
        assert!(history.of("p").unwrap_err().to_string().contains("p/index.json"));
    }
}
