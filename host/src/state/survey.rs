//! What stands where of a partition's state, looked at before any of it is
//! changed: by the stamps of its stores and changelogs, and by their topics.

use std::sync::Arc;

use super::changelog::{Bounds, Tail};
use super::stamp::{Ground, Log, Point, Stamp};
use super::{At, Checkpoint, How, Mismatch, RedisStood};
use crate::plan::StagePlan;
use crate::plan::StoreId;
use crate::position::Position;
use crate::state::Noted;

/// Where the group is on a source partition, as the state is to be.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    pub topic: Arc<str>,
    pub position: Position,
    /// Whether the group has committed it.
    pub pinned: bool,
    pub noted: Noted,
    /// The source as the brokers have it.
    pub source: Bounds,
}

impl Whereabouts {
    /// An earlier version of Gregor committed, which stamps nothing: what stamps
    /// there are may be older.
    fn is_unstamped(&self) -> bool {
        self.pinned && self.noted.ours && self.noted.stages.is_none() && self.noted.order.is_none()
    }
}

/// A local store.
#[derive(Clone, Debug)]
pub struct Local {
    /// The position that taking its last commit back leads to.
    pub from: i64,
    pub checkpoint: Checkpoint,
    pub stamp: Option<Stamp>,
}

impl Local {
    /// Whether it holds the state of some position by itself: no restore was cut
    /// off, and it is no standby copy.
    pub fn is_whole(&self) -> bool {
        self.checkpoint.position >= 0
    }
}

/// What holds the state of a stage.
#[derive(Clone, Debug)]
pub enum Place {
    Changelog(Tail),
    /// With its changelog, if it has one.
    Disk(Option<Local>, Option<Tail>),
    Redis(RedisStood),
}

/// The state of one stage, as it was found.
#[derive(Clone, Debug)]
pub struct Survey {
    pub stage: Arc<StagePlan>,
    pub store: StoreId,
    /// The pipeline's place among those of the source.
    pub index: usize,
    pub place: Place,
}

/// Whether a state belongs to the group's offset.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Fits,
    /// A disk store without a changelog, whose partition was on another host in
    /// between: it begins empty.
    Elsewhere,
    Mismatch(Mismatch),
}

