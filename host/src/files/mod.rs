//! Files by whom they belong to: those that others put there ([`foreign`]),
//! those that nobody else may read ([`private`]), and the host's own folder
//! ([`DataDir`]), whose files are opened below its descriptor ([`OwnedFolder`]).

mod data_dir;
pub mod foreign;
mod owned;
pub mod private;

pub use data_dir::{DataDir, DataDirError};
pub use owned::OwnedFolder;
