//! What the author of a plugin needs before there is one to deploy: a project from a
//! template, and a component from a project, in any of the languages.
//!
//! A [`Project`] is a folder in one [`Language`]; [`build`] runs that language's own
//! tool on it and does the rest itself: the WIT ([`contract`]), generated bindings, the
//! making of a component out of a core module. Nothing here runs a plugin.

mod build;
mod component;
mod contract;
mod error;
mod files;
mod language;
mod name;
mod project;
mod sdk;
mod template;
mod tool;

pub use build::{Built, World, build};
pub use error::AuthorError;
pub use language::Language;
pub use project::Project;
pub use template::new;