impl Survey {
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        let (one, other) = match &self.place {
            Place::Changelog(tail) => (tail.stamp.as_ref(), None),
            Place::Disk(local, tail) => (
                local.as_ref().and_then(|local| local.stamp.as_ref()),
                tail.as_ref().and_then(|tail| tail.stamp.as_ref()),
            ),
            Place::Redis(stood) => (stood.stamp.as_ref(), None),
        };
        one.into_iter().chain(other)
    }

    /// The stamp of the state as it is: the later of two.
    pub fn stamp(&self) -> Option<&Stamp> {
        self.stamps().reduce(|one, other| if one.follows(other) { one } else { other })
    }

    fn tail(&self) -> Option<&Tail> {
        match &self.place {
            Place::Changelog(tail) => Some(tail),
            Place::Disk(_, tail) => tail.as_ref(),
            Place::Redis(_) => None,
        }
    }

    /// The position that the store itself is of, where one outlives the process.
    pub fn stands(&self) -> Option<i64> {
        match &self.place {
            Place::Changelog(_) => None,
            Place::Disk(local, _) => local.as_ref().map(|local| local.checkpoint.position),
            Place::Redis(stood) => stood.position,
        }
    }

    /// Up to which position the changelog is to be read.
    pub fn read_to(&self, how: How, at: At) -> i64 {
        let stamped = || self.tail()?.stamp.as_ref().map(|stamp| stamp.to.position().of_pipeline(self.index));
        match (how, self.tail()) {
            (How::AsItStands, Some(_)) => stamped().unwrap_or(i64::MAX),
            // All that is there is to go.
            (How::Emptied, Some(_)) => i64::MAX,
            _ => at.position,
        }
    }

    /// Whether a disk store with a changelog is rebuilt from that: its own state
    /// is not the later one, or all that the changelog holds is to go.
    pub fn is_rebuilt(&self, how: How) -> bool {
        let Place::Disk(local, Some(tail)) = &self.place else { return false };
        let later = match (local.as_ref().map(|local| &local.stamp), &tail.stamp) {
            (Some(Some(local)), Some(tail)) => local.follows(tail),
            (Some(_), None) => true,
            _ => false,
        };
        how == How::Emptied || !later
    }

    /// Whether a disk store's state is of another history than its changelog's,
    /// though of the same offset: an import, or what someone decided on another host.
    pub fn is_superseded(&self) -> bool {
        let Place::Disk(Some(Local { stamp: Some(local), .. }), Some(Tail { stamp: Some(last), .. })) = &self.place
        else {
            return false;
        };
        let id = |stamp: &Stamp| stamp.ground.log.as_ref().and_then(|log| log.id.clone());
        let other = id(local).zip(id(last)).is_some_and(|(local, last)| local != last);
        other || local.ground.epoch < last.ground.epoch
    }

    /// Whether the changelog does not hold the state that a disk store keeps.
    pub fn lacks_changelog(&self) -> bool {
        let Place::Disk(Some(local), Some(tail)) = &self.place else { return false };
        let same = match (&local.stamp, &tail.stamp) {
            (Some(local), Some(last)) => local.to == last.to && is_on_its_ground(tail),
            _ => false,
        };
        !same && !self.is_rebuilt(How::AsItStands)
    }

    /// The furthest position that anything here is known to have.
    pub fn furthest(&self) -> i64 {
        let stamped = self.stamps().map(|stamp| stamp.to.position().of_pipeline(self.index)).max();
        let stands = match &self.place {
            Place::Changelog(_) | Place::Disk(None, _) => None,
            Place::Disk(Some(local), _) => Some(local.checkpoint.position),
            Place::Redis(stood) => stood.position.into_iter().chain(stood.ends.iter().copied()).max(),
        };
        stamped.max(stands).unwrap_or(0)
    }

    /// Whether the state is of an earlier topic of the source's name.
    pub fn is_of_another_source(&self, source: &Bounds) -> bool {
        let was = self.stamp().and_then(|stamp| stamp.ground.source.as_ref());
        was.zip(source.id.as_ref()).is_some_and(|(was, is)| was != is)
    }

    /// The end of the changelog.
    pub fn changelog_end(&self) -> i64 {
        self.tail().map_or(0, |tail| tail.bounds.end)
    }

    /// What the stamps of the next commits say; `decided` where someone has just
    /// decided what becomes of the state.
    pub fn ground(&self, source: &Bounds, decided: bool) -> Ground {
        let stamp = self.stamp();
        let was = stamp.map(|stamp| &stamp.ground);
        let epoch = was.map_or(0, |ground| ground.epoch) + u64::from(decided);
        let log = self.tail().map(|tail| {
            let known = was.and_then(|ground| ground.log.as_ref()).filter(|_| !decided);
            let start = known.map_or(tail.bounds.start, |log| log.start);
            Log { id: tail.bounds.id.clone().or_else(|| known.and_then(|log| log.id.clone())), start }
        });
        Ground { epoch, source: source.id.clone(), log }
    }

    /// Whether the state belongs to where the group is. `host` is the tag of this one.
    pub fn judge(&self, at: &Whereabouts, host: &str) -> Verdict {
        let wrong = match &self.place {
            Place::Changelog(tail) => self.log(at, tail),
            Place::Disk(local, Some(tail)) => self.disk_with_log(at, local.as_ref(), tail),
            Place::Disk(local, None) => match self.disk(at, local.as_ref()) {
                Some(_) if at.noted.host.as_deref().is_some_and(|last| last != host) && !at.is_unstamped() => {
                    return Verdict::Elsewhere;
                }
                wrong => wrong,
            },
            Place::Redis(stood) => self.redis(at, stood),
        };
        match wrong {
            None => Verdict::Fits,
            Some(reason) => Verdict::Mismatch(Mismatch { store: self.store.clone(), reason }),
        }
    }

    fn log(&self, at: &Whereabouts, tail: &Tail) -> Option<String> {
        if at.is_unstamped() {
            return None;
        }
        match &tail.stamp {
            Some(stamp) => self.stamped(at, stamp, Some(&tail.bounds)),
            None => self.unstamped_log(at, tail),
        }
    }

    /// A changelog without a stamp: an earlier version's, an empty one, or no
    /// longer the one that it was.
    fn unstamped_log(&self, at: &Whereabouts, tail: &Tail) -> Option<String> {
        let topic = self.stage.changelog.as_deref().unwrap_or_default();
        let Bounds { start, end, .. } = tail.bounds;
        let holds = match tail.records {
            true => {
                format!("changelog `{topic}` (offsets {start} to {end}) does not tell of which offset its records are")
            }
            false => format!("changelog `{topic}` (offsets {start} to {end}) is empty"),
        };
        if at.noted.has(&self.stage.tag) {
            return Some(format!(
                "{}, with state in the changelog, and {holds}. The changelog was deleted, made anew or cut off.",
                at.group()
            ));
        }
        let decided = at.noted.order.is_some() || !at.pinned;
        (tail.records && decided).then(|| format!("{}, and {holds}.", at.group()))
    }

    fn disk_with_log(&self, at: &Whereabouts, local: Option<&Local>, tail: &Tail) -> Option<String> {
        let (Some(stamp), false) = (local.and_then(|local| local.stamp.as_ref()), at.is_unstamped()) else {
            return self.log(at, tail);
        };
        match &tail.stamp {
            // The store may be older: it is brought to where the changelog is.
            Some(last) => self.stamped(at, last, Some(&tail.bounds)).map(|reason| {
                let next = stamp.to.next;
                format!("{reason} The local store is as of offset {next}.")
            }),
            None => {
                let (topic, Bounds { start, end, .. }) =
                    (self.stage.changelog.as_deref().unwrap_or_default(), &tail.bounds);
                Some(format!(
                    "{}, and the local store is as of offset {}, but its changelog `{topic}` (offsets {start} to {end}) \
                     does not hold that state. The changelog was deleted, made anew or cut off.",
                    at.group(),
                    stamp.to.next
                ))
            }
        }
    }

    fn disk(&self, at: &Whereabouts, local: Option<&Local>) -> Option<String> {
        let Some(local) = local else { return self.gone(at, "the local store is empty") };
        let revision = at.position.of_pipeline(self.index);
        let numbers = || {
            let wrong = revision != local.checkpoint.position && revision != local.from;
            wrong.then(|| {
                format!("{}, and the local store is as of position {}.", at.group(), local.checkpoint.position)
            })
        };
        match &local.stamp {
            Some(stamp) if !at.is_unstamped() => self.stamped(at, stamp, None),
            _ => numbers(),
        }
    }

    fn redis(&self, at: &Whereabouts, stood: &RedisStood) -> Option<String> {
        let Some(position) = stood.position else { return self.gone(at, "Redis holds nothing of it") };
        let revision = at.position.of_pipeline(self.index);
        // A commit that is not promoted yet: its stamp is not to be seen.
        let prepared = stood.ends.contains(&revision);
        match &stood.stamp {
            Some(stamp) if !at.is_unstamped() && !prepared => self.stamped(at, stamp, None),
            Some(stamp) if !at.is_unstamped() => self.on_other_ground(at, stamp, None),
            _ if prepared || revision == position => None,
            _ => Some(format!("{}, and the state in Redis is as of position {position}.", at.group())),
        }
    }

    fn gone(&self, at: &Whereabouts, holds: &str) -> Option<String> {
        let had = at.noted.has(&self.stage.tag);
        had.then(|| format!("{}, with state, and {holds}: the state was deleted or lost.", at.group()))
    }

    fn stamped(&self, at: &Whereabouts, stamp: &Stamp, log: Option<&Bounds>) -> Option<String> {
        if let Some(wrong) = self.on_other_ground(at, stamp, log) {
            return Some(wrong);
        }
        let to = stamp.to.position();
        // The commit may have failed, which no commit from outside comes after;
        // Redis has taken up none that failed.
        let back = at.noted.ours && !matches!(self.place, Place::Redis(_));
        let fits = match at.pinned {
            true => to == at.position || (back && stamp.fits(&at.position)) || stamp.is_first_at(&at.position),
            false => stamp.is_first(),
        };
        if fits {
            return None;
        }
        let stands = match at.pinned && to.next == at.position.next {
            false => format!("the state is as of offset {}", to.next),
            // Timers, redriven letters and migrations move no offset.
            true => format!(
                "the state is as of that offset too, but of position {} and not {}",
                to.of_pipeline(self.index),
                at.position.of_pipeline(self.index)
            ),
        };
        let log = log
            .zip(self.stage.changelog.as_deref())
            .map(|(Bounds { start, end, .. }, topic)| format!(" (changelog `{topic}`, offsets {start} to {end})"));
        Some(format!("{}, and {stands}{}.", at.group(), log.unwrap_or_default()))
    }

    /// Another source or another changelog than those that the stamp names.
    fn on_other_ground(&self, at: &Whereabouts, stamp: &Stamp, log: Option<&Bounds>) -> Option<String> {
        let other = |was: &Option<String>, is: &Option<String>| was.is_some() && is.is_some() && was != is;
        let (topic, Bounds { id, start, end }) = (&at.topic, &at.source);
        let next = stamp.to.next;
        if other(&stamp.ground.source, id) {
            return Some(format!(
                "{}, and the state is as of offset {next} of an earlier topic `{topic}`: the source was deleted and \
                 made anew, and holds offsets {start} to {end} now.",
                at.group()
            ));
        }
        if at.pinned && at.position.next > *end {
            return Some(format!(
                "{}, and source `{topic}` ends at {end}: its last records were lost, as in an unclean election of a leader.",
                at.group()
            ));
        }
        let (Some(was), Some(Bounds { id, start, end })) = (&stamp.ground.log, log) else { return None };
        let topic = self.stage.changelog.as_deref().unwrap_or_default();
        if other(&was.id, id) {
            return Some(format!(
                "{}, and changelog `{topic}` (offsets {start} to {end}) was deleted and made anew: it does not hold all \
                 of the state.",
                at.group()
            ));
        }
        (*start > was.start).then(|| {
            format!(
                "{}, and changelog `{topic}` begins at {start} and not at {}: its beginning was cut off (offsets {start} \
                 to {end} are left), and entries with it.",
                at.group(),
                was.start
            )
        })
    }
}

