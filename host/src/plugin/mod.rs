//! Everything that touches wasmtime.
//!
//! [`Engine`] limits; [`Outline`] is what a component says of itself before it
//! is compiled, in a process apart ([`Compiler`]) whose code is kept
//! ([`CodeFolder`]); [`Version`] is one checked, compiled artefact; [`Instance`]
//! is a live copy of it for one task; [`Failure`] says why a call gave no
//! outputs, and a [`Capsule`] lets a call that failed happen again. `imports`,
//! `keyvalue` and `wasi` are what a plugin can call.

pub mod abi;
mod artefact;
mod call;
mod capsule;
mod code;
pub mod compiler;
mod counts;
mod engine;
mod failure;
mod imports;
mod instance;
mod keyvalue;
mod limits;
mod lines;
mod outline;
mod refused;
mod wasi;

pub use artefact::{Digest, Version};
pub use call::Call;
pub use capsule::{Capsule, Ending};
pub use code::{CodeFolder, Source};
pub use compiler::Compiler;
pub use counts::Counts;
pub use engine::Engine;
pub use failure::{Blame, Failure};
pub use instance::{Emitted, EmittedHeader, Instance};
pub use limits::{Refusals, Soft};
pub use outline::Outline;
pub use refused::Refused;
