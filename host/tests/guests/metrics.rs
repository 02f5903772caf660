//! Reports metrics: "count:NAME:N" and "observe:NAME:X".

use gregor_sdk::{metrics, reject};

guests::guest!(|record| {
    match *guests::command(&record).split(':').collect::<Vec<_>>() {
        ["count", name, by] => metrics::count(name, by.parse().map_err(|_| reject("not an integer"))?),
        ["observe", name, value] => metrics::observe(name, value.parse().map_err(|_| reject("not a number"))?),
        _ => {}
    }
    Ok(guests::echo(record))
});
