//! Lines that a plugin logs or prints: off unless the stage's `log` asks for
//! them, as their text may hold what a record holds; capped in length and rate.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::LogLevel;

use crate::plan::Scope;

/// Bytes of one line that are shown.
const MAX_LINE: usize = 4 << 10;

/// The lines of one instance.
#[derive(Clone)]
pub struct Lines {
    scope: Arc<Scope>,
    budget: Arc<Mutex<Budget>>,
}

#[derive(Default)]
struct Budget {
    /// Second (of the records' poll time) that the rest is for.
    second: u64,
    left: u32,
    /// Lines that this second lost.
    dropped: u64,
    /// Lines lost since this was last asked for.
    lost: u64,
}

impl Lines {
    pub fn new(scope: Arc<Scope>) -> Lines {
        Lines { scope, budget: Arc::default() }
    }

    /// Gives the second of `now_ms` its lines, and says how many the one before lost.
    pub fn refill(&self, now_ms: u64) {
        if self.scope.log.is_none() {
            return;
        }
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now_ms / 1_000;
        if second == budget.second {
            return;
        }
        let dropped = std::mem::take(&mut budget.dropped);
        (budget.second, budget.left) = (second, self.scope.limits.log_lines);
        if dropped > 0 {
            let Scope { pipeline, stage, .. } = &*self.scope;
            let limit = self.scope.limits.log_lines;
            tracing::warn!(target: "gregor::guest", pipeline, stage, dropped, limit, "lines past `log-lines` a second were dropped");
        }
    }

    /// How many lines were dropped since this was last asked.
    pub fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.budget.lock().unwrap_or_else(PoisonError::into_inner).lost)
    }

    /// Whether a line of this level would be looked at, let alone kept.
    pub fn admits(&self, level: LogLevel) -> bool {
        self.scope.log.is_some_and(|least| level >= least)
    }

    /// Writes a line if the stage's `log` admits its level and the second has lines left.
    pub fn write(&self, level: LogLevel, context: &str, text: &str) {
        if !self.admits(level) {
            return;
        }
        {
            let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
            if budget.left == 0 {
                budget.dropped += 1;
                budget.lost += 1;
                return;
            }
            budget.left -= 1;
        }
        let Scope { pipeline, stage, .. } = &*self.scope;
        // Debug form: a guest's control characters must not forge lines of ours.
        let (context, text) = (shortened(context), shortened(text));
        match level {
            LogLevel::Trace => tracing::trace!(target: "gregor::guest", pipeline, stage, ?context, "{text:?}"),
            LogLevel::Debug => tracing::debug!(target: "gregor::guest", pipeline, stage, ?context, "{text:?}"),
            LogLevel::Info => tracing::info!(target: "gregor::guest", pipeline, stage, ?context, "{text:?}"),
            LogLevel::Warn => tracing::warn!(target: "gregor::guest", pipeline, stage, ?context, "{text:?}"),
            LogLevel::Error => tracing::error!(target: "gregor::guest", pipeline, stage, ?context, "{text:?}"),
        }
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_LINE)]
}
