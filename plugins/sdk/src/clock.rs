//! The time, which stands still during a call.

/// When the host polled the record or found the timer due, in milliseconds since
/// the Unix epoch. A record that is processed again after a crash has another:
/// where outputs must come out the same, take the record's timestamp.
#[cfg(target_arch = "wasm32")]
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(not(target_arch = "wasm32"))]
pub use crate::testing::imports::clock::now;
