//! The host's interfaces as plugins call them, answered by the tester's sandbox.

use super::sandbox::within;

pub mod cache {
    use super::within;
    use crate::cache::Error;

    /// The value under `key`, if there is one.
    pub fn get(key: &str) -> Option<Vec<u8>> {
        within(|host| host.cache.get(key, host.now).map(<[u8]>::to_vec))
    }

    /// In the order of `keys`. The plugin traps when the values found come to more
    /// than 8 MiB: ask for fewer at once.
    pub fn get_many(keys: &[String]) -> Vec<Option<Vec<u8>>> {
        keys.iter().map(|key| get(key)).collect()
    }

    /// Writes an entry. Without `ttl_ms` it stays until it is deleted, else so many
    /// milliseconds of processing time.
    ///
    /// # Errors
    /// When the key is no key; in the host also when a limit is passed.
    pub fn set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), Error> {
        within(|host| host.cache.set(key, value, ttl_ms, host.now))
    }

    /// Whether there was such an entry.
    pub fn delete(key: &str) -> bool {
        within(|host| host.cache.delete(key, host.now))
    }

    /// Adds to a decimal integer, absent as 0, and returns the sum.
    ///
    /// # Errors
    /// [`Error::NotANumber`] where there is no such integer or the sum leaves 64
    /// bits, else as [`set`].
    pub fn increment(key: &str, delta: i64) -> Result<i64, Error> {
        within(|host| host.cache.increment(key, delta, host.now))
    }

    /// Entries whose key starts with `prefix`, by key's bytes, after `after`, at
    /// most `limit` (and at most 1,000). Fewer may come than asked for once their
    /// keys and values pass 1 MiB: page until the list is empty.
    pub fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Vec<(String, Vec<u8>)> {
        within(|host| host.cache.scan(prefix, after, limit as usize, host.now))
    }
}

pub mod timers {
    use super::within;
    use crate::timers::{Domain, MAX_NAME};

    pub fn schedule(domain: Domain, name: &str, at: u64) -> Result<(), String> {
        within(|host| {
            if !host.timed {
                return Err("the plugin does not export `timer-processor`".into());
            }
            if i64::try_from(at).is_err() {
                return Err("a timer's time is at most 63 bits of milliseconds".into());
            }
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(format!("the name has {} bytes, not 1 to {MAX_NAME}", name.len()));
            }
            host.timers(domain).change(name, Some(at));
            Ok(())
        })
    }

    pub fn cancel(domain: Domain, name: &str) -> bool {
        within(|host| host.timers(domain).change(name, None).is_some())
    }

    pub fn watermark() -> Option<u64> {
        within(|host| host.watermark)
    }
}

pub mod metrics {
    use super::within;

    /// Adds to a counter.
    pub fn count(name: &str, by: u64) {
        within(|host| *host.counts.entry(name.to_owned()).or_default() += by);
    }

    /// Sets a gauge.
    pub fn observe(name: &str, value: f64) {
        within(|host| host.gauges.insert(name.to_owned(), value));
    }
}

pub mod logging {
    use super::super::sandbox::Line;
    use super::within;
    use crate::logging::Level;

    /// A log line; the macros write its `context`.
    pub fn log(level: Level, context: &str, message: &str) {
        within(|host| host.lines.push(Line { level, context: context.to_owned(), text: message.to_owned() }));
    }
}

pub mod config {
    use super::within;
    use crate::config::{Error, Kept};

    /// The value of `key`, if the stage's `config` has one.
    ///
    /// # Errors
    /// When the host cannot tell.
    pub fn get(key: &str) -> Result<Option<String>, Error> {
        within(|host| Ok(host.config.get(key).cloned()))
    }

    /// All names and values.
    ///
    /// # Errors
    /// When the host cannot tell.
    pub fn get_all() -> Result<Vec<(String, String)>, Error> {
        within(|host| Ok(host.config.clone().into_iter().collect()))
    }

    pub(crate) fn with_kept<R>(look: impl FnOnce(&mut Kept) -> R) -> R {
        within(|host| look(&mut host.kept))
    }
}

pub mod clock {
    use super::within;

    /// When the host polled the record or found the timer due, in milliseconds
    /// since the Unix epoch. A record that is processed again after a crash has
    /// another: where outputs must come out the same, take the record's timestamp.
    pub fn now() -> u64 {
        within(|host| host.now)
    }
}
