//! State that does not belong to the group's committed offset, and what someone
//! decides about it.

use std::fmt;

use crate::config::OnMismatch;
use crate::plan::StoreId;

/// What becomes of state that does not belong to the group's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Records go on from the group's offset, with the state as it is.
    Keep,
    /// Records go on from the group's offset, with empty state.
    Reset,
    /// The group's offset moves to where the state is.
    Restore,
}

impl Decision {
    pub const ALL: [Decision; 3] = [Decision::Keep, Decision::Reset, Decision::Restore];

    pub fn name(self) -> &'static str {
        match self {
            Decision::Keep => "keep",
            Decision::Reset => "reset",
            Decision::Restore => "restore",
        }
    }

    pub fn named(name: &str) -> Option<Decision> {
        Decision::ALL.into_iter().find(|decision| decision.name() == name)
    }

    /// What the configuration decides beforehand; none where it holds.
    pub fn configured(choice: OnMismatch) -> Option<Decision> {
        match choice {
            OnMismatch::Hold => None,
            OnMismatch::Keep => Some(Decision::Keep),
            OnMismatch::Reset => Some(Decision::Reset),
        }
    }
}

/// The state of one stage that does not belong to the group's offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub store: StoreId,
    /// What stands where, with numbers: one sentence or more.
    pub reason: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The state of {} does not belong to the group's offset. {}", self.store, self.reason)
    }
}

/// Why a partition is held as `state-mismatch`: what is wrong with its stages'
/// state, and the ways out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub mismatches: Vec<Mismatch>,
    /// Why the decision that was taken could not be carried out.
    pub refused: Option<String>,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mismatch in &self.mismatches {
            write!(f, "{mismatch} ")?;
        }
        if let Some(refused) = &self.refused {
            write!(f, "{refused} ")?;
        }
        let Some(StoreId { pipeline, partition, .. }) = self.mismatches.first().map(|mismatch| &mismatch.store) else {
            return Ok(());
        };
        let which = format!("{pipeline} --partition {partition}");
        write!(
            f,
            "Nothing was changed. Run `gregor state keep {which}` to continue with the state as it is, \
             `gregor state reset {which}` to continue with empty state, or `gregor state restore {which}` to move \
             the group's offset to where the state is."
        )
    }
}
