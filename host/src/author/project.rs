//! A plugin's project on disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{AuthorError, Language, World, files, name};

/// What is generated for tools, and not for the author to keep.
const GENERATED: &str = ".gregor";
/// A package below the author's Go module.
pub const BINDINGS: &str = "gregor";

#[derive(Debug)]
pub struct Project {
    pub dir: PathBuf,
    pub language: Language,
    /// The plugin's, which is also the component's file name.
    pub name: String,
    pub world: World,
}

/// What a project may say of itself in `plugin.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: Option<String>,
    world: Option<World>,
}

impl Project {
    /// Reads the project in `dir`. Its name is the package's, where its language has
    /// packages, else the folder's; `plugin.toml` may give another `name` and a `world`.
    ///
    /// # Errors
    /// When there is none, or what it says of itself cannot be read.
    pub fn open(dir: &Path) -> Result<Project, AuthorError> {
        let dir = dir.canonicalize().map_err(AuthorError::file(dir))?;
        let language = Language::of(&dir).ok_or_else(|| AuthorError::NoProject(dir.clone()))?;
        let settings: Settings = match read(&dir.join("plugin.toml"))? {
            Some(text) => toml::from_str(&text).map_err(|error| bad(&dir.join("plugin.toml"), &error.to_string()))?,
            None => Settings::default(),
        };
        let name = match settings.name {
            Some(name) => name,
            None => match package(&dir, language)? {
                Some(package) => name::of_package(&package),
                None => name::of_package(&dir.file_name().unwrap_or_default().to_string_lossy()),
            },
        };
        Ok(Project { dir, language, name, world: settings.world.unwrap_or(World::Plugin) })
    }

    /// A folder for what is generated, which asks to be left out of version control.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn generated(&self) -> Result<PathBuf, AuthorError> {
        let folder = self.dir.join(GENERATED);
        files::write(&folder.join(".gitignore"), b"*\n")?;
        Ok(folder)
    }

    /// Of Go: the package that bindings are written to.
    pub fn bindings(&self) -> PathBuf {
        self.dir.join(BINDINGS)
    }

    /// Where the component goes.
    pub fn component(&self) -> PathBuf {
        self.dir.join(format!("{}.wasm", self.name))
    }
}

/// The package's name, as the language's own file has it.
fn package(dir: &Path, language: Language) -> Result<Option<String>, AuthorError> {
    let in_toml = |file: &str, table: &str| {
        let file = dir.join(file);
        let Some(text) = read(&file)? else { return Ok(None) };
        let document: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(&file, &error.to_string()))?;
        Ok(document.get(table).and_then(|table| table.get("name")?.as_str().map(str::to_owned)))
    };
    match language {
        Language::Rust => in_toml("Cargo.toml", "package"),
        Language::Python => in_toml("pyproject.toml", "project"),
        Language::JavaScript | Language::TypeScript => {
            let file = dir.join("package.json");
            let text = read(&file)?.unwrap_or_default();
            let document: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| bad(&file, &error.to_string()))?;
            Ok(document["name"].as_str().map(str::to_owned))
        }
        Language::Go => Ok(module(&read(&dir.join("go.mod"))?.unwrap_or_default())),
        Language::C => Ok(None),
    }
}

/// A Go module's path, out of its `go.mod`.
pub fn module(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.trim().strip_prefix("module ")).map(|path| path.trim().to_owned())
}

fn read(file: &Path) -> Result<Option<String>, AuthorError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuthorError::file(file)(error)),
    }
}

fn bad(file: &Path, problem: &str) -> AuthorError {
    let first: Vec<&str> = problem.split_whitespace().collect();
    AuthorError::File { file: file.to_owned(), problem: format!("cannot be understood: {}", first.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(contents: &[(&str, &str)]) -> Result<Project, AuthorError> {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("the_folder");
        for (file, text) in contents {
            files::write(&dir.join(file), text.as_bytes()).unwrap();
        }
        Project::open(&dir)
    }

    #[test]
    fn its_name_is_the_packages_the_folders_or_its_own() {
        for (contents, name) in [
            (&[("Cargo.toml", "[package]\nname = \"last_location\"")][..], "last-location"),
            (&[("package.json", r#"{"name": "@ward/seen"}"#)], "seen"),
            (&[("go.mod", "// a comment\nmodule example.com/ward/far_off\n\ngo 1.25\n")], "far-off"),
            (&[("app.py", ""), ("pyproject.toml", "[project]\nname = \"near\"")], "near"),
            (&[("app.py", "")], "the-folder"),
            (&[("plugin.c", ""), ("plugin.toml", "name = \"own\"\nworld = \"timed-plugin\"")], "own"),
        ] {
            assert_eq!(project(contents).unwrap().name, name, "{contents:?}");
        }
    }

    #[test]
    fn what_it_says_of_itself_wrongly_is_named_with_its_file() {
        for (contents, file) in [
            (&[("Cargo.toml", "[package")][..], "Cargo.toml"),
            (&[("package.json", "{")], "package.json"),
            (&[("plugin.c", ""), ("plugin.toml", "wold = \"plugin\"")], "plugin.toml"),
        ] {
            let problem = project(contents).unwrap_err().to_string();
            assert!(problem.contains(file) && problem.lines().count() == 1, "{problem}");
        }
        assert!(matches!(project(&[("README.md", "")]), Err(AuthorError::NoProject(_))));
    }
}
