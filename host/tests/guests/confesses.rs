//! On "confess" rejects the record, and tells in its reason all that the call
//! saw: cache, config, clock and chance. Any other value goes into the cache
//! under the record's key.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use gregor_sdk::{cache, config, reject};

unsafe extern "C" {
    fn getentropy(buffer: *mut u8, length: usize) -> i32;
}

guests::guest!(|record| {
    if guests::command(&record) != "confess" {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let value = record.value.clone().unwrap_or_default();
        return match cache::set(&key, &value, None) {
            Ok(()) => Ok(guests::echo(record)),
            Err(error) => Err(reject(format!("{error:?}"))),
        };
    }
    let mut random = [0; 8];
    // SAFETY: the buffer is as long as said.
    unsafe { getentropy(random.as_mut_ptr(), random.len()) };
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let own = cache::set("own", b"written by the call", None);
    let missing = cache::get("missing");
    let counted = cache::increment("counted", 1);
    let full = cache::set("large", &[b'x'; 3_000], None);
    let stands = cache::scan("", None, 100);
    let unit = config::get("unit");
    // What is long comes last: the host keeps the beginning of a long reason.
    Err(reject(format!(
        "{own:?} {missing:?} {counted:?} {full:?} {unit:?} {clock:?} {random:?} {:x} {:?} {stands:?}",
        RandomState::new().build_hasher().finish(),
        record.headers.iter().map(|header| &header.name).collect::<Vec<_>>(),
    )))
});
