//! The languages that plugins are written in.

use std::fs;
use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Rust,
    #[value(name = "js", alias = "javascript")]
    JavaScript,
    #[value(name = "ts", alias = "typescript")]
    TypeScript,
    Python,
    Go,
    C,
}

impl Language {
    /// What `folder` is written in, by the file that its language's own tool looks for.
    pub fn of(folder: &Path) -> Option<Language> {
        let has = |name: &str| folder.join(name).is_file();
        if has("Cargo.toml") {
            Some(Language::Rust)
        } else if has("go.mod") {
            Some(Language::Go)
        } else if has("package.json") {
            Some(if any_source(folder, "ts") { Language::TypeScript } else { Language::JavaScript })
        } else if has("app.py") {
            Some(Language::Python)
        } else {
            any_source(folder, "c").then_some(Language::C)
        }
    }

    /// What puts the tools of a new project in place, where they are not the machine's own;
    /// to be run in its folder.
    pub fn install(self) -> Option<&'static str> {
        match self {
            Language::Rust => Some("rustup target add wasm32-wasip2"),
            Language::JavaScript | Language::TypeScript => Some("npm install"),
            Language::Python => Some("pip install componentize-py==0.25.1"),
            Language::C => Some("pip install ziglang==0.17.1"),
            Language::Go => None,
        }
    }

    /// Its folder of templates.
    pub fn folder(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::JavaScript => "javascript",
            Language::TypeScript => "typescript",
            Language::Python => "python",
            Language::Go => "go",
            Language::C => "c",
        }
    }
}

/// Whether there is a file with this ending, in the folder or in its `src`.
fn any_source(folder: &Path, ending: &str) -> bool {
    [folder.to_owned(), folder.join("src")].iter().filter_map(|place| fs::read_dir(place).ok()).flatten().any(|entry| {
        entry.is_ok_and(|entry| {
            let path = entry.path();
            path.is_file()
                && path.extension().is_some_and(|found| found == ending)
                && !entry.file_name().to_string_lossy().ends_with(".d.ts")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_the_file_that_its_tool_looks_for() {
        for (files, language) in [
            (&["Cargo.toml", "src/lib.rs"][..], Some(Language::Rust)),
            (&["go.mod", "main.go"], Some(Language::Go)),
            (&["package.json", "plugin.js"], Some(Language::JavaScript)),
            (&["package.json", "plugin.js", "types.d.ts"], Some(Language::JavaScript)),
            (&["package.json", "src/plugin.ts"], Some(Language::TypeScript)),
            (&["app.py"], Some(Language::Python)),
            (&["plugin.c"], Some(Language::C)),
            (&["src/plugin.c"], Some(Language::C)),
            (&["README.md", "plugin.wasm"], None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                super::super::files::write(&folder.path().join(file), b"").unwrap();
            }
            assert_eq!(Language::of(folder.path()), language, "{files:?}");
        }
    }
}
