//! Log lines that can repeat: the first one at once, then one every 30 s at
//! most, which says how many were left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines about the same thing.
const QUIET: Duration = Duration::from_secs(30);
/// Things that are remembered at a time; the oldest is forgotten first.
const MOST: usize = 256;

/// Decides whether a line that can repeat is written. `K` is what the line is
/// about, such as a topic partition; `()` where there is one thing only.
///
/// ```
/// # use gregor::repeated::Repeated;
/// static AWAY: Repeated = Repeated::new();
///
/// if let Some(suppressed) = AWAY.line() {
///     tracing::warn!(suppressed, "the state store does not answer");
/// }
/// ```
#[derive(Debug)]
pub struct Repeated<K = ()>(Mutex<Vec<Last<K>>>);

#[derive(Debug)]
struct Last<K> {
    about: K,
    at: Instant,
    suppressed: u64,
}

impl<K: PartialEq> Repeated<K> {
    pub const fn new() -> Repeated<K> {
        Repeated(Mutex::new(Vec::new()))
    }

    /// Whether to write the line about `about` now; then the number of lines
    /// that were left out since the last one.
    pub fn line_about(&self, about: K) -> Option<u64> {
        self.line_at(about, Instant::now())
    }

    /// Forgets `about`: the next line about it is written at once.
    pub fn over(&self, about: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|last| last.about != *about);
    }

    fn line_at(&self, about: K, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.iter_mut().find(|last| last.about == about) {
            Some(last) if now.duration_since(last.at) < QUIET => {
                last.suppressed += 1;
                None
            }
            Some(last) => {
                last.at = now;
                Some(std::mem::take(&mut last.suppressed))
            }
            None => {
                if lines.len() >= MOST {
                    lines.remove(0);
                }
                lines.push(Last { about, at: now, suppressed: 0 });
                Some(0)
            }
        }
    }
}

impl Repeated {
    /// As [`Repeated::line_about`], where there is one thing only.
    pub fn line(&self) -> Option<u64> {
        self.line_about(())
    }
}

impl<K: PartialEq> Default for Repeated<K> {
    fn default() -> Repeated<K> {
        Repeated::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_repeats_is_counted_not_written() {
        let (lines, start) = (Repeated::new(), Instant::now());
        let at = |seconds| lines.line_at("a", start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(29), at(30), at(31), at(60)], [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn lines_about_other_things_are_written() {
        let (lines, now) = (Repeated::new(), Instant::now());
        assert_eq!([1, 2, 1, 2].map(|about| lines.line_at(about, now)), [Some(0), Some(0), None, None]);
        lines.over(&1);
        assert_eq!([1, 2].map(|about| lines.line_at(about, now)), [Some(0), None]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (lines, now) = (Repeated::new(), Instant::now());
        (0..10 * MOST).for_each(|about| assert_eq!(lines.line_at(about, now), Some(0)));
        assert_eq!(lines.0.lock().unwrap().len(), MOST);
    }
}
