//! Own counters and gauges: `gregor_plugin_<name>_total` and
//! `gregor_plugin_<name>`. Names are of lower case letters, digits and `_`. Never
//! put a key in a name.

#[cfg(target_arch = "wasm32")]
pub use crate::bindings::gregor::plugin::metrics::{count, observe};
#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::imports::metrics::{count, observe};
