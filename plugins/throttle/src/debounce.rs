//! The last record of a key, once no other has come for a time.

use gregor_sdk::held::Held;
use gregor_sdk::state::State;
use gregor_sdk::timers::{self, Domain};
use gregor_sdk::{Failure, Input, Output, metrics};
use serde::{Deserialize, Serialize};

use super::Limit;

const QUIET: State<Burst> = State::new("quiet");

/// Times in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, Deserialize)]
struct Burst {
    /// Of its first record.
    since: u64,
    /// Of its latest record.
    last: u64,
    record: Held,
}

impl Burst {
    fn due(&self, limit: &Limit, max_wait: u64) -> u64 {
        self.last.saturating_add(limit.per).min(self.since.saturating_add(max_wait))
    }
}

pub fn take(limit: &Limit, max_wait: u64, identity: &str, record: Input, now: u64) -> Result<Vec<Output>, Failure> {
    let entry = QUIET.of(identity);
    let over = match entry.get()? {
        Some(burst) if now < burst.due(limit, max_wait) => {
            metrics::count("throttled_records", 1);
            // The timer stays: when it is due, it looks at what has come meanwhile.
            let newer = limit.time == Domain::ProcessingTime || record.timestamp >= burst.record.timestamp;
            let record = if newer { record.into() } else { burst.record };
            entry.set(&Burst { since: burst.since, last: burst.last.max(now), record })?;
            return Ok(vec![]);
        }
        over => over,
    };
    let burst = Burst { since: now, last: now, record: record.into() };
    timers::schedule(limit.time, &format!("quiet/{identity}"), burst.due(limit, max_wait))?;
    entry.set(&burst)?;
    Ok(over.into_iter().map(|burst| burst.record.into()).collect())
}

pub fn release(limit: &Limit, max_wait: u64, identity: &str, at: u64) -> Result<Vec<Output>, Failure> {
    let entry = QUIET.of(identity);
    let Some(burst) = entry.get()? else { return Ok(vec![]) };
    let due = burst.due(limit, max_wait);
    if due > at {
        timers::schedule(limit.time, &format!("quiet/{identity}"), due)?;
        return Ok(vec![]);
    }
    entry.delete();
    Ok(vec![burst.record.into()])
}
