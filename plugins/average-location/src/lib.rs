//! The mean position of each patient in windows of event time. The README has the
//! config, the fields and what happens to late records and bad input.

mod mean;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::timers::Domain;
use gregor_sdk::window::{Added, Window, Windows};
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, Timed, metrics, reject};
use serde::Serialize;

use mean::{MeanLocation, Position};

const DEFAULT_WINDOW: Duration = Duration::from_secs(300);

struct AverageLocation;

impl Plugin for AverageLocation {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let averages = Averages::load()?;
        let Some(value) = &record.value else {
            let patient = location::patient_of_tombstone(record.key.as_deref());
            averages.windows.forget(patient.map_err(|invalid| reject(invalid.to_string()))?);
            return Ok(vec![record.forward()]);
        };
        let location = location::parse(value).map_err(|invalid| reject(invalid.to_string()))?;
        let position = Position { lat: location.lat, lon: location.lon };
        match averages.windows.add(&location.patient_id, record.timestamp, position)? {
            Added::Counted(results) => outputs(results),
            Added::Late => {
                metrics::count("late_records", 1);
                let late = averages.late_topic.clone();
                Ok(late.map(|topic| record.forward().with_topic(Some(topic))).into_iter().collect())
            }
        }
    }
}

impl Timed for AverageLocation {
    fn on_timer(domain: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        outputs(Averages::load()?.windows.on_timer(domain, &name, at)?)
    }
}

impl Lifecycle for AverageLocation {
    fn init() -> Result<(), String> {
        Averages::check()
    }
}

gregor_sdk::export!(AverageLocation: Timed, Lifecycle);

/// The stage's `config`.
struct Averages {
    windows: Windows<MeanLocation>,
    /// `None`: late records are counted and dropped.
    late_topic: Option<String>,
}

impl Settings for Averages {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["window", "allowed-lateness", "late-topic", "once"])?;
        let length = config.duration("window")?.unwrap_or(DEFAULT_WINDOW);
        let lateness = config.duration("allowed-lateness")?.unwrap_or_default();
        let windows =
            Windows::tumbling("mean", length).map_err(|invalid| format!("`window` in the config: {invalid}"))?;
        let windows = windows.allowed_lateness(lateness);
        let once = config.parsed("once", "true or false")?.unwrap_or(false);
        let late_topic = config.text("late-topic").map(String::from);
        if late_topic.as_deref() == Some("") {
            return Err("`late-topic` in the config is empty: name a topic or leave it out".into());
        }
        Ok(Averages { windows: if once { windows.once() } else { windows }, late_topic })
    }
}

/// The output's value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Average<'a> {
    patient_id: &'a str,
    window_start: u64,
    window_end: u64,
    count: u64,
    mean_lat: f64,
    mean_lon: f64,
}

fn outputs(results: Vec<Window<MeanLocation>>) -> Result<Vec<Output>, Failure> {
    let output = |window: Window<MeanLocation>| {
        let Position { lat, lon } = window.result.mean();
        let average = Average {
            patient_id: &window.key,
            window_start: window.start,
            window_end: window.end,
            count: window.result.count,
            mean_lat: lat,
            mean_lon: lon,
        };
        // The last millisecond of the window, so that a later window holds it.
        Ok(Output::json(window.key.clone().into_bytes(), &average)?.with_timestamp(window.end - 1))
    };
    results.into_iter().map(output).collect()
}
