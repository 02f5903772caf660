//! Calls of [`Timed::on_timer`](crate::Timed::on_timer) at a later time. A
//! timer is kept with the cache, so it is undone with a record that fails, moves
//! with its partition and outlives a restart where the cache does. Only a
//! plugin that exports `Timed` may have timers.
//!
//! Event time is told by the records: the watermark of a partition is the largest
//! timestamp seen less the pipeline's `max-out-of-orderness`, and a timer is due
//! when the watermark is its time or later. It runs before the record that took
//! the watermark there. Processing time is the host's clock.

use crate::{Failure, Input, clock, reject};

#[cfg(target_arch = "wasm32")]
use crate::bindings::gregor::plugin::timers as imports;
pub use crate::bindings::gregor::plugin::timers::Domain;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::imports::timers as imports;

/// The longest name of a timer, in bytes; the shortest has one.
pub const MAX_NAME: usize = 256;

/// Has `on_timer` called with `name` at `at`, in milliseconds since the Unix
/// epoch; a timer of the same domain and name is replaced.
///
/// # Errors
/// A reject for a name that is not 1 to [`MAX_NAME`] bytes long, for a time of more
/// than 63 bits, when the cache is full, and when the plugin does not export `Timed`.
pub fn schedule(domain: Domain, name: &str, at: u64) -> Result<(), Failure> {
    imports::schedule(domain, name, at).map_err(|reason| reject(format!("no timer could be scheduled: {reason}")))
}

/// The time of a record in a domain: its timestamp, or when the host polled it.
pub fn time_of(domain: Domain, record: &Input) -> u64 {
    match domain {
        Domain::EventTime => record.timestamp,
        Domain::ProcessingTime => clock::now(),
    }
}

/// Whether there was such a timer; it is gone.
pub fn cancel(domain: Domain, name: &str) -> bool {
    imports::cancel(domain, name)
}

/// Event time of this partition, in milliseconds since the Unix epoch: a record
/// with an earlier timestamp came late. In `process` it takes account of the
/// record in work already. `None` before the first record.
pub fn watermark() -> Option<u64> {
    imports::watermark()
}
