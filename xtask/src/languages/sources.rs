//! The sources of a language's plugins: their copy to build in, and whether they
//! are what was built last.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Language, PLUGINS};

/// What tools leave behind where an author tried a plugin out.
const LEFT_OUT: [&str; 5] = ["node_modules", "__pycache__", ".gregor", "wit", "wit_world"];

/// Everything below `target` that this command makes.
pub fn folder() -> PathBuf {
    crate::root().join("target/guests")
}

/// Where a language's components go.
pub fn components(language: Language) -> PathBuf {
    folder().join(language.name())
}

/// The copy of its sources.
pub fn staged(language: Language) -> PathBuf {
    folder().join("build").join(language.name())
}

/// Copies its sources anew.
///
/// # Errors
/// When they cannot be read or written.
pub fn stage(language: Language) -> Result<PathBuf> {
    let stage = staged(language);
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    let root = crate::root().join("plugins").join(language.name());
    for (path, content) in files(&root)? {
        let to = stage.join(path);
        fs::create_dir_all(to.parent().unwrap_or(&stage))?;
        fs::write(&to, content).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(stage)
}

/// Deletes what the host's tests have compiled of earlier components; not their folder,
/// in which a test may be writing.
///
/// # Errors
/// When it cannot be deleted.
pub fn forget_code() -> Result<()> {
    let Ok(code) = fs::read_dir(folder().join("code")) else { return Ok(()) };
    for entry in code {
        match fs::remove_file(entry?.path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Files below `root` by their path, with what is in them.
fn files(root: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.file_name().is_some_and(|name| LEFT_OUT.iter().any(|left_out| *left_out == name)) {
                    folders.push(path);
                }
            } else {
                found.insert(path.strip_prefix(root)?.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// What a language was built from.
pub struct State {
    language: Language,
    digest: String,
}

impl State {
    /// # Errors
    /// When the sources cannot be read.
    pub fn of(language: Language) -> Result<State> {
        let root = crate::root();
        let mut hasher = DefaultHasher::new();
        let own = root.join("plugins").join(language.name());
        // How it is built counts as much as what.
        let how = ["wit/v1", "xtask/languages", "xtask/src/languages", "host/src/author"];
        for folder in [own].into_iter().chain(how.map(|folder| root.join(folder))) {
            for (path, content) in files(&folder)? {
                hasher.write(path.as_os_str().as_encoded_bytes());
                hasher.write_usize(content.len());
                hasher.write(&content);
            }
        }
        Ok(State { language, digest: format!("{:016x}", hasher.finish()) })
    }

    pub fn is_built(&self) -> bool {
        let there = |plugin: &str| components(self.language).join(format!("{plugin}.wasm")).is_file();
        self.is("built") && PLUGINS.iter().all(|plugin| there(plugin))
    }

    pub fn is_tested(&self) -> bool {
        self.is("tested")
    }

    /// # Errors
    /// When it cannot be written down.
    pub fn remember_built(&self) -> Result<()> {
        self.remember("built")
    }

    /// # Errors
    /// When it cannot be written down.
    pub fn remember_tested(&self) -> Result<()> {
        self.remember("tested")
    }

    fn is(&self, what: &str) -> bool {
        fs::read_to_string(components(self.language).join(what)).is_ok_and(|digest| digest == self.digest)
    }

    fn remember(&self, what: &str) -> Result<()> {
        Ok(fs::write(components(self.language).join(what), &self.digest)?)
    }
}
