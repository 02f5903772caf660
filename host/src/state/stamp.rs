//! Where a state stands: an entry among those of the cache, which changelog,
//! disk and Redis carry along as they do [timers](super::timers), written with
//! every commit.
//!
//! ```text
//! key          value
//! U+10FFFF s   a `Stamp` as JSON
//! ```
//!
//! The group's committed offset tells where the state is to stand, and every
//! commit from outside erases what that offset's metadata told. The stamp tells
//! it again, and what else the state hangs on: which topics they were.

use serde::{Deserialize, Serialize};

use super::store::{Entry, Origin};
use crate::position::Position;

/// Under which a store's stamp stands.
pub const STAMP: &str = "\u{10FFFF}s";

/// Whether a store's stamp stands under `key`.
pub fn is_stamp(key: &str) -> bool {
    key == STAMP
}

/// The format that this version writes. What a later one adds is read over.
const FORMAT: u8 = 1;

/// What the group commits of a source partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The next source offset.
    pub next: i64,
    /// The committed offset's metadata; none where nothing is committed yet.
    pub metadata: Option<String>,
}

impl Point {
    pub fn position(&self) -> Position {
        Position::committed(self.next, self.metadata.as_deref().unwrap_or_default())
    }
}

/// The changelog that a state's commits go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The topic's id (KIP-516), where the brokers tell it.
    pub id: Option<String>,
    /// The first offset that it had when it held all of the state.
    pub start: i64,
}

/// What a state is of, beside the commits: the same from one to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// How often a person, or `state.on-mismatch`, decided what becomes of it.
    pub epoch: u64,
    /// The source topic's id (KIP-516), where the brokers tell it.
    pub source: Option<String>,
    pub log: Option<Log>,
}

/// A commit, as the state has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    format: u8,
    #[serde(flatten)]
    pub ground: Ground,
    /// What the group had committed before; none where what stood there was no
    /// place of this state's.
    pub from: Option<Point>,
    /// What the group has committed then. At least once, that may still fail.
    pub to: Point,
}

impl Stamp {
    pub fn new(ground: Ground, from: Option<Point>, to: Point) -> Stamp {
        Stamp { format: FORMAT, ground, from, to }
    }

    /// The stamp as an entry; `interval` is the cache's.
    pub fn entry(&self, interval: u32) -> Entry {
        // Numbers and text cannot fail to be written.
        let value = serde_json::to_vec(self).unwrap_or_default();
        Entry { value, expires_at: None, origin: Origin::Null, interval, unit: 0 }
    }

    /// What an entry says; none where no version that this one can read wrote it.
    pub fn read(entry: &Entry) -> Option<Stamp> {
        serde_json::from_slice(&entry.value).ok().filter(|stamp: &Stamp| stamp.format == FORMAT)
    }

    /// Whether this stamp was written after `other`. A host that was frozen may
    /// write one late, which begins before those that its successor wrote.
    pub fn follows(&self, other: &Stamp) -> bool {
        let begun = |stamp: &Stamp| stamp.from.as_ref().map_or(stamp.to.next, |from| from.next);
        (self.ground.epoch, begun(self)) >= (other.ground.epoch, begun(other))
    }

    /// Whether the state stands at `position`, or one commit past it whose
    /// records come again.
    pub fn fits(&self, position: &Position) -> bool {
        self.points().any(|point| point.position() == *position)
    }

    /// Where a group without metadata may be, the later one first.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        std::iter::once(&self.to).chain(&self.from)
    }

    /// Whether the group was pinned at `position` before its first commit, and that
    /// commit may have failed.
    pub fn is_first_at(&self, position: &Position) -> bool {
        self.is_first() && self.from.as_ref().is_some_and(|from| from.position() == *position)
    }

    /// Whether the group had committed nothing when this commit began: a state
    /// whose first commit may have failed.
    pub fn is_first(&self) -> bool {
        self.from.as_ref().is_some_and(|from| from.metadata.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(next: i64, metadata: &str) -> Point {
        Point { next, metadata: Some(metadata.to_owned()) }
    }

    fn stamp(epoch: u64, from: Option<Point>, to: Point) -> Stamp {
        let log = Some(Log { id: Some("log".into()), start: 0 });
        Stamp::new(Ground { epoch, source: Some("source".into()), log }, from, to)
    }

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for stamp in [
            stamp(3, Some(point(1, "gregor1 timers=2")), point(4, "")),
            stamp(0, None, Point { next: 0, metadata: None }),
        ] {
            assert_eq!(Stamp::read(&stamp.entry(7)), Some(stamp));
        }
    }

    #[test]
    fn the_format_is_what_its_first_release_wrote() {
        let stamp = stamp(1, Some(Point { next: 2, metadata: None }), point(3, "gregor1 timers=1"));
        let text = r#"{"format":1,"epoch":1,"source":"source","log":{"id":"log","start":0},"from":{"next":2,"metadata":null},"to":{"next":3,"metadata":"gregor1 timers=1"}}"#;
        assert_eq!(String::from_utf8(stamp.entry(0).value).unwrap(), text);
    }

    #[test]
    fn what_a_later_version_adds_is_read_over_and_another_format_is_not_read() {
        let entry = |text: &str| Entry::durable(text.as_bytes().to_vec(), None, Origin::Null);
        let text =
            r#"{"format":1,"epoch":0,"source":null,"log":null,"from":null,"to":{"next":3,"metadata":""},"more":1}"#;
        assert_eq!(Stamp::read(&entry(text)).unwrap().to, point(3, ""));
        assert_eq!(Stamp::read(&entry(&text.replace("\"format\":1", "\"format\":2"))), None);
        assert_eq!(Stamp::read(&entry("1")), None);
    }

    #[test]
    fn a_state_fits_its_commit_and_the_one_before() {
        let stamp = stamp(0, Some(point(5, "")), point(9, "gregor1 timers=1"));
        assert!(stamp.fits(&Position::at(5)));
        assert!(stamp.fits(&Position { timers: 1, ..Position::at(9) }));
        assert!(!stamp.fits(&Position::at(9)), "the metadata tells more");
        assert!(!stamp.fits(&Position::at(7)));
    }

    #[test]
    fn a_late_stamp_of_a_frozen_host_does_not_follow() {
        let new = stamp(0, Some(point(40, "")), point(50, ""));
        assert!(!stamp(0, Some(point(10, "")), point(20, "")).follows(&new));
        assert!(stamp(0, Some(point(40, "")), point(45, "")).follows(&new), "another try from the same place");
        assert!(stamp(1, None, point(2, "")).follows(&new), "someone has decided since");
    }
}
