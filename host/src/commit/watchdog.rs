//! Calls of the client library that never return.
//!
//! `send_offsets_to_transaction` keeps its timeout only up to the group's
//! coordinator (librdkafka #5456): where that broker left the cluster's metadata
//! meanwhile, as one does that restarts, it waits for a connection that nobody
//! makes (#5511), and no other thread can free it. Such a call gets a thread of
//! its own, to be left behind. Every other call keeps its timeout; should one
//! not, the process ends, and a restart takes up at the last commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, sleep};
use std::time::Duration;

/// Looks at one call after which it is taken for lost: longer than every call's
/// own limit, and than the transaction's. Looks, not time: a process that was
/// stopped for a while has lost nothing.
const LOOKS: u32 = 60;
const LOOK: Duration = Duration::from_secs(1);
/// How long a call may take that can be left behind: as long as a transaction.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls left behind at a time; each keeps a producer with its threads.
const MOST_LEFT: usize = 8;

/// Watches the calls of one worker.
#[derive(Clone)]
pub struct Watchdog(Arc<Calls>);

struct Calls {
    worker: usize,
    begun: AtomicU64,
    /// The number of the call under way, or 0.
    current: AtomicU64,
    left: AtomicUsize,
}

/// A call under way.
pub struct Call<'a>(&'a Calls);

impl Watchdog {
    /// Starts the thread that looks, for as long as a worker has this watchdog.
    ///
    /// # Errors
    /// When there is no thread left.
    pub fn start(worker: usize) -> std::io::Result<Watchdog> {
        let (begun, current, left) = (AtomicU64::new(0), AtomicU64::new(0), AtomicUsize::new(0));
        let watchdog = Watchdog(Arc::new(Calls { worker, begun, current, left }));
        let calls = Arc::downgrade(&watchdog.0);
        Builder::new().name("watchdog".into()).spawn(move || {
            let (mut seen, mut looks) = (0, 0);
            while let Some(calls) = calls.upgrade() {
                let current = calls.current.load(Ordering::Relaxed);
                looks = if current == seen && current > 0 { looks + 1 } else { 0 };
                seen = current;
                if looks > LOOKS {
                    calls.end("did not return within a minute");
                }
                sleep(LOOK);
            }
        })?;
        Ok(watchdog)
    }

    /// To be held for the length of a call.
    pub fn call(&self) -> Call<'_> {
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.current.store(number, Ordering::Relaxed);
        Call(&self.0)
    }

    /// What `call` returns, or none if it does not within [`PATIENCE`]: it goes
    /// on in its thread then, with all that it holds, and what it returns late
    /// is dropped.
    pub fn leave_behind<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, outcome) = sync_channel(1);
        let calls = Arc::clone(&self.0);
        if calls.left.fetch_add(1, Ordering::Relaxed) >= MOST_LEFT {
            calls.end("do not return, too many at a time");
        }
        let spawned = Builder::new().name("offsets".into()).spawn(move || {
            // The receiver is gone where the call was left behind.
            let _ = done.send(call());
            calls.left.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            self.0.left.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "no thread for a call");
            return None;
        }
        outcome.recv_timeout(PATIENCE).ok()
    }
}

impl Calls {
    fn end(&self, what: &str) -> ! {
        tracing::error!(
            worker = self.worker,
            "calls of the Kafka client {what}: ending the process; nothing committed is lost"
        );
        std::process::abort();
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.current.store(0, Ordering::Relaxed);
    }
}
