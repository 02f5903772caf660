//! Entries of a stage's state, against what its changelog takes.

use super::Context;
use super::pipeline::{Failed, Pipeline};
use super::stage::Stage;
use crate::kafka::topics::Topics;
use crate::plugin::Failure;

/// Record keys, in bytes, that every changelog takes beside the largest value.
const SHORT_KEY: usize = 16 << 10;
/// Bytes that a changelog's record takes at most beside its keys and its value.
const ENTRY_OVERHEAD: u64 = 256;

impl Pipeline {
    /// Bytes of the largest entry that the changelog of the first stage takes.
    pub(super) fn entry_limit(&self, topics: &Topics) -> u64 {
        let topic = self.stages[0].plan.changelog.as_ref().and_then(|topic| topics.get(topic));
        topic.map_or(u64::MAX, |topic| topic.largest_output.saturating_sub(ENTRY_OVERHEAD))
    }

    /// Whether each changelog takes what the unit wrote. Values and keys of entries
    /// are bounded when they are set; an entry carries the record's key along,
    /// which only the source bounds.
    pub(super) fn check_entries(&mut self, context: &Context, record_key: Option<&[u8]>) -> Result<(), Failed> {
        if record_key.is_none_or(|key| key.len() < SHORT_KEY) {
            return Ok(());
        }
        for (stage, Stage { plan, cache, .. }) in self.stages.iter_mut().enumerate() {
            let Some(topic) = plan.changelog.as_ref().and_then(|topic| context.topics.get(topic)) else { continue };
            let largest = cache.largest_written().map_err(|error| Failed { stage, failure: Failure::State(error) })?;
            let (bytes, limit) = (largest + ENTRY_OVERHEAD, topic.largest_output);
            if largest > 0 && bytes > limit {
                let failure = Failure::EntryTooLarge { topic: topic.name.to_string(), bytes, limit };
                return Err(Failed { stage, failure });
            }
        }
        Ok(())
    }
}
