//! What goes through a pipeline, whole or not at all.

use std::hash::{Hash, Hasher};

use xxhash_rust::xxh3::Xxh3;

use crate::origin::{Kind, Origin};
use crate::record::Record;
use crate::state::Timer;

/// A record of the source, or a timer of one of the stages.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// Of a timer, what stands in for a source record: its time, the key of the
    /// record that scheduled it, and the offset of the record that comes next.
    pub record: Record<'a>,
    pub timer: Option<(usize, &'a Timer)>,
    /// How many headers the record has, where they are left out: too many.
    pub left_out: usize,
    /// The entry that it is parked under, where it comes from there.
    pub parked: Option<&'a str>,
    /// It is a dead letter that is redriven.
    pub redriven: bool,
}

impl<'a> Unit<'a> {
    pub fn of(record: &Record<'a>) -> Unit<'a> {
        Unit { record: *record, timer: None, left_out: 0, parked: None, redriven: false }
    }

    /// A timer of the stage with this index.
    pub fn timer(stage: usize, timer: &'a Timer, at: Place<'a>) -> Unit<'a> {
        let record = Record {
            topic: at.topic,
            partition: at.partition,
            offset: at.offset,
            timestamp: i64::try_from(timer.at).unwrap_or(i64::MAX),
            key: timer.record_key.as_deref(),
            value: None,
            headers: &[],
        };
        Unit { record, timer: Some((stage, timer)), left_out: 0, parked: None, redriven: false }
    }

    /// The stage that it begins at.
    pub fn first(&self) -> usize {
        self.timer.map_or(0, |(stage, _)| stage)
    }

    /// Tells it from other units of its pipeline, for as long as its outputs may be refused.
    pub fn origin(&self) -> Origin {
        let hash = |of: &dyn Fn(&mut Xxh3)| {
            let mut hasher = Xxh3::new();
            of(&mut hasher);
            hasher.finish()
        };
        let offset = self.record.offset.cast_unsigned();
        match (self.parked, self.timer) {
            (Some(entry), _) => Origin::new(Kind::Parked, hash(&|hasher| entry.hash(hasher))),
            (None, Some((stage, timer))) => {
                let parts = (stage, timer.at, timer.domain.name(), timer.name(), &timer.record_key, self.redriven);
                Origin::new(Kind::Timer, hash(&|hasher| parts.hash(hasher)))
            }
            (None, None) if self.redriven => Origin::new(Kind::Redriven, offset),
            (None, None) => Origin::new(Kind::Record, offset),
        }
    }

    /// What the calls of later stages come from, where that is no record.
    pub fn cause(&self) -> Option<&'a Timer> {
        self.timer.map(|(_, timer)| timer)
    }
}

/// Where a task stands.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// Of the record that comes next.
    pub offset: i64,
}
