//! Sources of a project, looked at again and again: folders on any file system, and none
//! of what a build leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);
/// What builds and tools write. `gregor` is Go's package of bindings.
const LEFT_OUT: [&str; 8] =
    ["target", "node_modules", "__pycache__", "venv", "vendor", "gregor", "build", "Cargo.lock"];

pub struct Sources {
    dir: PathBuf,
    /// When each was changed last, and how long it is.
    seen: BTreeMap<PathBuf, (Option<SystemTime>, u64)>,
}

impl Sources {
    /// Those in `dir` as they are now.
    pub fn of(dir: &Path) -> Sources {
        let mut sources = Sources { dir: dir.to_owned(), seen: BTreeMap::new() };
        sources.seen = sources.look();
        sources
    }

    /// Returns once they have changed since this was last asked, and rest again: an editor
    /// or a checkout may write many.
    pub fn wait_for_change(&mut self) {
        let mut before = std::mem::take(&mut self.seen);
        let first = before.clone();
        loop {
            std::thread::sleep(LOOK);
            let now = self.look();
            if now == before && now != first {
                self.seen = now;
                return;
            }
            before = now;
        }
    }

    fn look(&self) -> BTreeMap<PathBuf, (Option<SystemTime>, u64)> {
        let mut seen = BTreeMap::new();
        gather(&self.dir, &mut seen);
        seen
    }
}

fn gather(folder: &Path, seen: &mut BTreeMap<PathBuf, (Option<SystemTime>, u64)>) {
    // What goes away meanwhile is a change that the next look finds.
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let Ok(metadata) = entry.metadata() else { continue };
        // Hidden ones, and the copies that editors keep beside a file.
        if name.starts_with(['.', '#']) || name.ends_with('~') || LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        if metadata.is_dir() {
            gather(&path, seen);
        } else if path.extension().is_none_or(|ending| ending != "wasm") {
            seen.insert(path, (metadata.modified().ok(), metadata.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_no_change_and_an_edit_is() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("src/lib.rs", "one");
        let mut sources = Sources::of(folder.path());
        for left in [
            "target/release/x.d",
            ".gregor/wit/plugin.wit",
            "own.wasm",
            "node_modules/a/b.js",
            "Cargo.lock",
            "src/lib.rs~",
            "src/.lib.rs.swp",
            "src/#lib.rs#",
        ] {
            write(left, "x");
        }
        assert_eq!(sources.look(), sources.seen);
        write("src/lib.rs", "another");
        write("src/new.rs", "");
        sources.wait_for_change();
        assert_eq!(sources.seen.len(), 2);
    }
}
