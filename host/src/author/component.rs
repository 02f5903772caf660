//! A component out of a core module, for `gregor plugin build`; and for xtask, which has
//! this file as its own rather than wait for the whole host to compile.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

/// Makes `core`, which knows its world, a component. What it imports of WASI's first
/// preview is adapted to the second.
///
/// # Errors
/// When its imports or exports are not those of its world.
pub fn encode(core: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
}
