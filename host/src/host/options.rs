//! How a host is started.

use std::sync::{Arc, OnceLock};

/// How a host is started, besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Process up to the end offsets found at start, then stop.
    pub bounded: bool,
    /// This process is `gregor`, which compiles plugins in a process apart.
    pub apart: bool,
    /// Asked once before the first worker starts.
    pub begin: Begin,
}

/// Whether the first worker starts, or the host is not to start any more: the one
/// that comes first holds. Until then nothing is processed, and the process may
/// end at any moment. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Begin(Arc<OnceLock<bool>>);

impl Begin {
    /// Says that the host is not to start any more; whether that comes in time.
    pub fn cancel(&self) -> bool {
        !self.0.get_or_init(|| false)
    }

    pub(super) fn begin(&self) -> bool {
        *self.0.get_or_init(|| true)
    }
}
