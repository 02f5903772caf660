//! Bindings for Go and C.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_component::{StringEncoding, embed_component_metadata};

/// The world that the plugins of this repository are written for.
pub const WORLD: &str = "plugin";

/// Which language's bindings.
#[derive(Clone, Copy)]
pub enum Bindings {
    C,
    Go,
}

fn world() -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(crate::root().join("wit/v1"))?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    Ok((resolve, world))
}

/// Writes what a plugin is compiled with into `folder`.
///
/// # Errors
/// When wit/v1 does not parse or the folder does not take the files.
pub fn bind(language: Bindings, folder: &Path) -> Result<()> {
    let (mut resolve, world) = world()?;
    let mut generator = match language {
        Bindings::C => wit_bindgen_c::Opts::default().build(),
        Bindings::Go => wit_bindgen_go::Opts {
            pkg_name: Some("gregor-plugins/wit".to_owned()),
            export_pkg_name: Some("gregor-plugins/sdk".to_owned()),
            ..Default::default()
        }
        .build(),
    };
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, text) in files.iter() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Tells `module` which world it was written for: Go's tool does not.
///
/// # Errors
/// When wit/v1 does not parse or it is no module.
pub fn embed(module: &mut Vec<u8>) -> Result<()> {
    let (resolve, world) = world()?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)
}
