//! The worlds of `wit/`, one module for each major version.

pub mod v1;
