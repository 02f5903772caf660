//! What a plugin can call of ours: cache, timers, metrics, logging and config.

use wasmtime::component::{HasSelf, Linker};

use super::abi::v1;
use super::abi::v1::gregor::plugin::{cache, metrics, timers, types};
use super::abi::v1::wasi::config::store as config;
use super::abi::v1::wasi::logging::logging;
use super::instance::Guest;
use super::limits::{CallMemory, Overrun, Refusals, Soft};
use crate::config::LogLevel;
use crate::state::{CacheError, CacheLimits};

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

impl config::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, config::Error>> {
        Ok(Ok(self.scope.config.get(&key).cloned()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, config::Error>> {
        Ok(Ok(self.scope.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect()))
    }
}
