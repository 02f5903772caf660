//! Errors of the host's interfaces as failures, so that `?` works in
//! [`Plugin::process`](crate::Plugin::process).

use crate::{Failure, cache, config, reject};

impl From<cache::Error> for Failure {
    fn from(error: cache::Error) -> Self {
        match error {
            cache::Error::QuotaExceeded(limit) => {
                reject(format!("the cache of this partition is full at {limit} bytes: raise the stage's cache limit"))
            }
            cache::Error::ValueTooLarge(limit) => {
                reject(format!("a cache value is longer than {limit} bytes: raise the stage's value limit"))
            }
            cache::Error::InvalidKey(_) => reject("a cache key is not 1 to 512 bytes long, or begins with U+10FFFF"),
            cache::Error::NotANumber => {
                reject("a cache value to increment is not a decimal 64-bit integer".to_string())
            }
        }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let (config::Error::Upstream(reason) | config::Error::Io(reason)) = error;
        Failure::Retry(format!("the stage's config could not be read: {reason}"))
    }
}
