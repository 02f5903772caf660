//! Why there is no project, or no component; each says what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::plugin::Refused;

#[derive(Debug, thiserror::Error)]
pub enum AuthorError {
    #[error(
        "{} is no plugin's project: it has no Cargo.toml, package.json, app.py, go.mod or C source; `gregor plugin new` makes one",
        .0.display()
    )]
    NoProject(PathBuf),
    #[error("{name:?} is not a plugin's name: {problem}")]
    Name { name: String, problem: String },
    #[error("{} is there already and not empty: name another folder with --dir, or empty it", .0.display())]
    Occupied(PathBuf),
    #[error("{} {problem}", file.display())]
    File { file: PathBuf, problem: String },
    /// A part of the language's toolchain.
    #[error("{missing} is missing: {remedy}")]
    Missing { missing: String, remedy: String },
    #[error("{tool} failed ({status}): its lines are above")]
    Tool { tool: String, status: String },
    #[error("no component could be made of it: {0}")]
    Component(String),
    #[error("it is built, but a host would refuse it: {0}")]
    Refused(Refused),
}

/// What the makers of bindings and components say, in one line.
impl From<anyhow::Error> for AuthorError {
    fn from(error: anyhow::Error) -> AuthorError {
        AuthorError::Component(format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl AuthorError {
    pub(super) fn file(file: &Path) -> impl FnOnce(io::Error) -> AuthorError {
        move |error| AuthorError::File { file: file.to_owned(), problem: format!("cannot be read or written: {error}") }
    }

    /// 2 what was asked for, 4 a component that no host takes, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            AuthorError::NoProject(_) | AuthorError::Name { .. } | AuthorError::Occupied(_) => 2,
            AuthorError::Refused(_) => 4,
            _ => 1,
        }
    }
}
