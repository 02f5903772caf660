//! Cursors of the older draft, which are numbers: the host remembers what they
//! stand for.

use std::collections::VecDeque;

/// So many cursors of an instance are good at once; each is as long as a key.
const KEPT: usize = 64;

/// The last keys of the pages that were listed last.
#[derive(Default)]
pub struct Pages {
    ends: VecDeque<String>,
    /// Cursors given in all: the newest one's number.
    given: u64,
}

impl Pages {
    /// A cursor that stands for `end`; the oldest one is forgotten for it.
    pub fn give(&mut self, end: String) -> u64 {
        if self.ends.len() == KEPT {
            self.ends.pop_front();
        }
        self.ends.push_back(end);
        self.given += 1;
        self.given
    }

    /// What `cursor` stands for, unless it is forgotten or was never given.
    pub fn end(&self, cursor: u64) -> Option<&str> {
        let back = usize::try_from(self.given.checked_sub(cursor)?).ok()?;
        let index = self.ends.len().checked_sub(back + 1)?;
        self.ends.get(index).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_cursors_are_known_and_older_or_other_ones_are_not() {
        let mut pages = Pages::default();
        assert_eq!((pages.end(0), pages.end(1), pages.end(u64::MAX)), (None, None, None));
        for n in 1..=100_u64 {
            assert_eq!(pages.give(n.to_string()), n);
        }
        let known: Vec<u64> = (0..=101).filter(|cursor| pages.end(*cursor).is_some()).collect();
        assert_eq!(known, (37..=100).collect::<Vec<_>>());
        assert_eq!(pages.end(37), Some("37"));
        assert_eq!(pages.end(100), Some("100"));
    }
}
