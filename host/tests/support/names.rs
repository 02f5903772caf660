//! Names that no other test has, in this run or one before it on the same broker.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest part of a test's name that is kept: an app's name has at most 63 bytes.
const KEPT: usize = 36;

static RUN: LazyLock<String> = LazyLock::new(|| {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", std::process::id(), since_epoch.as_millis() & 0xff_ffff)
});
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A name for a topic or an app: that of the running test, made unique.
pub fn unique() -> String {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    let last = test.rsplit("::").next().unwrap_or("test");
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(KEPT).collect();
    format!("{}-{}-{}", plain.trim_end_matches('-'), *RUN, COUNTER.fetch_add(1, Relaxed))
}
