//! Compiled code that the hosts of all tests share: a plugin is compiled once, not by each
//! of them.
//!
//! A host runs no code but what its own file name and checksum say, and compiles what is not
//! there; tests of that begin with [`Setup::with_nothing_compiled`](super::Setup).

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::unique;

/// Code that no run asked for in this time is of plugins that changed.
const OLD: Duration = Duration::from_secs(24 * 3_600);

static SHARED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    fs::create_dir_all(&folder).expect("a folder for code");
    for file in files(&folder) {
        let age = fs::metadata(&file).and_then(|file| file.modified()).map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > OLD) {
            // Another run may have done so.
            let _ = fs::remove_file(&file);
        }
    }
    folder
});

/// Puts the code of the plugins beside `config` into a host's new folder; false where it
/// had one.
pub fn bring(config: &Path, data: &Path) -> bool {
    if data.exists() {
        return false;
    }
    let plugins = files(&config.with_file_name("plugins"));
    let known = files(&SHARED);
    let mut wanted = Vec::new();
    for bytes in plugins.iter().filter_map(|plugin| fs::read(plugin).ok()) {
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        wanted.extend(known.iter().filter(|file| name(file).starts_with(&digest)));
    }
    if wanted.is_empty() {
        return true;
    }
    let folder = data.join("compiled");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).expect("a folder of the host");
    for file in wanted {
        // One that another run removed is compiled.
        let _ = fs::copy(file, folder.join(name(file)));
    }
    true
}

/// Keeps what a host compiled.
pub fn keep(data: &Path) {
    for file in files(&data.join("compiled")) {
        let kept = SHARED.join(name(&file));
        if !kept.exists() && name(&file).ends_with(".cwasm") {
            let unfinished = SHARED.join(unique());
            let copied = fs::copy(&file, &unfinished).and_then(|_| fs::rename(&unfinished, &kept));
            copied.expect("the folder takes code");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
