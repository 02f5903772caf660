//! Windows of event time over the records of a key: tumbling, sliding, session.
//!
//! ```
//! use std::time::Duration;
//! use gregor_sdk::timers::Domain;
//! use gregor_sdk::window::{Added, Count, Windows};
//! use gregor_sdk::{Failure, Input, Output, Plugin, Timed};
//!
//! struct PerMinute;
//!
//! fn windows() -> Result<Windows<Count>, Failure> {
//!     Ok(Windows::tumbling("per-minute", Duration::from_secs(60))?)
//! }
//!
//! impl Plugin for PerMinute {
//!     fn process(record: Input) -> Result<Vec<Output>, Failure> {
//!         match windows()?.add(record.key_text()?, record.timestamp, ())? {
//!             Added::Counted(_) => Ok(vec![]),
//!             Added::Late => Ok(vec![record.forward().with_topic(Some("late".into()))]),
//!         }
//!     }
//! }
//!
//! impl Timed for PerMinute {
//!     fn on_timer(domain: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
//!         let results = windows()?.on_timer(domain, &name, at)?;
//!         results.into_iter().map(|window| Output::json(window.key.into_bytes(), &window.result)).collect()
//!     }
//! }
//!
//! gregor_sdk::export!(PerMinute: Timed);
//! ```
//!
//! A record belongs to the windows that hold its timestamp. A window starts at a
//! multiple of its length (of its slide) since the Unix epoch; its end is not in
//! it. Its result comes when the watermark has reached its end, in the call of the
//! timer, ordered by end and then by key. With an allowed lateness it comes again
//! for each record that is added after that, in the call of that record; with
//! [`Windows::once`] it comes once, when the lateness is over. A record none of
//! whose windows is still open is late: [`Added::Late`] hands it back.
//!
//! All windows of a key are one entry of the cache and one timer, so what grows
//! is the number of keys with an open window; nothing is left of a key once all
//! its windows are closed.

mod aggregate;
mod number;
mod open;
mod shape;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use aggregate::{Aggregate, Count, Last, Max, Mean, Min, Sum};

use crate::state::{Entry, millis};
use crate::timers::{self, Domain};
use crate::{Failure, reject};
use open::Open;
use shape::Shape;

/// Bytes of a name and a key together, with the `/` between: what is a timer's name.
pub const MAX_KEY: usize = timers::MAX_NAME;

/// Windows of one kind, all aggregated by an `A`.
#[derive(Debug, Clone)]
pub struct Windows<A> {
    name: &'static str,
    shape: Shape,
    /// Milliseconds.
    lateness: u64,
    once: bool,
    aggregate: std::marker::PhantomData<fn(A) -> A>,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Added<R> {
    /// It is in its windows. Of those that had reached their end before it came,
    /// within the allowed lateness, these are the results now.
    Counted(Vec<Window<R>>),
    /// All its windows are closed, and it is in none.
    Late,
}

/// The result of one window of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Window<R> {
    /// As it was added.
    pub key: String,
    /// The first millisecond of it, since the Unix epoch.
    pub start: u64,
    /// The first millisecond after it.
    pub end: u64,
    /// Whether it takes the place of a result that came before, from late records.
    pub updated: bool,
    /// What the aggregate says.
    pub result: R,
}

/// Why windows cannot be as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid(String);

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        reject(invalid.0)
    }
}

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.0
    }
}

