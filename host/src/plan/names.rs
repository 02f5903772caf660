//! Names of what belongs to a pipeline or a stage of it.

use std::fmt;

/// Names one store: the state of one stage for one partition of its pipeline's source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId {
    pub pipeline: String,
    pub stage: String,
    pub partition: i32,
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.pipeline, self.stage, self.partition)
    }
}

/// A short name for metadata: eight hexadecimal digits.
pub(super) fn tag(parts: &[&str]) -> String {
    format!("{:08x}", xxhash_rust::xxh3::xxh3_64(parts.join("\0").as_bytes()) >> 32)
}

/// The changelog topic of a stage.
pub fn changelog_topic(app: &str, pipeline: &str, stage: &str) -> String {
    format!("{app}-{pipeline}-{stage}-changelog")
}

/// The redrive topic of a pipeline.
pub fn redrive_topic(app: &str, pipeline: &str) -> String {
    format!("{app}-{pipeline}-redrive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_app_pipeline_and_stage() {
        assert_eq!(changelog_topic("app", "locations", "last"), "app-locations-last-changelog");
    }

    #[test]
    fn a_tag_is_the_same_in_every_version() {
        assert_eq!(tag(&["main", "last"]).len(), 8);
        assert_ne!(tag(&["a", "bc"]), tag(&["ab", "c"]));
    }
}
