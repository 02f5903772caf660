//! Ends the process when a call of the client library never returns.
//!
//! `send_offsets_to_transaction` may hang for ever (librdkafka #5456), and no
//! other thread can free it. A restart takes up at the last commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::wall_ms;

/// Longer than every call's own limit, and than the transaction's.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(1);

/// Watches the calls of one worker.
#[derive(Clone, Default)]
pub struct Watchdog(Arc<AtomicU64>);

/// A call under way.
pub struct Call<'a>(&'a AtomicU64);

impl Watchdog {
    /// Starts the thread that looks, for as long as a worker has this watchdog.
    ///
    /// # Errors
    /// When there is no thread left.
    pub fn start(worker: usize) -> std::io::Result<Watchdog> {
        let watchdog = Watchdog::default();
        let seen = Arc::downgrade(&watchdog.0);
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            while let Some(since) = seen.upgrade() {
                let since = since.load(Ordering::Relaxed);
                if since > 0 && wall_ms().saturating_sub(since) > LIMIT.as_millis() as u64 {
                    tracing::error!(
                        worker,
                        "a call of the Kafka client did not return within {LIMIT:?}: ending the process; nothing committed is lost"
                    );
                    std::process::abort();
                }
                std::thread::sleep(LOOK);
            }
        })?;
        Ok(watchdog)
    }

    /// To be held for the length of a call.
    pub fn call(&self) -> Call<'_> {
        self.0.store(wall_ms(), Ordering::Relaxed);
        Call(&self.0)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
