//! Each line of the value is a command; the output's value has a line of result
//! for each.
//!
//! ```text
//! event NAME AT        schedules an event-time timer: ok | error …
//! clock NAME AT        schedules a processing-time timer: ok | error …
//! soon NAME MS         the same, so many milliseconds from now
//! cancel event|clock NAME   true | false
//! watermark            ms | none
//! random               a number
//! on NAME COMMAND      to run a command when the timer NAME fires: ok
//! confess              rejects, and tells in its reason all that the call saw
//! ok                   ok
//! reject retry trap    end the call that way, after what came before
//! ```
//!
//! `on-timer` gives one output under the timer's name, with `event` or `clock`,
//! its time and the results of what was to run then, between spaces. Where that is
//! `give TEXT`, the value is the text alone.

#[cfg(target_arch = "wasm32")]
mod on_timer {
    // What the plugin's world lacks: both are merged when the component is made.
    wit_bindgen::generate!({
        path: "../../../wit/v1",
        inline: "
            package gregor:plugin-test;
            world with-timers {
                import gregor:plugin/timers@1.0.0;
                export gregor:plugin/timer-processor@1.0.0;
            }
        ",
        generate_all,
    });

    use std::time::{SystemTime, UNIX_EPOCH};

    use exports::gregor::plugin::timer_processor as exported;
    use gregor::plugin::timers::{Domain, cancel, schedule, watermark};
    use gregor::plugin::types;
    use gregor_sdk::{Failure, cache, reject};

    pub fn run(line: &str) -> Result<String, Failure> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match *words {
            ["event", name, at] => scheduled(schedule(Domain::EventTime, name, parsed(at)?)),
            ["clock", name, at] => scheduled(schedule(Domain::ProcessingTime, name, parsed(at)?)),
            ["soon", name, ms] => scheduled(schedule(Domain::ProcessingTime, name, now() + parsed(ms)?)),
            ["cancel", "event", name] => cancel(Domain::EventTime, name).to_string(),
            ["cancel", "clock", name] => cancel(Domain::ProcessingTime, name).to_string(),
            ["watermark"] => watermark().map_or("none".into(), |watermark| watermark.to_string()),
            ["random"] => random(),
            ["on", name, ..] => {
                let command = line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
                let set = cache::set(&format!("on {name}"), command.as_bytes(), None);
                set.map_or_else(|error| format!("error {error:?}"), |()| "ok".into())
            }
            ["confess"] => return Err(reject(confession())),
            ["ok"] => "ok".into(),
            ["reject"] => return Err(reject("the script says so")),
            ["retry"] => return Err(Failure::Retry("the script says so".into())),
            ["trap"] => panic!("the script says so"),
            _ => return Err(reject("no such command")),
        })
    }

    unsafe extern "C" {
        // Asked for anew in each call, where std's RandomState asks once a thread.
        fn getentropy(buffer: *mut u8, length: usize) -> i32;
    }

    fn random() -> String {
        let mut random = [0; 8];
        // SAFETY: the buffer is as long as said.
        unsafe { getentropy(random.as_mut_ptr(), random.len()) };
        u64::from_be_bytes(random).to_string()
    }

    fn confession() -> String {
        let (event, clock) = (cancel(Domain::EventTime, "other"), schedule(Domain::ProcessingTime, "mine", 1));
        let (stands, watermark) = (cache::scan("", None, 100), watermark());
        format!("{event} {clock:?} {stands:?} {watermark:?} {} {}", now(), random())
    }

    fn scheduled(outcome: Result<(), String>) -> String {
        outcome.map_or_else(|error| format!("error {error}"), |()| "ok".into())
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    fn parsed(number: &str) -> Result<u64, Failure> {
        number.parse().map_err(|_| reject("not a number"))
    }

    impl exported::Guest for super::Guest {
        fn on_timer(domain: Domain, name: String, at: u64) -> Result<Vec<types::Output>, types::Failure> {
            let kind = if domain == Domain::EventTime { "event" } else { "clock" };
            let mut said = format!("{kind} {at}");
            if let Some(command) = cache::get(&format!("on {name}")) {
                let command = String::from_utf8_lossy(&command);
                let result = || run(&command).map(|result| format!("{said} {result}"));
                let given = command.strip_prefix("give ").map(|text| Ok(text.to_owned()));
                said = given.unwrap_or_else(result).map_err(|failure| match failure {
                    Failure::Reject(reason) => types::Failure::Reject(reason),
                    Failure::Retry(reason) => types::Failure::Retry(reason),
                })?;
            }
            let (key, value) = (Some(name.into_bytes()), Some(said.into_bytes()));
            let output = types::Output { topic: None, partition: None, timestamp: None, key, value, headers: vec![] };
            Ok(vec![output])
        }
    }

    export!(Guest with_types_in self);

    use super::Guest;
}

use guests::{answer, command};

guests::guest!(|record| {
    #[cfg(target_arch = "wasm32")]
    let results: Vec<String> = command(&record).lines().map(on_timer::run).collect::<Result<_, _>>()?;
    #[cfg(not(target_arch = "wasm32"))]
    let results = [command(&record).to_owned()];
    Ok(answer(record, results.join("\n")))
});
