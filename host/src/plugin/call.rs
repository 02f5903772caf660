//! One call of a plugin.

use super::failure::Failure;
use super::instance::{Emitted, Instance};
use crate::record::Record;
use crate::state::{Cache, Timer};

/// What a plugin is called with.
#[derive(Clone, Copy)]
pub enum Call<'a> {
    /// `process`, with a record that came out of an earlier stage's timer where one is given.
    Process(&'a Record<'a>, Option<&'a Timer>),
    /// `on-timer`; the record stands in for one of the source, and tells topic and partition.
    OnTimer(&'a Record<'a>, &'a Timer),
}

impl<'a> Call<'a> {
    /// Makes it at `now_ms`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`Instance::process`] and [`Instance::on_timer`].
    pub fn make(self, instance: &mut Instance, now_ms: u64, cache: &mut Box<Cache>) -> Result<Vec<Emitted>, Failure> {
        match self {
            Call::Process(record, timer) => instance.process(record, timer, now_ms, cache),
            Call::OnTimer(source, timer) => instance.on_timer(source, timer, now_ms, cache),
        }
    }

    pub fn record(self) -> &'a Record<'a> {
        match self {
            Call::Process(record, _) | Call::OnTimer(record, _) => record,
        }
    }

    /// The timer that it comes from.
    pub fn timer(self) -> Option<&'a Timer> {
        match self {
            Call::Process(_, timer) => timer,
            Call::OnTimer(_, timer) => Some(timer),
        }
    }
}
