//! Tells what it sees of time and chance:
//! `{"wall_ms":…,"mono_ns_delta":…,"random":"16 hexadecimal digits"}`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

unsafe extern "C" {
    // Asked for anew on each record, where std's RandomState asks once a thread.
    fn getentropy(buffer: *mut u8, length: usize) -> i32;
}

guests::guest!(|record| {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let before = Instant::now();
    let delta = before.elapsed();
    let mut random = [0; 8];
    // SAFETY: the buffer is as long as said.
    if unsafe { getentropy(random.as_mut_ptr(), random.len()) } != 0 {
        return Err(gregor_sdk::reject("no random bytes"));
    }
    Ok(guests::answer(
        record,
        format!(
            r#"{{"wall_ms":{},"mono_ns_delta":{},"random":"{:016x}"}}"#,
            wall.as_millis(),
            delta.as_nanos(),
            u64::from_be_bytes(random)
        ),
    ))
});
