//! The WIT that plugins are built with, out of the binary.

use std::path::Path;

use wit_parser::{Resolve, WorldId};

use super::files::{self, Embedded};
use super::{AuthorError, World};

const WIT: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/wit.rs"));

/// Writes it to `folder`, for tools that want one.
///
/// # Errors
/// When it cannot be written.
pub fn lay_out(folder: &Path) -> Result<(), AuthorError> {
    WIT.iter().try_for_each(|(path, content)| files::write(&folder.join(path), content))
}

/// All of it, for a digest of what a component is made of.
pub fn content() -> impl Iterator<Item = &'static [u8]> {
    WIT.iter().map(|(_, content)| *content)
}

/// `world` of it, read.
///
/// # Errors
/// Never with the WIT that this binary carries.
pub fn resolve(world: World) -> Result<(Resolve, WorldId), AuthorError> {
    let broken = |error: anyhow::Error| AuthorError::Component(format!("the WIT: {error:#}"));
    let mut resolve = Resolve::default();
    let (deps, own): (Vec<_>, Vec<_>) = WIT.iter().partition(|(path, _)| path.starts_with("deps/"));
    let mut package = None;
    for (path, content) in deps.into_iter().chain(own) {
        let text = std::str::from_utf8(content).map_err(|error| broken(error.into()))?;
        package = Some(resolve.push_source(path, text).map_err(broken)?);
    }
    let packages: Vec<_> = package.into_iter().collect();
    let world = resolve.select_world(&packages, Some(world.name())).map_err(broken)?;
    Ok((resolve, world))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_world_is_read_out_of_the_binary() {
        for world in [World::Plugin, World::TimedPlugin, World::FullPlugin] {
            let (resolve, id) = resolve(world).unwrap();
            assert_eq!(resolve.worlds[id].name, world.name());
        }
    }

    #[test]
    fn the_laid_out_folder_is_a_package_with_its_dependencies() {
        let folder = tempfile::tempdir().unwrap();
        lay_out(folder.path()).unwrap();
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(folder.path()).unwrap();
        assert_eq!(resolve.packages[package].name.to_string(), "gregor:plugin@1.0.0");
        assert!(resolve.packages.iter().any(|(_, package)| package.name.name == "logging"));
    }
}
