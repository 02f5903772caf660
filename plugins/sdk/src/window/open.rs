use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::shape::{self, Shape};
use super::{Aggregate, Window};

/// The windows of one key that may still change: an entry of the cache.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "A: Serialize + DeserializeOwned")]
pub struct Open<A> {
    /// When the timer of the key is due; it may stand earlier than needed.
    pub timer: Option<u64>,
    /// By start, then by end. Sessions do not meet.
    pub windows: Vec<Pane<A>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "A: Serialize + DeserializeOwned")]
pub struct Pane<A> {
    pub start: u64,
    pub end: u64,
    /// Whether a result with these bounds has come already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fired: bool,
    pub state: A,
}

impl<A> Default for Open<A> {
    fn default() -> Self {
        Self { timer: None, windows: Vec::new() }
    }
}

impl<A> Pane<A> {
    pub fn holds(&self, timestamp: u64) -> bool {
        self.start <= timestamp && timestamp < self.end
    }
}

impl<A: Aggregate> Open<A> {
    /// Adds a value to its windows that are not closed; whether there is one.
    pub fn add(&mut self, shape: Shape, timestamp: u64, value: A::Value, closed: impl Fn(u64) -> bool) -> bool {
        match shape {
            Shape::Sliding { length, slide } => {
                let mut windows = shape::sliding(length, slide, timestamp).filter(|(_, end)| !closed(*end)).peekable();
                let counted = windows.peek().is_some();
                windows.for_each(|bounds| self.add_to_window(bounds, timestamp, value.clone()));
                counted
            }
            Shape::Session { gap } => self.add_to_session(timestamp.saturating_add(gap), timestamp, value, closed),
        }
    }

    fn add_to_window(&mut self, (start, end): (u64, u64), timestamp: u64, value: A::Value) {
        match self.windows.binary_search_by_key(&(start, end), |window| (window.start, window.end)) {
            Ok(at) => self.windows[at].state.add(timestamp, value),
            Err(at) => self.windows.insert(at, Pane { start, end, fired: false, state: A::first(timestamp, value) }),
        }
    }

    /// A session is merged with those that it meets, and stands or falls with them.
    fn add_to_session(&mut self, end: u64, timestamp: u64, value: A::Value, closed: impl Fn(u64) -> bool) -> bool {
        let from = self.windows.partition_point(|session| session.end < timestamp);
        let to = self.windows.partition_point(|session| session.start <= end);
        let last = self.windows[from..to].iter().map(|session| session.end).fold(end, u64::max);
        if closed(last) {
            return false;
        }
        let mut met = self.windows.drain(from..to);
        let session = match met.next() {
            None => Pane { start: timestamp, end, fired: false, state: A::first(timestamp, value) },
            Some(mut session) => {
                met.by_ref().for_each(|later| session.state.merge(later.state));
                session.state.add(timestamp, value);
                session.fired &= session.start <= timestamp && session.end == last;
                Pane { start: session.start.min(timestamp), end: last, ..session }
            }
        };
        drop(met);
        self.windows.insert(from, session);
        true
    }

    /// The results of the windows that `ripe` picks.
    pub fn fire(&mut self, key: &str, ripe: impl Fn(&Pane<A>) -> bool) -> Vec<Window<A::Output>> {
        let ripe = self.windows.iter_mut().filter(|window| ripe(window));
        let result = |window: &mut Pane<A>| Window {
            key: key.to_owned(),
            start: window.start,
            end: window.end,
            updated: std::mem::replace(&mut window.fired, true),
            result: window.state.output(),
        };
        ripe.map(result).collect()
    }
}
