//! Which version of a plugin may follow which. A partition's committed offset
//! says which versions its records went through last; each host knows which
//! came before its own. What it does not know of, it does not take for older.

use std::collections::{BTreeMap, HashSet};

use crate::plugin::Digest;
use crate::position;

/// What begins the word of the metadata that names versions.
const VERSIONS: &str = "v=";
/// What begins the word that says how many partitions the topic had when the group began.
const BEGUN: &str = "of=";

/// A version in the order of those of its plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ran {
    pub digest: Digest,
    /// How often a version of the plugin had come back by then, in a rollback
    /// or another deploy: tells it from its own earlier time in force.
    pub returns: u64,
}

/// What a committed offset says besides the position: the version of each plugin
/// that a partition's records went through last, and what the group began with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    versions: BTreeMap<String, Ran>,
    /// How many partitions the topic had when the group began with this one, where
    /// its pipelines start at the end: those that came later start at their beginning.
    begun_of: Option<i32>,
}

impl Recorded {
    /// From a committed offset's metadata; what is not ours says nothing.
    pub fn committed(metadata: &str) -> Recorded {
        let named = position::words(metadata).find_map(|word| word.strip_prefix(VERSIONS)).unwrap_or_default();
        let ran = |text: &str| {
            let (plugin, version) = text.split_once(':')?;
            let (digest, returns) = version.split_once('/').unwrap_or((version, "0"));
            let digest = Digest::try_from(digest.to_owned()).ok()?;
            Some((plugin.to_owned(), Ran { digest, returns: returns.parse().ok()? }))
        };
        let begun_of = position::words(metadata).find_map(|word| word.strip_prefix(BEGUN)?.parse().ok());
        Recorded { versions: named.split(',').filter_map(ran).collect(), begun_of }
    }

    /// Of a partition that the group begins with, of a topic with so many partitions.
    pub fn begun_of(partitions: i32) -> Recorded {
        Recorded { begun_of: Some(partitions), ..Recorded::default() }
    }

    /// The same, without versions.
    pub fn without_versions(&self) -> Recorded {
        Recorded { begun_of: self.begun_of, ..Recorded::default() }
    }

    /// Whether `partition` came to the topic after the group had begun with this one.
    pub fn began_before(&self, partition: i32) -> bool {
        self.begun_of.is_some_and(|partitions| partitions <= partition)
    }

    /// The words of the metadata: none where nothing is recorded.
    pub fn word(&self) -> Option<String> {
        let named = self.versions.iter().map(|(plugin, ran)| match ran.returns {
            0 => format!("{plugin}:{}", ran.digest),
            returns => format!("{plugin}:{}/{returns}", ran.digest),
        });
        let named: Vec<String> = named.collect();
        let versions = (!named.is_empty()).then(|| format!("{VERSIONS}{}", named.join(",")));
        match (self.begun_of, versions) {
            (Some(partitions), Some(versions)) => Some(format!("{BEGUN}{partitions} {versions}")),
            (Some(partitions), None) => Some(format!("{BEGUN}{partitions}")),
            (None, versions) => versions,
        }
    }

    pub fn of(&self, plugin: &str) -> Option<Ran> {
        self.versions.get(plugin).copied()
    }

    pub fn set(&mut self, plugin: &str, ran: Ran) {
        self.versions.insert(plugin.to_owned(), ran);
    }
}

/// What a host knows of the versions of a plugin before the one in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How often one of them came back.
    pub returns: u64,
    pub before: HashSet<Digest>,
}

impl Standing {
    /// Whether the host's version `running` may go on where `recorded` was.
    pub fn follows(&self, running: Digest, recorded: Ran) -> bool {
        recorded.digest == running || (recorded.returns <= self.returns && self.before.contains(&recorded.digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn ran(name: &str, returns: u64) -> Ran {
        Ran { digest: digest(name), returns }
    }

    #[test]
    fn versions_are_read_back_from_the_metadata_beside_other_words() {
        let mut recorded = Recorded::default();
        assert_eq!(recorded.word(), None);
        recorded.set("key-by", ran("a", 0));
        recorded.set("last-location", ran("b", 3));
        let word = recorded.word().unwrap();
        assert_eq!(word, format!("v=key-by:{},last-location:{}/3", digest("a"), digest("b")));
        for metadata in [format!("gregor1 {word}"), format!("gregor1 9 2 redriven=4 {word} later=1")] {
            assert_eq!(Recorded::committed(&metadata), recorded);
        }
        assert_eq!(recorded.of("last-location"), Some(ran("b", 3)));
    }

    #[test]
    fn a_partition_that_came_after_the_group_began_is_known() {
        let begun = Recorded::begun_of(6);
        let mut with_versions = begun.clone();
        with_versions.set("p", ran("a", 0));
        for recorded in [begun, with_versions] {
            let metadata = format!("gregor1 {}", recorded.word().unwrap());
            let read = Recorded::committed(&metadata);
            assert_eq!(read, recorded, "{metadata}");
            assert!(read.began_before(6) && !read.began_before(5));
        }
        assert!(!Recorded::default().began_before(9), "nothing is known of it");
    }

    #[test]
    fn metadata_of_others_names_no_versions() {
        for foreign in ["", "gregor1", "gregor1 9 2", "gregor1 v=", "gregor1 v=p", "gregor1 v=p:12", "someone v=p:1"] {
            assert_eq!(Recorded::committed(foreign), Recorded::default(), "{foreign}");
        }
        let half = format!("gregor1 v=p:{}/x,q:{}", digest("a"), digest("b"));
        assert_eq!(Recorded::committed(&half).of("q"), Some(ran("b", 0)));
        assert_eq!(Recorded::committed(&half).of("p"), None);
    }

    #[test]
    fn a_version_follows_itself_and_those_that_its_host_knows_of() {
        let standing = Standing { returns: 0, before: [digest("a")].into() };
        assert!(standing.follows(digest("b"), ran("b", 0)));
        assert!(standing.follows(digest("b"), ran("a", 0)));
        assert!(!standing.follows(digest("b"), ran("c", 0)), "it may be newer");
    }

    #[test]
    fn a_version_that_came_back_elsewhere_is_no_earlier_one() {
        let before: HashSet<_> = [digest("a"), digest("b")].into();
        let behind = Standing { returns: 0, before: before.clone() };
        assert!(!behind.follows(digest("b"), ran("a", 1)), "rolled back on another host");
        assert!(behind.follows(digest("b"), ran("b", 1)), "the same code");
        let level = Standing { returns: 1, before: before.clone() };
        assert!(level.follows(digest("a"), ran("b", 0)));
        assert!(!level.follows(digest("a"), ran("b", 2)), "and deployed again");
        assert!(Standing { returns: 2, before }.follows(digest("b"), ran("a", 1)));
    }
}
