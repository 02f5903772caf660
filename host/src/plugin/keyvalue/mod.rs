//! The standard door to the cache: `wasi:keyvalue`, for components that were not
//! written for Gregor. It leads to the very entries of `gregor:plugin/cache`.
//!
//! Both drafts in use are served; the older one is mapped onto the newer.

mod draft;
mod draft2;
mod pages;

use wasmtime::component::{HasSelf, Linker};
use xxhash_rust::xxh3::xxh3_128;

pub use self::pages::Pages;
use super::abi::keyvalue;
use super::abi::keyvalue::draft2::wasi::keyvalue::store::Error;
use super::abi::v1::gregor::plugin::cache;
use super::imports::told;
use super::instance::Guest;
use crate::state::{CacheError, StateError};

/// An open store. There is one for each call, the cache lent to it, so a handle
/// holds nothing: one that is kept from record to record sees its task's cache.
pub struct Bucket;

/// What a plugin means to replace, as long as nothing else has.
pub struct Cas {
    key: String,
    /// Hash of the value that stood there. Not the value: handles outlive calls,
    /// and a plugin may have a thousand of them.
    stood: Option<u128>,
}

pub fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    keyvalue::draft2::Imports::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    keyvalue::draft::Imports::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

/// As in `cache`, an error for what the plugin may know and a trap for the rest.
impl Guest {
    fn put(&mut self, key: &str, value: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        let outcome = self.cache.set(key, value, None);
        self.answered(outcome)
    }

    fn answered<T>(&mut self, outcome: Result<T, CacheError>) -> wasmtime::Result<Result<T, Error>> {
        Ok(told(outcome, self.scope.cache, &mut self.refusals)?.map_err(refused))
    }

    /// Hash of what stands under `key`.
    fn standing(&mut self, key: &str) -> Result<Option<u128>, StateError> {
        Ok(self.cache.get(key)?.map(xxh3_128))
    }
}

/// `wasi:keyvalue` knows no cases for these.
fn refused(error: cache::Error) -> Error {
    Error::Other(match error {
        cache::Error::QuotaExceeded(limit) => {
            format!("the entries of this task would pass `state.max-bytes` ({limit} bytes)")
        }
        cache::Error::ValueTooLarge(limit) => format!("the value is longer than `state.max-value` ({limit} bytes)"),
        cache::Error::InvalidKey(rule) => rule,
        cache::Error::NotANumber => "the value is no decimal 64-bit integer, or the sum leaves 64 bits".into(),
    })
}
