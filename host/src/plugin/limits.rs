//! Growth of a plugin's memory and tables.

use wasmtime::ResourceLimiter;

/// Elements of one table; a Rust plugin uses about a hundred, an interpreter a few thousand.
pub const TABLE_ELEMENTS: usize = 20_000;

/// Refuses growth past a stage's limit and remembers that it did, so that the
/// trap that follows in the guest's allocator is named by its cause.
pub struct Growth {
    limit: usize,
    refused: Option<usize>,
}

impl Growth {
    pub fn new(limit: u64) -> Growth {
        Growth { limit: usize::try_from(limit).unwrap_or(usize::MAX), refused: None }
    }

    /// Starts a call: growth refused in an earlier one, and survived, does not count.
    pub fn begin(&mut self) {
        self.refused = None;
    }

    /// Bytes asked for and the limit, when growth was refused.
    pub fn refused(&self) -> Option<(u64, u64)> {
        self.refused.map(|asked| (asked as u64, self.limit as u64))
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.limit {
            self.refused = Some(desired);
            return Ok(false);
        }
        Ok(maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }
}
