//! What a plugin can call of ours: cache, timers, metrics, logging and config.

use std::collections::BTreeMap;

use wasmtime::component::{HasSelf, Linker};

use super::abi::v1;
use super::abi::v1::gregor::plugin::{cache, metrics, timers, types};
use super::abi::v1::wasi::config::store as config;
use super::abi::v1::wasi::logging::logging;
use super::instance::Guest;
use super::limits::{CallMemory, Overrun, Refusals, Soft};
use crate::config::LogLevel;
use crate::plan::CacheLimits;
use crate::state::CacheError;

/// Bytes that one `get-many` may return; the plugin traps past it.
const MAX_GET_MANY_BYTES: u64 = 8 << 20;

pub fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    v1::Plugin::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

/// What the plugin hears of a refused write; a store that failed ends the call.
pub(super) fn told<T>(
    outcome: Result<T, CacheError>,
    limits: CacheLimits,
    refusals: &mut Refusals,
) -> wasmtime::Result<Result<T, cache::Error>> {
    Ok(Err(match outcome {
        Ok(done) => return Ok(Ok(done)),
        // As configured: the cache of a replay has other bounds.
        Err(CacheError::QuotaExceeded(_)) => {
            refusals.tell(Soft::CacheBytes, limits.bytes);
            cache::Error::QuotaExceeded(limits.bytes)
        }
        Err(CacheError::ValueTooLarge(limit)) => {
            refusals.tell(Soft::ValueBytes, limit);
            cache::Error::ValueTooLarge(limit)
        }
        Err(CacheError::InvalidKey) => {
            cache::Error::InvalidKey("a key is 1 to 512 bytes of UTF-8 and does not begin with U+10FFFF".into())
        }
        Err(CacheError::NotANumber) => cache::Error::NotANumber,
        Err(CacheError::CallMemory { bytes, limit }) => return Err(CallMemory { bytes, limit }.into()),
        Err(CacheError::Store(error)) => return Err(error.into()),
    }))
}

/// Of a call that tells the plugin of no error: any ends the call.
pub(super) fn ended<T>(outcome: Result<T, CacheError>) -> wasmtime::Result<T> {
    outcome.map_err(|error| match error {
        CacheError::CallMemory { bytes, limit } => CallMemory { bytes, limit }.into(),
        CacheError::Store(error) => error.into(),
        other => wasmtime::format_err!("{other:?}"),
    })
}

impl types::Host for Guest {}

impl cache::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.cache.get(&key)?.map(<[u8]>::to_vec))
    }

    fn get_many(&mut self, keys: Vec<String>) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
        let mut bytes = 0;
        let mut found = Vec::with_capacity(keys.len());
        for key in &keys {
            let value = self.cache.get(key)?.map(<[u8]>::to_vec);
            bytes += value.as_ref().map_or(0, Vec::len) as u64;
            Overrun::check("values of get-many", bytes, MAX_GET_MANY_BYTES)?;
            found.push(value);
        }
        Ok(found)
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> wasmtime::Result<Result<(), cache::Error>> {
        told(self.cache.set(&key, value, ttl_ms), self.scope.cache, &mut self.refusals)
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<bool> {
        ended(self.cache.delete(&key))
    }

    fn increment(&mut self, key: String, delta: i64) -> wasmtime::Result<Result<i64, cache::Error>> {
        told(self.cache.increment(&key, delta), self.scope.cache, &mut self.refusals)
    }

    fn scan(&mut self, prefix: String, after: Option<String>, limit: u32) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        Ok(self.cache.scan(&prefix, after.as_deref(), limit as usize)?)
    }
}

impl timers::Host for Guest {
    fn schedule(&mut self, domain: timers::Domain, name: String, at: u64) -> wasmtime::Result<Result<(), String>> {
        // Some toolchains import the whole world.
        if !self.takes_timers {
            return Ok(Err("no timer can fire: export `timer-processor`, as the world `timed-plugin` has it".into()));
        }
        if i64::try_from(at).is_err() {
            return Ok(Err("a timer's time is at most 63 bits of milliseconds".into()));
        }
        Ok(match told(self.cache.schedule(domain.into(), &name, at), self.scope.cache, &mut self.refusals)? {
            Ok(()) => Ok(()),
            Err(cache::Error::QuotaExceeded(limit)) => Err(format!("the cache would have more than {limit} bytes")),
            Err(cache::Error::ValueTooLarge(limit)) => {
                Err(format!("a timer's time takes more than the {limit} bytes of a value"))
            }
            Err(_) => Err("a timer's name is 1 to 256 bytes of UTF-8".into()),
        })
    }

    fn cancel(&mut self, domain: timers::Domain, name: String) -> wasmtime::Result<bool> {
        ended(self.cache.cancel(domain.into(), &name))
    }

    fn watermark(&mut self) -> wasmtime::Result<Option<u64>> {
        Ok(self.cache.watermark())
    }
}

impl metrics::Host for Guest {
    fn count(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        self.counts.count(name, by);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.counts.observe(name, value);
        Ok(())
    }
}

impl logging::Host for Guest {
    fn log(&mut self, level: logging::Level, context: String, message: String) -> wasmtime::Result<()> {
        let level = match level {
            logging::Level::Trace => LogLevel::Trace,
            logging::Level::Debug => LogLevel::Debug,
            logging::Level::Info => LogLevel::Info,
            logging::Level::Warn => LogLevel::Warn,
            logging::Level::Error | logging::Level::Critical => LogLevel::Error,
        };
        self.lines.write(level, &context, &message);
        Ok(())
    }
}

/// The value of a key, which a variable of the environment may have written in
/// another way: it knows neither case nor `-`, `_` and `.`.
fn configured<'a>(config: &'a BTreeMap<String, String>, key: &str) -> Option<&'a String> {
    fn spelt(key: &str) -> impl Iterator<Item = char> {
        key.chars().filter(|symbol| !matches!(symbol, '-' | '_' | '.')).flat_map(char::to_lowercase)
    }
    let alike = || config.iter().find(|(name, _)| spelt(name).eq(spelt(key))).map(|(_, value)| value);
    config.get(key).or_else(alike)
}

impl config::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, config::Error>> {
        Ok(Ok(configured(&self.scope.config, &key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, config::Error>> {
        Ok(Ok(self.scope.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_config_is_found_in_any_spelling() {
        let config = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), format!("of {key}"))).collect();
        let one: BTreeMap<String, String> = config(&["max-age", "unit"]);
        for key in ["max-age", "max_age", "max.age", "maxAge", "MAX_AGE"] {
            assert_eq!(configured(&one, key).map(String::as_str), Some("of max-age"), "{key}");
        }
        assert_eq!(configured(&one, "max-ag"), None);
        let both = config(&["max-age", "max_age"]);
        assert_eq!(configured(&both, "max_age").map(String::as_str), Some("of max_age"));
    }
}
