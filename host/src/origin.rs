//! Where an output comes from, as one integer that goes through the client
//! library with it and comes back with the report that it was refused.

/// What gave an output, packed so that nothing is owned or allocated for it:
///
/// ```text
/// bits 63 to 48  the task: its slot in its worker, from 1 on; 0 for no task
/// bits 47 to 45  the kind
/// bit  44        to be sent in a batch of its own
/// bits 43 to 38  the pipeline's index in its task
/// bits 37 to 0   which unit: the low bits of its offset, or of a hash
/// ```
///
/// All units of a partition that are in flight lie within a commit interval, so
/// the low bits of their offsets tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(u64);

/// What kind of unit gave an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A record of the source.
    Record = 0,
    Timer = 1,
    /// A dead letter that is redriven.
    Redriven = 2,
    /// A parked record or timer that is released.
    Parked = 3,
    /// An entry of a changelog.
    Changelog = 4,
    /// A mark in a redrive topic.
    Mark = 5,
}

const SLOT: u32 = 48;
const KIND: u32 = 45;
const ALONE: u64 = 1 << 44;
const PIPELINE: u32 = 38;
/// Pipelines of one source that are told apart.
const PIPELINES: u64 = 1 << (44 - PIPELINE);
const ID: u64 = (1 << PIPELINE) - 1;

impl Origin {
    /// A unit that is told from others of its kind by the low bits of `id`: an
    /// offset or a hash.
    pub fn new(kind: Kind, id: u64) -> Origin {
        Origin((kind as u64) << KIND | id & ID)
    }

    /// The same unit in the pipeline with this index of a task. Pipelines from
    /// the 64th on count as one.
    pub fn in_pipeline(self, index: usize) -> Origin {
        let index = (index as u64).min(PIPELINES - 1);
        Origin(self.0 & !((PIPELINES - 1) << PIPELINE) | index << PIPELINE)
    }

    /// The same unit in the task of this slot.
    pub fn in_task(self, slot: u16) -> Origin {
        Origin(self.0 & !(u64::from(u16::MAX) << SLOT) | u64::from(slot) << SLOT)
    }

    /// The same unit, whose output is to be sent in a batch of its own where
    /// `alone` says so.
    pub fn sent_alone(self, alone: bool) -> Origin {
        Origin(if alone { self.0 | ALONE } else { self.0 & !ALONE })
    }

    /// The unit, whatever its task and however it was sent.
    pub fn unit(self) -> Origin {
        self.in_task(0).sent_alone(false)
    }

    /// The slot of its task in the worker; 0 for none.
    pub fn slot(self) -> u16 {
        (self.0 >> SLOT) as u16
    }

    pub fn is_alone(self) -> bool {
        self.0 & ALONE != 0
    }

    /// The index of its pipeline in the task.
    pub fn pipeline(self) -> usize {
        (self.0 >> PIPELINE & (PIPELINES - 1)) as usize
    }

    pub fn is_of(self, kind: Kind) -> bool {
        self.0 >> KIND & 0b111 == kind as u64
    }

    /// Whether its offset is one below `next`, as far as the low bits of both tell.
    pub fn is_before(self, next: i64) -> bool {
        let behind = next.cast_unsigned().wrapping_sub(self.0) & ID;
        (1..=ID / 2).contains(&behind)
    }

    /// As the client library carries it. 64 bits, as on every platform that
    /// wasmtime compiles for.
    pub fn to_opaque(self) -> usize {
        self.0 as usize
    }

    /// From what the client library carried.
    pub fn from_opaque(opaque: usize) -> Origin {
        Origin(opaque as u64)
    }
}

const _: () = assert!(usize::BITS == u64::BITS, "an origin is carried in a pointer's place");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_keeps_its_parts_apart() {
        for (kind, id, pipeline, slot, alone) in
            [(Kind::Record, 7, 0, 1, false), (Kind::Mark, ID, 63, u16::MAX, true), (Kind::Parked, 0, 5, 0, true)]
        {
            let origin = Origin::new(kind, id).in_pipeline(pipeline).in_task(slot).sent_alone(alone);
            assert_eq!((origin.slot(), origin.pipeline(), origin.is_alone()), (slot, pipeline, alone));
            assert!(origin.is_of(kind));
            assert_eq!(Origin::from_opaque(origin.to_opaque()), origin);
            assert_eq!(origin.unit(), Origin::new(kind, id).in_pipeline(pipeline));
        }
    }

    #[test]
    fn offsets_are_compared_by_their_low_bits() {
        let record = |offset| Origin::new(Kind::Record, offset).in_pipeline(3);
        assert_eq!([6, 7, 8].map(|offset| record(offset).is_before(7)), [true, false, false]);
        let high = 3_u64 << PIPELINE;
        assert!(record(high - 1).is_before(high.cast_signed()) && !record(high).is_before(high.cast_signed()));
    }

    #[test]
    fn pipelines_past_the_last_count_as_one() {
        assert_eq!(Origin::default().in_pipeline(900).pipeline(), 63);
        assert_eq!(Origin::new(Kind::Record, u64::MAX).pipeline(), 0, "an offset stays in its bits");
    }
}
