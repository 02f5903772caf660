//! Floods the log: "log:N" through `wasi:logging`, "print:N" on standard
//! output, "eprint:N" on standard error. Each line ends in its number from 0.

use gregor_sdk::logging::{Level, log};
use guests::{command, echo, number};

guests::guest!(|record| {
    let told = command(&record);
    for line in 0..number(told, "log").unwrap_or(0) {
        log(Level::Info, "logs", &format!("line {line}"));
    }
    for line in 0..number(told, "print").unwrap_or(0) {
        println!("line {line}");
    }
    for line in 0..number(told, "eprint").unwrap_or(0) {
        eprintln!("line {line}");
    }
    Ok(echo(record))
});