/// Whether a changelog is the one, from the beginning, that its stamp names.
pub(super) fn is_on_its_ground(tail: &Tail) -> bool {
    let Tail { bounds, stamp: Some(stamp), .. } = tail else { return false };
    stamp.ground.log.as_ref().is_none_or(|log| {
        let other = log.id.is_some() && bounds.id.is_some() && log.id != bounds.id;
        !other && bounds.start <= log.start
    })
}

impl Whereabouts {
    fn group(&self) -> String {
        match self.pinned {
            true => format!("The group has committed offset {} of `{}`", self.position.next, self.topic),
            false => format!("The group has committed no offset of `{}`", self.topic),
        }
    }
}

/// Where the group is, of the points that `stamps` name, where its offset is
/// `next` and the metadata does not tell more. The furthest that all agree on.
pub fn adopted<'a>(next: i64, stamps: &[&'a Stamp]) -> Option<&'a Point> {
    let here: Vec<&Stamp> = stamps.iter().copied().filter(|stamp| stamp.to.next == next).collect();
    let mut points: Vec<&Point> = here.iter().flat_map(|stamp| stamp.points()).collect();
    points.retain(|point| point.next == next && here.iter().all(|stamp| stamp.fits(&point.position())));
    points.into_iter().max_by_key(|point| point.position().of_pipeline(usize::MAX))
}
