//! The worlds of `wit/`, one module for each major version, and the standard
//! interfaces beside them.

pub mod keyvalue;
pub mod v1;
