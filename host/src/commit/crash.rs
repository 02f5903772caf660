//! Crash points: where a test makes the host die between two steps of a commit.

/// Aborts the process when `GREGOR_CRASH_AT` names this `point`, at once or,
/// as `point:n`, at the n-th commit that passes it. Builds without debug
/// assertions do not look.
#[cfg(debug_assertions)]
pub fn point(point: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("GREGOR_CRASH_AT").ok()?;
        let (point, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((point.to_owned(), nth.parse().unwrap_or(1)))
    });
    if let Some((chosen, nth)) = chosen
        && chosen == point
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *nth
    {
        eprintln!("GREGOR_CRASH_AT: {point}");
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub fn point(_: &str) {}
