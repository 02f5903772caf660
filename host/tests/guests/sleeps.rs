//! Sleeps so many seconds on "sleep:SECONDS", then echoes.

use std::time::Duration;

guests::guest!(|record| {
    if let Some(seconds) = guests::number(guests::command(&record), "sleep") {
        std::thread::sleep(Duration::from_secs(seconds));
    }
    Ok(guests::echo(record))
});
