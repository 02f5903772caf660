//! Gives the value of the record before, as this instance saw it; "none" at
//! first and after a tombstone.

use std::cell::RefCell;

thread_local! {
    static BEFORE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

guests::guest!(|mut record| {
    let before = BEFORE.replace(record.value.take());
    record.value = Some(before.unwrap_or_else(|| b"none".to_vec()));
    Ok(guests::echo(record))
});
