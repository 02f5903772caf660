//! What workers share.

use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::Serialize;

use super::{Awaited, Ends, Instances, Shelf};
use crate::config::UnknownVersions;
use crate::kafka::topics::Facts;
use crate::observe::Audit;
use crate::observe::{Health, Metrics, Views};
use crate::record::TopicPartition;
use crate::redrive::Requests;
use crate::state::Standby;

/// What all workers of a process share; touched at commits and rebalances only.
pub struct Shared {
    pub views: Arc<Views>,
    pub metrics: Metrics,
    pub health: Arc<Health>,
    pub shelf: Arc<Shelf>,
    pub standby: Arc<Standby>,
    pub redrives: Arc<Requests>,
    pub awaited: Arc<Awaited>,
    pub instances: Instances,
    pub ends: Arc<Ends>,
    pub unknown_versions: UnknownVersions,
    pub audit: Audit,
    pub facts: Arc<Facts>,
    /// `--bounded`: process up to these offsets.
    pub bounds: Option<HashMap<TopicPartition, i64>>,
}

impl Shared {
    /// Returns once the line is in the audit log.
    ///
    /// # Errors
    /// When it is not, or may not be.
    pub(super) fn audit<L: Serialize>(&self, line: &L) -> io::Result<()> {
        self.audit.append(line)
    }

    /// Whether a bounded run leaves `offset` of `id` to a later one.
    pub(super) fn passes_bound(&self, id: &TopicPartition, offset: i64) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.get(id).is_none_or(|end| offset >= *end))
    }
}
