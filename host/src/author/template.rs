//! New projects.

use std::fs;
use std::path::Path;

use super::files::{self, Embedded};
use super::{AuthorError, Language, Project, name, sdk};

/// A folder for each language. A file's name and, where it is text, its content may hold
/// `{{name}}`, `{{module}}` (the name with `_`) and `{{version}}` (of Gregor); the ending
/// `.tmpl`, of files that a tool would take for its own here, goes.
const TEMPLATES: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// Writes a project called `name` into `dir`, which is missing or empty.
///
/// # Errors
/// When `name` is none, the folder is in use, or it cannot be written.
pub fn new(name: &str, language: Language, dir: &Path) -> Result<Project, AuthorError> {
    name::check(name)?;
    if dir.exists() {
        let mut entries = fs::read_dir(dir).map_err(AuthorError::file(dir))?;
        if entries.next().is_some() {
            return Err(AuthorError::Occupied(dir.to_owned()));
        }
    }
    for (path, content) in of(language) {
        let path = fill(path, name);
        let file = dir.join(path.strip_suffix(".tmpl").unwrap_or(&path));
        match std::str::from_utf8(content) {
            Ok(text) => files::write(&file, fill(text, name).as_bytes())?,
            Err(_) => files::write(&file, content)?,
        }
    }
    let project = Project::open(dir)?;
    if language == Language::Rust {
        sdk::restore(&project)?;
    }
    Ok(project)
}

fn of(language: Language) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    TEMPLATES
        .iter()
        .filter_map(move |(path, content)| Some((path.strip_prefix(language.folder())?.strip_prefix('/')?, *content)))
}

fn fill(text: &str, name: &str) -> String {
    text.replace("{{name}}", name)
        .replace("{{module}}", &name::module(name))
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn a_project_has_its_name_cases_and_a_readme() {
        for language in Language::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("ward-watch");
            let project = new("ward-watch", *language, &dir).unwrap();
            assert_eq!((project.language, project.name.as_str()), (*language, "ward-watch"));
            let readme = fs::read_to_string(dir.join("README.md")).unwrap();
            assert!(readme.contains("gregor plugin test"), "{language:?}");
            assert!(dir.join("cases").read_dir().unwrap().count() > 0, "{language:?}");
            assert!(dir.join(".gitignore").is_file(), "{language:?}");
        }
    }

    #[test]
    fn nothing_of_a_template_is_left_unfilled() {
        for (path, content) in TEMPLATES {
            let filled = fill(path, "x") + &fill(&String::from_utf8_lossy(content), "x");
            assert!(!filled.contains("{{"), "{path}");
        }
    }

    #[test]
    fn a_folder_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "mine").unwrap();
        assert!(matches!(new("seen", Language::Rust, folder.path()), Err(AuthorError::Occupied(_))));
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_empty_folder_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        assert!(new("seen", Language::Rust, folder.path()).is_ok());
    }
}
