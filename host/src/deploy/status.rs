//! What others see of a plugin's versions.

use serde::Serialize;

use super::Kept;
use crate::clock::wall_ms;
use crate::plugin::Version;

/// An entry of `/api/v1/plugins`: the version of a plugin that is in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PluginStatus {
    pub plugin: String,
    /// Of the version in force.
    pub digest: String,
    /// When it came into force, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Why the last version offered was refused, if it was.
    pub refused: Option<String>,
    /// Those that were in force before and are kept, and the one that is.
    #[serde(skip)]
    pub versions: Vec<Kept>,
}

impl PluginStatus {
    /// Of the version in force, the last of `versions`.
    pub fn running(version: &Version, versions: Vec<Kept>) -> PluginStatus {
        PluginStatus {
            plugin: version.plugin().to_owned(),
            digest: version.digest().to_string(),
            since: versions.last().map_or_else(wall_ms, |kept| kept.since),
            refused: None,
            versions,
        }
    }
}
