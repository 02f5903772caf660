//! Tells when records stop coming, and when they come again. The README has the config
//! and what happens to bad input.

mod condition;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::held::Bytes;
use gregor_sdk::part::Identity;
use gregor_sdk::state::State;
use gregor_sdk::timers::{self, Domain};
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, Timed, clock};
use serde::{Deserialize, Serialize};

use condition::Condition;

const DEFAULT_SILENCE: Duration = Duration::from_secs(600);
/// What is known of each identity; its timer has the same name.
const PRESENCE: State<Presence> = State::new("presence");

struct Absence;

impl Plugin for Absence {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let watch = Watch::load()?;
        if record.value.is_none() && watch.by.is_key() {
            let identity = watch.by.required(&record)?;
            timers::cancel(watch.time, &format!("presence/{identity}"));
            PRESENCE.of(&identity).delete();
            return Ok(vec![record.forward()]);
        }
        watch.seen(&record)
    }
}

impl Timed for Absence {
    fn on_timer(_: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        let watch = Watch::load()?;
        name.strip_prefix("presence/").map_or(Ok(vec![]), |identity| watch.due(identity, at))
    }
}

impl Lifecycle for Absence {
    fn init() -> Result<(), String> {
        Watch::check()
    }
}

gregor_sdk::export!(Absence: Timed, Lifecycle);

/// The stage's `config`; durations in milliseconds.
struct Watch {
    by: Identity,
    after: u64,
    /// Which records are a sign of life; all where there is none.
    when: Option<Condition>,
    /// Between one alarm and the next of the same silence.
    repeat: Option<u64>,
    /// Alarms of one silence at most.
    alarms: u64,
    recovery: bool,
    time: Domain,
}

/// Times in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Presence {
    /// The latest record's time in the domain of `time`.
    since: u64,
    /// Its timestamp.
    last_seen: u64,
    key: Option<Bytes>,
    /// The parts of `by`, as JSON, where they are more than the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    /// How many alarms this silence has given.
    alarms: u64,
}

impl Settings for Watch {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["by", "after", "when", "repeat", "alarms", "recovery", "time"])?;
        let millis = |name: &str| match config.duration(name)? {
            Some(Duration::ZERO) => Err(format!("`{name}` in the config must be longer than nothing, such as \"10m\"")),
            time => Ok(time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
        };
        let repeat = millis("repeat")?;
        let alarms: Option<u64> = config.parsed("alarms", "a whole number of 1 or more")?;
        match alarms {
            Some(0) => return Err("`alarms` in the config must be a whole number of 1 or more".into()),
            Some(_) if repeat.is_none() => return Err("`alarms` in the config needs `repeat`".into()),
            _ => {}
        }
        let when = config.text("when").map(Condition::parse).transpose();
        Ok(Watch {
            by: Identity::parse(config.text("by").unwrap_or("key"))
                .map_err(|problem| format!("`by` in the config: {problem}"))?,
            after: millis("after")?.unwrap_or(DEFAULT_SILENCE.as_millis() as u64),
            when: when.map_err(|problem| format!("`when` in the config: {problem}"))?,
            repeat,
            alarms: alarms.unwrap_or(if repeat.is_some() { u64::MAX } else { 1 }),
            recovery: config.parsed("recovery", "true or false")?.unwrap_or(false),
            time: config.time("time")?.unwrap_or(Domain::ProcessingTime),
        })
    }
}

impl Watch {
    fn seen(&self, record: &Input) -> Result<Vec<Output>, Failure> {
        let document = match self.when.is_some() || self.by.needs_document() {
            true => Some(record.document()?),
            false => None,
        };
        let identity = self.by.within(record, document.as_ref())?;
        if let (Some(when), Some(document)) = (&self.when, &document)
            && !when.holds(document)
        {
            return Ok(vec![]);
        }
        let entry = PRESENCE.of(&identity);
        let before = entry.get()?;
        let now = timers::time_of(self.time, record);
        if self.time == Domain::EventTime && before.as_ref().is_some_and(|before| now < before.since) {
            // Out of order: it does not say that anything is there later.
            return Ok(vec![]);
        }
        let of = (!self.by.is_key()).then(|| self.by.shown(record, document.as_ref()).to_string());
        let last_seen = before.as_ref().map_or(0, |before| before.last_seen).max(record.timestamp);
        entry.set(&Presence { since: now, last_seen, key: record.key.clone().map(Bytes::from), of, alarms: 0 })?;
        // A timer that stands is left to look, when it is due, at what has come meanwhile. One that
        // should have been by now failed for good.
        let stands = before.as_ref().is_some_and(|before| before.alarms == 0 && now < self.end(before.since));
        if !stands {
            timers::schedule(self.time, &format!("presence/{identity}"), self.end(now))?;
        }
        match before {
            Some(before) if before.alarms > 0 && self.recovery => {
                Ok(vec![before.told("back", now.saturating_sub(before.since))?])
            }
            _ => Ok(vec![]),
        }
    }

    fn end(&self, since: u64) -> u64 {
        since.saturating_add(self.after)
    }

    fn due(&self, identity: &str, at: u64) -> Result<Vec<Output>, Failure> {
        let entry = PRESENCE.of(identity);
        let Some(mut presence) = entry.get()? else { return Ok(vec![]) };
        let name = format!("presence/{identity}");
        if presence.alarms == 0 && self.end(presence.since) > at {
            timers::schedule(self.time, &name, self.end(presence.since))?;
            return Ok(vec![]);
        }
        if presence.alarms >= self.alarms {
            return Ok(vec![]);
        }
        presence.alarms += 1;
        if let Some(repeat) = self.repeat.filter(|_| presence.alarms < self.alarms) {
            timers::schedule(self.time, &name, at.saturating_add(repeat))?;
        }
        entry.set(&presence)?;
        let now = match self.time {
            Domain::EventTime => at,
            Domain::ProcessingTime => clock::now().max(at),
        };
        Ok(vec![presence.told("absent", now.saturating_sub(presence.since))?])
    }
}

impl Presence {
    fn told(&self, status: &'static str, silent_ms: u64) -> Result<Output, Failure> {
        let of = match &self.of {
            Some(json) => Some(("of".into(), Value::read(json.as_bytes())?)),
            None => None,
        };
        let rest = [
            ("status".into(), Value::text(status)),
            ("lastSeen".into(), Value::integer(self.last_seen)),
            ("silentMs".into(), Value::integer(silent_ms)),
            ("alarms".into(), Value::integer(self.alarms)),
        ];
        let value = Value::Object(of.into_iter().chain(rest).collect());
        Ok(Output::new(self.key.clone().map(Vec::from), value.to_vec()))
    }
}
