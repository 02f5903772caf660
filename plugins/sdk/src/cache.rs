//! Entries of this stage for the current topic partition: bytes under keys of 1
//! to 512 bytes of UTF-8. What a record writes is undone when it fails.
//! [`state`](crate::state) has the same with types.

pub use crate::bindings::gregor::plugin::cache::Error;
#[cfg(target_arch = "wasm32")]
pub use crate::bindings::gregor::plugin::cache::{delete, get, get_many, increment, scan, set};
#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::imports::cache::{delete, get, get_many, increment, scan, set};
