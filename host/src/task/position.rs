//! Up to where a partition is processed, as the group's committed offset tells it.

/// What begins the metadata of an offset that this host committed.
const MARK: &str = "gregor1";

/// Up to where a partition is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The offset after the last record that every pipeline is done with.
    pub next: i64,
    pub begun: Option<Begun>,
}

/// A record, at or after the position, that some pipelines are done with and
/// others wait to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    pub offset: i64,
    /// The first so many pipelines are done with it.
    pub pipelines: usize,
}

impl Position {
    pub fn at(next: i64) -> Position {
        Position { next, begun: None }
    }

    /// The next offset of the pipeline with this index.
    pub fn of_pipeline(&self, index: usize) -> i64 {
        match self.begun {
            Some(begun) if index < begun.pipelines => begun.offset + 1,
            _ => self.next,
        }
    }

    /// How many pipelines are done with the record at `offset`.
    pub fn done_with(&self, offset: i64) -> usize {
        self.begun.filter(|begun| begun.offset == offset).map_or(0, |begun| begun.pipelines)
    }

    /// What goes into the offset's metadata: without it a record that one
    /// pipeline retries would pass through those before it once more.
    pub fn metadata(&self) -> String {
        self.begun.map_or(String::new(), |begun| format!("{MARK} {} {}", begun.offset, begun.pipelines))
    }

    /// From a committed offset; metadata that is not ours says nothing.
    pub fn committed(next: i64, metadata: &str) -> Position {
        let mut words = metadata.split(' ');
        let begun = (words.next() == Some(MARK))
            .then(|| {
                let (offset, pipelines) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                Some(Begun { offset, pipelines })
            })
            .flatten();
        Position { next, begun: begun.filter(|begun| begun.offset >= next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_half_done_is_remembered_with_the_offset() {
        let position = Position { next: 7, begun: Some(Begun { offset: 9, pipelines: 2 }) };
        assert_eq!(Position::committed(7, &position.metadata()), position);
        assert_eq!((position.of_pipeline(1), position.of_pipeline(2)), (10, 7));
        assert_eq!((position.done_with(9), position.done_with(8)), (2, 0));
        assert_eq!(Position::committed(7, &Position::at(7).metadata()), Position::at(7));
    }

    #[test]
    fn metadata_of_others_says_nothing() {
        for foreign in ["", "gregor1", "gregor1 x 1", "gregor1 9", "someone 9 2", "gregor1 6 1"] {
            assert_eq!(Position::committed(7, foreign), Position::at(7), "{foreign}");
        }
    }
}
