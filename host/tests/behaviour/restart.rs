//! A host that stops and starts again.