impl<A: Aggregate + Serialize + DeserializeOwned> Windows<A> {
    fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, lateness: 0, once: false, aggregate: std::marker::PhantomData }
    }

    /// One after the other, without gap or overlap: what Flink and Kafka Streams
    /// call tumbling. `name` is of this plugin's own choice and part of the cache's
    /// keys and the timers' names.
    ///
    /// # Errors
    /// [`Invalid`] for a length below a millisecond.
    pub fn tumbling(name: &'static str, length: Duration) -> Result<Self, Invalid> {
        Self::sliding(name, length, length)
    }

    /// One of `length` that starts every `slide`, so that a record is in
    /// `length / slide` of them: Flink's sliding windows, Kafka Streams' hopping
    /// windows. (What Kafka Streams calls sliding, a window for each record, is not
    /// here.)
    ///
    /// # Errors
    /// [`Invalid`] for a slide below a millisecond, one longer than the windows, and
    /// one that puts a record in more than 1,000 windows.
    pub fn sliding(name: &'static str, length: Duration, slide: Duration) -> Result<Self, Invalid> {
        Ok(Self::new(name, Shape::sliding(millis(length), millis(slide)).map_err(Invalid)?))
    }

    /// Records that are at most `gap` apart; ends `gap` after the last of them. A
    /// record between two sessions makes them one.
    ///
    /// # Errors
    /// [`Invalid`] for a gap below a millisecond.
    pub fn session(name: &'static str, gap: Duration) -> Result<Self, Invalid> {
        Ok(Self::new(name, Shape::session(millis(gap)).map_err(Invalid)?))
    }

    /// How long a window is kept after the watermark has reached its end: none by
    /// default. Flink's allowed lateness, Kafka Streams' grace.
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness: millis(lateness), ..self }
    }

    /// One result for each window, when the allowed lateness is over, as Kafka
    /// Streams' `suppress(untilWindowCloses)`. The default is as in Flink: at the
    /// window's end, and then for each late record.
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }

    fn entry(&self, name: &str) -> Entry<Open<A>> {
        Entry::at(name)
    }

    fn timer(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }

    /// Adds `value`, at its record's timestamp in milliseconds since the Unix epoch,
    /// to the windows of `key`.
    ///
    /// # Errors
    /// A reject for a key that is longer with the windows' name than [`MAX_KEY`], for
    /// a window that ends past 63 bits of milliseconds, for an entry that is not of
    /// these windows, and where the cache is full.
    pub fn add(&self, key: &str, timestamp: u64, value: A::Value) -> Result<Added<A::Output>, Failure> {
        let name = self.timer(key);
        if name.len() > MAX_KEY {
            return Err(reject(format!(
                "the key of a window is {} bytes long: at most {} are allowed",
                key.len(),
                MAX_KEY.saturating_sub(self.name.len() + 1)
            )));
        }
        let entry = self.entry(&name);
        let mut open = entry.get()?.unwrap_or_default();
        let watermark = timers::watermark().unwrap_or(0);
        let closed = |end: u64| self.closes(end) <= watermark;
        if !open.add(self.shape, timestamp, value, closed) {
            return Ok(Added::Late);
        }
        let results = match self.once {
            true => Vec::new(),
            false => open.fire(key, |window| window.holds(timestamp) && window.end <= watermark),
        };
        self.schedule(&name, &mut open, Some(watermark))?;
        entry.set(&open)?;
        Ok(Added::Counted(results))
    }

    /// To be called by [`Timed::on_timer`](crate::Timed::on_timer) with what it is
    /// given. Results of the key whose timer it is; none where the timer is another's.
    ///
    /// # Errors
    /// A reject for an entry that is not of these windows.
    pub fn on_timer(&self, domain: Domain, name: &str, at: u64) -> Result<Vec<Window<A::Output>>, Failure> {
        let Some(key) = self.own(domain, name) else { return Ok(Vec::new()) };
        let entry = self.entry(name);
        let Some(mut open) = entry.get()? else { return Ok(Vec::new()) };
        let results = open.fire(key, |window| !window.fired && self.due(window.end, false) <= at);
        open.windows.retain(|window| self.closes(window.end) > at);
        open.timer = None;
        if open.windows.is_empty() {
            entry.delete();
        } else {
            self.schedule(name, &mut open, None)?;
            entry.set(&open)?;
        }
        Ok(results)
    }

    /// Whether a timer is of these windows, where a plugin has others too.
    pub fn owns(&self, domain: Domain, name: &str) -> bool {
        self.own(domain, name).is_some()
    }

    fn own<'a>(&self, domain: Domain, name: &'a str) -> Option<&'a str> {
        let key = name.strip_prefix(self.name)?.strip_prefix('/')?;
        (domain == Domain::EventTime).then_some(key)
    }

    /// Drops the open windows of `key` without a result; whether there were any.
    pub fn forget(&self, key: &str) -> bool {
        let name = self.timer(key);
        timers::cancel(Domain::EventTime, &name);
        self.entry(&name).delete()
    }

    /// When a window takes no more records.
    fn closes(&self, end: u64) -> u64 {
        end.saturating_add(self.lateness)
    }

    /// When something is to be done about a window next.
    fn due(&self, end: u64, fired: bool) -> u64 {
        if fired || self.once { self.closes(end) } else { end }
    }

    /// A timer for what is due first. One that stands earlier is left to find that
    /// nothing is due: a session that grows would move its timer with each record.
    fn schedule(&self, name: &str, open: &mut Open<A>, watermark: Option<u64>) -> Result<(), Failure> {
        let Some(first) = open.windows.iter().map(|window| self.due(window.end, window.fired)).min() else {
            return Ok(());
        };
        // A timer that the watermark has passed failed for good, and is not there any more.
        let stands = open.timer.is_some_and(|at| at <= first && watermark.is_none_or(|watermark| at > watermark));
        if !stands {
            timers::schedule(Domain::EventTime, name, first)?;
            open.timer = Some(first);
        }
        Ok(())
    }
}
