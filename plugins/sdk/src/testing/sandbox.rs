use std::cell::RefCell;
use std::collections::BTreeMap;

use super::store::Store;
use super::timers::Timers;
use crate::bindings::gregor::plugin::timers::Domain;
use crate::config::Kept;
use crate::logging::Level;

/// A line that the plugin logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// How grave.
    pub level: Level,
    /// The module that logged it, where a macro did.
    pub context: String,
    /// What it says.
    pub text: String,
}

/// What a plugin can reach of its host.
#[derive(Default)]
pub struct Sandbox {
    pub cache: Store,
    pub event_timers: Timers,
    pub processing_timers: Timers,
    /// Whether the plugin exports `Timed`, and so may have timers.
    pub timed: bool,
    pub watermark: Option<u64>,
    /// Processing time, milliseconds since the Unix epoch.
    pub now: u64,
    pub config: BTreeMap<String, String>,
    pub lines: Vec<Line>,
    pub counts: BTreeMap<String, u64>,
    pub gauges: BTreeMap<String, f64>,
    /// The instance's own values.
    pub kept: Kept,
}

impl Sandbox {
    pub fn timers(&mut self, domain: Domain) -> &mut Timers {
        match domain {
            Domain::EventTime => &mut self.event_timers,
            Domain::ProcessingTime => &mut self.processing_timers,
        }
    }

    pub fn keep(&mut self) {
        self.cache.keep();
        self.event_timers.keep();
        self.processing_timers.keep();
    }

    pub fn undo(&mut self) {
        self.cache.undo();
        self.event_timers.undo();
        self.processing_timers.undo();
    }

    /// Lends itself to what `call` calls of the host.
    pub fn lend<R>(&mut self, call: impl FnOnce() -> R) -> R {
        /// Takes the sandbox back also when the call panics.
        struct Lent<'a>(&'a mut Sandbox);
        impl Drop for Lent<'_> {
            fn drop(&mut self) {
                if let Some(sandbox) = CURRENT.take() {
                    *self.0 = sandbox;
                }
            }
        }
        CURRENT.set(Some(std::mem::take(self)));
        let _lent = Lent(self);
        call()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Sandbox>> = const { RefCell::new(None) };
}

/// What the host's interfaces do with the sandbox of the call in work.
///
/// # Panics
/// Where there is none.
#[track_caller]
pub fn within<R>(look: impl FnOnce(&mut Sandbox) -> R) -> R {
    CURRENT.with_borrow_mut(|current| match current {
        Some(sandbox) => look(sandbox),
        None => panic!("only a host can answer this: in tests, call the plugin through a PluginTester"),
    })
}
