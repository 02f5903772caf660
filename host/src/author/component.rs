//! A component out of a core module.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::{AuthorError, World, contract};

/// Tells `core` which world it was written for: a module whose language's tool does not.
///
/// # Errors
/// When it is no core module.
pub fn embed(core: &mut Vec<u8>, world: World) -> Result<(), AuthorError> {
    let (resolve, id) = contract::resolve(world)?;
    embed_component_metadata(core, &resolve, id, StringEncoding::UTF8).map_err(problem)
}

/// Makes `core`, which knows its world, a component. What it imports of WASI's first
/// preview is adapted to the second.
///
/// # Errors
/// When its imports or exports are not those of its world.
pub fn encode(core: &[u8]) -> Result<Vec<u8>, AuthorError> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
        })
        .and_then(ComponentEncoder::encode)
        .map_err(problem)
}

fn problem(error: anyhow::Error) -> AuthorError {
    AuthorError::Component(format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "))
}
