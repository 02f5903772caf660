//! `wasi:keyvalue@0.2.0-draft2`.

use wasmtime::component::Resource;

use super::{Bucket, Cas};
use crate::plugin::abi::keyvalue::draft2::wasi::keyvalue::{atomics, batch, store};
use crate::plugin::abi::v1::gregor::plugin::cache;
use crate::plugin::imports::ended;
use crate::plugin::instance::Guest;
use crate::state::{Cache, CacheError};

/// Keys of one page; a page of large entries is shorter.
const PAGE: usize = 1_000;

impl store::Host for Guest {
    /// A store of the plugin's own has no name to it: what other hosts call their
    /// default one is meant.
    fn open(&mut self, identifier: String) -> wasmtime::Result<Result<Resource<Bucket>, store::Error>> {
        Ok(match &*identifier {
            "" | "default" => Ok(Resource::new_own(0)),
            _ => Err(store::Error::NoSuchStore),
        })
    }
}

impl store::HostBucket for Guest {
    fn get(&mut self, _: Resource<Bucket>, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, store::Error>> {
        Ok(Ok(self.cache.get(&key)?.map(<[u8]>::to_vec)))
    }

    fn set(&mut self, _: Resource<Bucket>, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), store::Error>> {
        self.put(&key, value)
    }

    fn delete(&mut self, _: Resource<Bucket>, key: String) -> wasmtime::Result<Result<(), store::Error>> {
        ended(self.cache.delete(&key))?;
        Ok(Ok(()))
    }

    fn exists(&mut self, _: Resource<Bucket>, key: String) -> wasmtime::Result<Result<bool, store::Error>> {
        Ok(Ok(self.cache.get(&key)?.is_some()))
    }

    /// In the order of the keys' bytes; the cursor is the last key of the page.
    fn list_keys(
        &mut self,
        _: Resource<Bucket>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<store::KeyResponse, store::Error>> {
        let entries = self.cache.scan("", cursor.as_deref(), PAGE)?;
        let keys: Vec<String> = entries.into_iter().map(|(key, _)| key).collect();
        let cursor = keys.last().cloned();
        Ok(Ok(store::KeyResponse { keys, cursor }))
    }

    fn drop(&mut self, _: Resource<Bucket>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl atomics::Host for Guest {
    fn increment(
        &mut self,
        _: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, store::Error>> {
        let outcome = self.cache.increment(&key, delta);
        self.answered(outcome)
    }

    fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Cas { key, stood } = self.table.delete(cas)?;
        let stands = self.standing(&key)?;
        if stands == stood {
            return Ok(self.put(&key, value)?.map_err(atomics::CasError::StoreError));
        }
        let newer = self.table.push(Cas { key, stood: stands })?;
        Ok(Err(atomics::CasError::CasFailed(newer)))
    }
}

impl atomics::HostCas for Guest {
    fn new(&mut self, _: Resource<Bucket>, key: String) -> wasmtime::Result<Result<Resource<Cas>, store::Error>> {
        if !Cache::admits(&key) {
            return self.answered(Err(CacheError::InvalidKey));
        }
        let stood = self.standing(&key)?;
        Ok(Ok(self.table.push(Cas { key, stood })?))
    }

    fn current(&mut self, cas: Resource<Cas>) -> wasmtime::Result<Result<Option<Vec<u8>>, store::Error>> {
        let cas = self.table.get(&cas)?;
        Ok(Ok(self.cache.get(&cas.key)?.map(<[u8]>::to_vec)))
    }

    fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

impl batch::Host for Guest {
    /// Bounded as `get-many` of `cache` is.
    fn get_many(
        &mut self,
        _: Resource<Bucket>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<(String, Vec<u8>)>>, store::Error>> {
        let values = cache::Host::get_many(self, keys.clone())?;
        Ok(Ok(keys.into_iter().zip(values).map(|(key, value)| value.map(|value| (key, value))).collect()))
    }

    fn set_many(
        &mut self,
        _: Resource<Bucket>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<(), store::Error>> {
        for (key, value) in entries {
            if let Err(error) = self.put(&key, value)? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn delete_many(&mut self, _: Resource<Bucket>, keys: Vec<String>) -> wasmtime::Result<Result<(), store::Error>> {
        for key in keys {
            ended(self.cache.delete(&key))?;
        }
        Ok(Ok(()))
    }
}
