use std::collections::{BTreeMap, BTreeSet};

/// The timers of one domain, with the undo of one call.
#[derive(Default)]
pub struct Timers {
    at: BTreeMap<String, u64>,
    by_time: BTreeSet<(u64, String)>,
    /// When each timer that the call touched was due before, oldest first.
    undo: Vec<(String, Option<u64>)>,
}

impl Timers {
    pub fn keep(&mut self) {
        self.undo.clear();
    }

    pub fn undo(&mut self) {
        while let Some((name, before)) = self.undo.pop() {
            self.put(&name, before);
        }
    }

    fn put(&mut self, name: &str, at: Option<u64>) -> Option<u64> {
        let before = match at {
            Some(at) => self.at.insert(name.to_owned(), at),
            None => self.at.remove(name),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, name.to_owned()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, name.to_owned()));
        }
        before
    }

    /// `None` takes it away. When it was due before.
    pub fn change(&mut self, name: &str, at: Option<u64>) -> Option<u64> {
        let before = self.put(name, at);
        self.undo.push((name.to_owned(), before));
        before
    }

    /// The first timer that is due at `now`, by time and then by name.
    pub fn due(&self, now: u64) -> Option<(u64, String)> {
        self.by_time.first().filter(|(at, _)| *at <= now).cloned()
    }

    pub fn all(&self) -> &BTreeMap<String, u64> {
        &self.at
    }
}
