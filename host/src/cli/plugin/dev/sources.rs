//! Sources of a project, looked at again and again: folders on any file system, also
//! behind links, and none of what a build leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::author::{Language, Project};

/// Between two looks, at least.
const LOOK: Duration = Duration::from_millis(300);
/// Of the time, at most one part in so many is spent on looking.
const PARTS: u32 = 10;
/// Folders that tools fill under no other name.
const TOOLS_OWN: [&str; 2] = ["node_modules", "__pycache__"];
/// What marks a folder as a tool's: caches, as cargo's `target`, and virtual environments.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", "pyvenv.cfg"];
/// Hidden, and read by a build.
const SETTINGS: [&str; 2] = [".cargo", ".npmrc"];
/// What a build writes where it is missing, and reads where it is there.
const KEPT: [&str; 3] = ["Cargo.lock", "go.sum", "vendor/gregor-sdk"];

/// Length, and times of the last change of content and of anything: a copy may keep the first.
type Stamp = (u64, (i64, i64), (i64, i64));

pub struct Sources {
    dir: PathBuf,
    /// What the build writes among them.
    written: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Stamp>,
}

impl Sources {
    /// Those of `project` as they are now.
    pub fn of(project: &Project) -> Sources {
        let mut written = vec![project.component()];
        if project.language == Language::Go {
            written.push(project.bindings());
        }
        let mut sources = Sources { dir: project.dir.clone(), written, seen: BTreeMap::new() };
        sources.seen = sources.look();
        sources
    }

    /// Takes what a build has written for itself as seen; other changes since are still to come.
    pub fn built(&mut self) {
        let kept = KEPT.map(|name| self.dir.join(name));
        let is_kept = |path: &PathBuf| kept.iter().any(|kept| path.starts_with(kept));
        self.seen.retain(|path, _| !is_kept(path));
        let now = self.look();
        self.seen.extend(now.into_iter().filter(|(path, _)| is_kept(path)));
    }

    /// Returns once they have changed since this was last asked, and rest again: an editor
    /// or a checkout may write many.
    pub fn wait_for_change(&mut self) {
        let mut before = std::mem::take(&mut self.seen);
        let first = before.clone();
        let mut took = Duration::ZERO;
        loop {
            std::thread::sleep(LOOK.max(took * PARTS));
            let since = Instant::now();
            let now = self.look();
            took = since.elapsed();
            if now == before && now != first {
                self.seen = now;
                return;
            }
            before = now;
        }
    }

    fn look(&self) -> BTreeMap<PathBuf, Stamp> {
        let (mut seen, mut folders) = (BTreeMap::new(), BTreeSet::new());
        self.gather(&self.dir, &mut seen, &mut folders);
        seen
    }

