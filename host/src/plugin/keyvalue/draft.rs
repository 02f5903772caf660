//! `wasi:keyvalue@0.2.0-draft`, mapped onto the newer draft.

use wasmtime::component::Resource;

use super::Bucket;
use crate::plugin::abi::keyvalue::draft::wasi::keyvalue::{atomics, batch, store};
use crate::plugin::abi::keyvalue::draft2::wasi::keyvalue as newer;
use crate::plugin::instance::Guest;

impl From<newer::store::Error> for store::Error {
    fn from(error: newer::store::Error) -> store::Error {
        match error {
            newer::store::Error::NoSuchStore => store::Error::NoSuchStore,
            newer::store::Error::AccessDenied => store::Error::AccessDenied,
            newer::store::Error::Other(text) => store::Error::Other(text),
        }
    }
}

fn other<T>(text: &str) -> wasmtime::Result<Result<T, store::Error>> {
    Ok(Err(store::Error::Other(text.to_owned())))
}

impl store::Host for Guest {
    fn open(&mut self, identifier: String) -> wasmtime::Result<Result<Resource<Bucket>, store::Error>> {
        Ok(newer::store::Host::open(self, identifier)?.map_err(Into::into))
    }
}

impl store::HostBucket for Guest {
    fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, store::Error>> {
        Ok(newer::store::HostBucket::get(self, bucket, key)?.map_err(Into::into))
    }

    fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), store::Error>> {
        Ok(newer::store::HostBucket::set(self, bucket, key, value)?.map_err(Into::into))
    }

    fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<(), store::Error>> {
        Ok(newer::store::HostBucket::delete(self, bucket, key)?.map_err(Into::into))
    }

    fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> wasmtime::Result<Result<bool, store::Error>> {
        Ok(newer::store::HostBucket::exists(self, bucket, key)?.map_err(Into::into))
    }

    fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> wasmtime::Result<Result<store::KeyResponse, store::Error>> {
        let after = match cursor {
            None => None,
            Some(cursor) => match self.pages.end(cursor) {
                Some(end) => Some(end.to_owned()),
                None => return other("this cursor is good no longer: list from the start"),
            },
        };
        Ok(match newer::store::HostBucket::list_keys(self, bucket, after)? {
            Ok(newer::store::KeyResponse { keys, cursor }) => {
                Ok(store::KeyResponse { keys, cursor: cursor.map(|end| self.pages.give(end)) })
            }
            Err(error) => Err(error.into()),
        })
    }

    fn drop(&mut self, _: Resource<Bucket>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl atomics::Host for Guest {
    /// Counters here have no sign; the cache's have one.
    fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> wasmtime::Result<Result<u64, store::Error>> {
        let Ok(delta) = i64::try_from(delta) else {
            return other("the sum leaves 63 bits");
        };
        if self.cache.get(&key)?.is_some_and(|value| value.starts_with(b"-")) {
            return other("the value is below zero, which wasi:keyvalue@0.2.0-draft has no type for");
        }
        let sum = newer::atomics::Host::increment(self, bucket, key, delta)?;
        Ok(sum.map(i64::cast_unsigned).map_err(Into::into))
    }
}

impl batch::Host for Guest {
    fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<(String, Vec<u8>)>>, store::Error>> {
        Ok(newer::batch::Host::get_many(self, bucket, keys)?.map_err(Into::into))
    }

    fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<(), store::Error>> {
        Ok(newer::batch::Host::set_many(self, bucket, entries)?.map_err(Into::into))
    }

    fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<(), store::Error>> {
        Ok(newer::batch::Host::delete_many(self, bucket, keys)?.map_err(Into::into))
    }
}
