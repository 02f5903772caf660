//! Folders that the binary carries: what `gregor plugin new` and `build` write.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Never sources: what tools leave in a folder that someone tried out.
const LEFT_OUT: [&str; 7] = ["target", "node_modules", "__pycache__", ".venv", ".gregor", ".DS_Store", "wit_world"];

/// Writes a Rust expression to `out`: a slice of each file's path below
/// `folder`, with `/`, and its bytes; by path.
///
/// # Errors
/// When the folder cannot be read or `out` cannot be written.
pub fn folder(folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    gather(folder, "", &mut files)?;
    files.sort();
    let mut text = String::from("&[\n");
    for path in files {
        let full = folder.join(&path).canonicalize()?;
        writeln!(text, "    ({path:?}, include_bytes!({:?})),", full.to_str().ok_or("a path that is not UTF-8")?)?;
    }
    text.push_str("]\n");
    Ok(fs::write(out, text)?)
}

fn gather(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| "a name that is not UTF-8")?;
        let path = format!("{prefix}{name}");
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        } else if entry.path().is_dir() {
            gather(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
