//! A component from a project: the language's own tool, and what it leaves to be done.

mod c;
mod go;
mod javascript;
mod python;
mod rust;

use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{AuthorError, Language, Project, name};
use crate::plugin::{Digest, Outline};

/// As for `gregor plugin check`: a host's own limit is in its configuration.
const MAX_SIZE: u64 = 1 << 30;

/// A world of the WIT. Rust's SDK takes the one that a plugin's traits ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    Plugin,
    TimedPlugin,
    FullPlugin,
}

impl World {
    pub fn name(self) -> &'static str {
        match self {
            World::Plugin => "plugin",
            World::TimedPlugin => "timed-plugin",
            World::FullPlugin => "full-plugin",
        }
    }
}

/// A component that a host would take, written to its file.
#[derive(Debug, Serialize)]
pub struct Built {
    pub plugin: String,
    pub language: Language,
    pub file: PathBuf,
    pub bytes: usize,
    pub digest: String,
    /// The largest world of which it has every export.
    pub world: String,
    /// The interfaces that it exports of the contract, without package and version.
    pub exports: Vec<String>,
    /// The interfaces that it imports, without versions.
    pub imports: Vec<String>,
}

/// Builds `project`, and writes the component to its [`Project::component`] in one move.
/// The tool's own lines go to standard error.
///
/// # Errors
/// When a part of the toolchain is missing, the tool or the making of the component
/// fails, or no host would take what came out.
pub fn build(project: &Project) -> Result<Built, AuthorError> {
    name::check(&project.name)?;
    let component = match project.language {
        Language::Rust => rust::build(project),
        Language::JavaScript | Language::TypeScript => javascript::build(project),
        Language::Python => python::build(project),
        Language::Go => go::build(project),
        Language::C => c::build(project),
    }?;
    let outline = Outline::read(&component, MAX_SIZE).map_err(AuthorError::Refused)?;
    let file = project.component();
    // Whole at once: a host may watch the folder.
    let partial = project.generated()?.join("component.partial");
    fs::write(&partial, &component).map_err(AuthorError::file(&partial))?;
    fs::rename(&partial, &file).map_err(AuthorError::file(&file))?;
    Ok(Built {
        plugin: project.name.clone(),
        language: project.language,
        file,
        bytes: component.len(),
        digest: Digest::of(&component).to_string(),
        world: outline.world().to_owned(),
        exports: outline.exports().map(str::to_owned).collect(),
        imports: outline.interfaces().into_iter().collect(),
    })
}
