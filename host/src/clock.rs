//! Clocks of a worker.

use std::time::{Duration, Instant, SystemTime};

/// The time of a record.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The last reading of the clock: when the record was polled, then the end
    /// of each call of a plugin.
    pub instant: Instant,
    /// When the record was polled, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
}

/// Reads the monotonic clock for each record and the wall clock only when a
/// quarter of a second has passed: on some machines a reading takes long.
pub struct Clock {
    /// The last tick.
    pub instant: Instant,
    set_at: Instant,
    set_to_ms: u64,
}

impl Clock {
    const TRUSTED: Duration = Duration::from_millis(250);

    pub fn start() -> Clock {
        let instant = Instant::now();
        Clock { instant, set_at: instant, set_to_ms: wall_ms() }
    }

    pub fn tick(&mut self) -> Now {
        self.instant = Instant::now();
        if self.instant.duration_since(self.set_at) > Self::TRUSTED {
            (self.set_at, self.set_to_ms) = (self.instant, wall_ms());
        }
        self.read()
    }

    /// As of the last tick.
    pub fn read(&self) -> Now {
        let since = self.instant.duration_since(self.set_at).as_millis() as u64;
        Now { instant: self.instant, wall_ms: self.set_to_ms + since }
    }
}

/// Milliseconds since the Unix epoch.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
