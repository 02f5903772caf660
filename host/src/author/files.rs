//! Files that the binary carries, as `host/build.rs` has gathered them.

use std::fs;
use std::path::Path;

use super::AuthorError;

/// A path below its folder, and what is in it.
pub type Embedded = (&'static str, &'static [u8]);

/// Writes `content` to `file`, making its folder; a file that has it already is left
/// alone, so that nothing is built anew for it.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &Path, content: &[u8]) -> Result<(), AuthorError> {
    if fs::read(file).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(AuthorError::file(folder))?;
    }
    fs::write(file, content).map_err(AuthorError::file(file))
}
