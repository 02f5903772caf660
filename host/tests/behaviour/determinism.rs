//! The same record gives the same outputs.
