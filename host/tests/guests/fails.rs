//! Fails on purpose: "reject"; "retry" always; "retry:N" on the first N
//! attempts this instance sees, after which it echoes and counts anew.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gregor_sdk::{Failure, reject};

static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

guests::guest!(|record| {
    let told = guests::command(&record);
    match told {
        "reject" => return Err(reject("as commanded")),
        "retry" => return Err(Failure::Retry("as commanded".into())),
        _ => {}
    }
    if let Some(failing) = guests::number(told, "retry") {
        if ATTEMPTS.fetch_add(1, Relaxed) < failing {
            return Err(Failure::Retry("as commanded".into()));
        }
        ATTEMPTS.store(0, Relaxed);
    }
    Ok(guests::echo(record))
});
