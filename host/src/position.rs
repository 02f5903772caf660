//! Up to where a partition is processed, as the group's committed offset tells it.

/// What begins the metadata of an offset that this host committed.
const MARK: &str = "gregor1";
/// What begins the word that counts redriven dead letters and what was parked.
const REDRIVEN: &str = "redriven=";
/// What begins the word that counts timers.
const TIMERS: &str = "timers=";
/// What begins the word that counts migrations.
const MIGRATED: &str = "migrated=";

/// Up to where a partition is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The offset after the last record that every pipeline is done with.
    pub next: i64,
    pub begun: Option<Begun>,
    /// Dead letters that were redriven, and what was parked and is put through
    /// again. Their commits move no offset, and what they did to the state must be
    /// told from what stood there before.
    pub redriven: u64,
    /// Timers that fired, for the same reason.
    pub timers: u64,
    /// How often the state was taken over, by a version from another or as someone
    /// decided: then by as much as takes it past all that it had before. The same
    /// holds.
    pub migrated: u64,
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
        Position { next, begun: None, redriven: 0, timers: 0, migrated: 0 }
    }

    /// Every pipeline is done with the record at `offset`.
    pub fn past(self, offset: i64) -> Position {
        Position { next: offset + 1, begun: None, ..self }
    }

    /// Up to where the pipeline with this index is, as its stores count: the
    /// next offset, and what changed the state without moving it: dead letters
    /// redriven, parked records released, timers, migrations. Each commit that may
    /// have changed an entry moves it forward.
    pub fn of_pipeline(&self, index: usize) -> i64 {
        let next = match self.begun {
            Some(begun) if index < begun.pipelines => begun.offset.saturating_add(1),
            _ => self.next,
        };
        // Metadata is anyone's who may commit for the group.
        let counts = [self.redriven, self.timers, self.migrated];
        counts.into_iter().fold(next, i64::saturating_add_unsigned)
    }

    /// How many pipelines are done with the record at `offset`.
    pub fn done_with(&self, offset: i64) -> usize {
        self.begun.filter(|begun| begun.offset == offset).map_or(0, |begun| begun.pipelines)
    }

    /// What goes into the offset's metadata: without it a record that one
    /// pipeline retries would pass through those before it once more.
    /// `versions` is the word that names them, where there is one.
    pub fn metadata(&self, versions: Option<String>) -> String {
        let begun = self.begun.map(|begun| format!("{} {}", begun.offset, begun.pipelines));
        let counts = [(REDRIVEN, self.redriven), (TIMERS, self.timers), (MIGRATED, self.migrated)];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{word}{count}"));
        let words: Vec<String> = begun.into_iter().chain(counts).chain(versions).collect();
        marked(words.iter().map(String::as_str))
    }

    /// From a committed offset; metadata that is not ours says nothing.
    pub fn committed(next: i64, metadata: &str) -> Position {
        let mut position = Position::at(next);
        let words: Vec<&str> = words(metadata).collect();
        if let [offset, pipelines, ..] = words[..]
            && let (Ok(offset), Ok(pipelines)) = (offset.parse(), pipelines.parse())
        {
            position.begun = Some(Begun { offset, pipelines }).filter(|begun| begun.offset >= next);
        }
        let count = |of| words.iter().find_map(|word| word.strip_prefix(of)?.parse().ok()).unwrap_or(0);
        (position.redriven, position.timers, position.migrated) = (count(REDRIVEN), count(TIMERS), count(MIGRATED));
        position
    }
}

/// Metadata of these words, marked as ours; empty without words.
pub(super) fn marked<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.fold(String::new(), |metadata, word| match metadata.is_empty() {
        true => format!("{MARK} {word}"),
        false => format!("{metadata} {word}"),
    })
}

/// The words of an offset's metadata; none where it is not ours.
pub(super) fn words(metadata: &str) -> impl Iterator<Item = &str> {
    metadata.strip_prefix(MARK).and_then(|rest| rest.strip_prefix(' ')).into_iter().flat_map(|words| words.split(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_half_done_is_remembered_with_the_offset() {
        let position = Position { begun: Some(Begun { offset: 9, pipelines: 2 }), ..Position::at(7) };
        assert_eq!(Position::committed(7, &position.metadata(None)), position);
        assert_eq!((position.of_pipeline(1), position.of_pipeline(2)), (10, 7));
        assert_eq!((position.done_with(9), position.done_with(8)), (2, 0));
        assert_eq!(Position::at(7).metadata(None), "");
    }

    #[test]
    fn redriven_dead_letters_and_migrations_move_the_position_of_the_state_but_not_the_offset() {
        let plain = Position { redriven: 2, migrated: 1, ..Position::at(7) };
        let begun = Position { begun: Some(Begun { offset: 9, pipelines: 1 }), ..plain };
        for position in [plain, begun] {
            for versions in [None, Some("v=a:b".to_owned())] {
                assert_eq!(Position::committed(7, &position.metadata(versions)), position);
            }
        }
        assert_eq!((plain.of_pipeline(0), begun.of_pipeline(0), begun.of_pipeline(1)), (10, 13, 10));
        assert_eq!(begun.past(9), Position { redriven: 2, migrated: 1, ..Position::at(10) });
    }

    #[test]
    fn timers_move_the_position_of_the_state_too() {
        let plain = Position { timers: 2, ..Position::at(7) };
        let both = Position { redriven: 3, begun: Some(Begun { offset: 9, pipelines: 1 }), ..plain };
        for position in [plain, both] {
            assert_eq!(Position::committed(7, &position.metadata(None)), position);
        }
        assert_eq!((plain.of_pipeline(0), both.of_pipeline(0), both.of_pipeline(1)), (9, 15, 12));
    }

    #[test]
    fn counts_of_any_size_do_not_wrap() {
        let most = u64::MAX;
        let position = Position::committed(7, &format!("gregor1 redriven={most} timers={most} migrated={most}"));
        assert_eq!(position.of_pipeline(0), i64::MAX);
    }

    #[test]
    fn metadata_of_others_says_nothing() {
        for foreign in [
            "",
            "gregor1",
            "gregor1 x 1",
            "gregor1 9",
            "someone 9 2",
            "gregor1 6 1",
            "gregor1 redriven=x",
            "gregor12 9 2",
        ] {
            assert_eq!(Position::committed(7, foreign), Position::at(7), "{foreign}");
        }
    }
}
