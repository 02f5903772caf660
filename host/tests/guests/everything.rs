//! Uses every import and has every export of `wit/v1` 1.0.0: what
//! `host/tests/fixtures/abi/v1.wasm` was built from, once. A change here changes no
//! promise: the component stays as it is.
//!
//! ```text
//! count    adds one to the entry `n`, counts and observes a metric, logs: <greeting> <n>
//! later    schedules `alarm` a second of event time later: scheduled
//! entries  all entries, between spaces
//! reject retry   end the call that way
//! ```

use gregor_sdk::logging::{Level, log};
use gregor_sdk::timers::{self, Domain};
use gregor_sdk::{Failure, Input, Lifecycle, Migration, Output, Plugin, Timed, cache, config, metrics, reject, retry};
use guests::{answer, command};

struct Everything;

fn greeting() -> Result<String, String> {
    config::get("greeting").ok().flatten().ok_or_else(|| "no greeting".to_owned())
}

fn entries() -> String {
    let entries = cache::scan("", None, 100).into_iter();
    let shown = entries.map(|(key, value)| format!("{key}={}", String::from_utf8_lossy(&value)));
    shown.collect::<Vec<_>>().join(" ")
}

impl Plugin for Everything {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let said = match command(&record) {
            "count" => {
                let n = cache::increment("n", 1).map_err(|_| reject("not a number"))?;
                metrics::count("seen", 1);
                metrics::observe("last", n as f64);
                log(Level::Info, "everything", "counted");
                format!("{} {n}", greeting().map_err(reject)?)
            }
            "later" => {
                timers::schedule(Domain::EventTime, "alarm", record.timestamp + 1_000)?;
                "scheduled".to_owned()
            }
            "entries" => entries(),
            "reject" => return Err(reject("as asked")),
            "retry" => return Err(retry("as asked")),
            other => other.to_owned(),
        };
        Ok(answer(record, said))
    }
}

impl Timed for Everything {
    fn on_timer(_: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        cache::set(&name, at.to_string().as_bytes(), None).map_err(|_| reject("no room"))?;
        Ok(vec![Output::new(name.into_bytes(), entries().into_bytes())])
    }
}

impl Lifecycle for Everything {
    fn init() -> Result<(), String> {
        greeting().map(drop)
    }
}

impl Migration for Everything {
    fn migrate(from_version: String) -> Result<(), String> {
        cache::set("from", from_version.as_bytes(), None).map_err(|_| "no room".to_owned())
    }
}

gregor_sdk::export!(Everything: Timed, Lifecycle, Migration);
