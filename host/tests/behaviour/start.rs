//! What a host refuses to start with.
