//! Changelogs that were deleted and made anew under copies.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use rdkafka::consumer::BaseConsumer;

use super::tail::{Followed, Tail};
use super::{ASK, Keeper};
use crate::kafka::{Quiet, topic_id};
use crate::state::changelog::Reader;
use crate::state::survey::is_on_its_ground;
use crate::state::{DiskStore, OpenError, STAMP, Stamp, StateStore};

impl Keeper {
    /// Ends copies whose changelogs are other topics by now: they are begun again.
    pub(super) fn end_renewed(&self, client: &BaseConsumer<Quiet>, tails: &mut Vec<Tail<'_>>) {
        let mut ids = HashMap::new();
        tails.retain(|tail| {
            let Some(was) = &tail.topic else { return true };
            let changelog = &tail.of.changelog;
            let asked = ids.entry(changelog.clone()).or_insert_with(|| topic_id(client, changelog, ASK).ok().flatten());
            let kept = asked.as_ref().is_none_or(|is| is == was) || self.claims.has(&tail.of.source);
            if !kept {
                tracing::warn!(
                    store = %tail.of.id, %changelog,
                    "changelog `{changelog}` was deleted and made anew: the standby copy is begun again"
                );
                self.copies.remove(&tail.of.id);
            }
            kept
        });
    }

    /// Whether the changelog was deleted and created again since the local store was
    /// filled, and already holds the whole state. The copy is then rebuilt from it.
    ///
    /// # Errors
    /// [`OpenError::NotYet`] where it does not hold all: the store may be all there is.
    pub(super) fn is_superseded(
        &self,
        client: &BaseConsumer<Quiet>,
        of: &Followed,
        store: &mut DiskStore,
    ) -> Result<bool, OpenError> {
        let stamp = store.get(STAMP)?.and_then(Stamp::read);
        let Some(was) = stamp.and_then(|stamp| stamp.ground.log?.id) else { return Ok(false) };
        let changelog = &of.changelog;
        let is = topic_id(client, changelog, ASK).map_err(|error| OpenError::NotYet(error.to_string()))?;
        if is.is_none_or(|is| is == was) {
            return Ok(false);
        }
        let tail = Reader::new(self.stores.client())?.tail(changelog, of.id.partition, &AtomicBool::new(false))?;
        if is_on_its_ground(&tail) {
            tracing::info!(store = %of.id, %changelog, "the changelog was made anew and holds all of the state");
            return Ok(true);
        }
        Err(OpenError::NotYet(format!(
            "changelog `{changelog}` was deleted and made anew and does not hold all of the state yet; the local store, \
             which may be all there is of it, is left as it is"
        )))
    }
}