    /// `folders`: those that are known, by device and number. Links may lead in circles.
    fn gather(&self, folder: &Path, seen: &mut BTreeMap<PathBuf, Stamp>, folders: &mut BTreeSet<(u64, u64)>) {
        let is_new = fs::metadata(folder).is_ok_and(|it| folders.insert((it.dev(), it.ino())));
        if !is_new || MARKS.iter().any(|mark| folder.join(mark).is_file()) {
            return;
        }
        // What goes away meanwhile is a change that the next look finds.
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            // Hidden ones, and the copies that editors keep beside a file.
            let hidden = name.starts_with(['.', '#']) && !SETTINGS.contains(&name.as_str());
            if hidden || name.ends_with('~') || self.written.contains(&path) {
                continue;
            }
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if TOOLS_OWN.contains(&name.as_str()) {
                self.gather_linked(&path, seen, folders);
            } else if metadata.is_dir() {
                self.gather(&path, seen, folders);
            } else {
                seen.insert(path, stamp(&metadata));
            }
        }
    }

    /// Packages that npm has linked from elsewhere: somebody works on them there.
    fn gather_linked(&self, folder: &Path, seen: &mut BTreeMap<PathBuf, Stamp>, folders: &mut BTreeSet<(u64, u64)>) {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if kind.is_symlink() && path.is_dir() {
                self.gather(&path, seen, folders);
            } else if kind.is_dir() && entry.file_name().as_encoded_bytes().starts_with(b"@") {
                self.gather_linked(&path, seen, folders);
            }
        }
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.len(), (metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Of a project called `own`, in the language that has `marker`.
    fn sources(folder: &Path, marker: &str) -> Sources {
        write(&folder.join(marker), if marker == "go.mod" { "module example.com/own" } else { "name = \"own\"" });
        write(&folder.join("plugin.toml"), "name = \"own\"");
        Sources::of(&Project::open(folder).unwrap())
    }

    #[test]
    fn a_build_is_no_change_and_an_edit_is() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().canonicalize().unwrap();
        write(&dir.join("src/lib.rs"), "one");
        let mut sources = sources(&dir, "Cargo.toml");
        for left in [
            "target/CACHEDIR.TAG",
            "target/release/x.d",
            "env/pyvenv.cfg",
            "env/lib/site.py",
            ".gregor/wit/plugin.wit",
            ".git/index",
            "own.wasm",
            "node_modules/a/b.js",
            "src/__pycache__/a.pyc",
            "src/lib.rs~",
            "src/.lib.rs.swp",
            "src/#lib.rs#",
        ] {
            write(&dir.join(left), "x");
        }
        assert_eq!(sources.look(), sources.seen);
        write(&dir.join("Cargo.lock"), "written by the build");
        write(&dir.join("vendor/gregor-sdk/src/lib.rs"), "written by the build");
        sources.built();
        assert_eq!(sources.look(), sources.seen);
        write(&dir.join("src/lib.rs"), "another");
        write(&dir.join("src/new.rs"), "");
        sources.wait_for_change();
        assert!(sources.seen.contains_key(&dir.join("src/new.rs")));
    }

    #[test]
    fn all_that_a_build_may_read_is_watched() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = folder.path().canonicalize().unwrap();
        fs::create_dir_all(elsewhere.path().join("linked")).unwrap();
        fs::create_dir_all(dir.join("node_modules/@ward")).unwrap();
        symlink(elsewhere.path().join("linked"), dir.join("linked")).unwrap();
        symlink(elsewhere.path().join("package"), dir.join("node_modules/@ward/package")).unwrap();
        symlink(elsewhere.path().join("file.txt"), dir.join("file.txt")).unwrap();
        symlink(&dir, dir.join("circle")).unwrap();
        let sources = sources(&dir, "Cargo.toml");
        let mut before = sources.look();
        for file in [
            dir.join("build/mod.rs"),
            dir.join("vendor/lib/lib.rs"),
            dir.join("vendor/gregor-sdk/src/lib.rs"),
            dir.join("src/target/mod.rs"),
            dir.join("gregor/own.rs"),
            dir.join("venv/own.py"),
            dir.join("model.wasm"),
            dir.join("Cargo.lock"),
            dir.join(".cargo/config.toml"),
            elsewhere.path().join("linked/lib.rs"),
            elsewhere.path().join("package/index.js"),
            elsewhere.path().join("file.txt"),
        ] {
            write(&file, "one");
            let one = sources.look();
            assert_ne!(one, before, "{} is new", file.display());
            write(&file, "two, longer");
            before = sources.look();
            assert_ne!(one, before, "{} has changed", file.display());
        }
    }

    #[test]
    fn bindings_are_no_sources_in_go() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().canonicalize().unwrap();
        let sources = sources(&dir, "go.mod");
        write(&dir.join("gregor/gregor.go"), "package gregor");
        assert_eq!(sources.look(), sources.seen);
        write(&dir.join("ward/gregor/own.go"), "package gregor");
        assert_ne!(sources.look(), sources.seen);
    }
}
