//! Aggregates of windows of event time, as the config names them. The README has the
//! config and what happens to bad input.

mod cell;
mod digest;
mod distinct;
mod row;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::part::Identity;
use gregor_sdk::timers::Domain;
use gregor_sdk::window::{Added, Window, Windows};
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, Timed, metrics, reject};

use cell::Function;
use row::{Entry, Row, Seen, Summary};

/// Of the cache's keys and the timers' names.
const NAME: &str = "window";
/// What every result has, so that no aggregate may be called so.
const OWN_NAMES: [&str; 4] = ["of", "windowStart", "windowEnd", "updated"];

struct Aggregates;

impl Plugin for Aggregates {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let plan = Plan::load()?;
        if record.value.is_none() && plan.by.is_key() {
            plan.windows.forget(&plan.by.required(&record)?);
            return Ok(vec![record.forward()]);
        }
        plan.add(record)
    }
}

impl Timed for Aggregates {
    fn on_timer(domain: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        let plan = Plan::load()?;
        plan.told(plan.windows.on_timer(domain, &name, at)?)
    }
}

impl Lifecycle for Aggregates {
    fn init() -> Result<(), String> {
        Plan::check()
    }
}

gregor_sdk::export!(Aggregates: Timed, Lifecycle);

/// The stage's `config`.
struct Plan {
    by: Identity,
    windows: Windows<Row>,
    columns: Vec<Column>,
    late_topic: Option<String>,
    /// Whether a record without a field that a function needs is rejected.
    strict: bool,
}

struct Column {
    /// In the output.
    name: String,
    /// The function as the config has it, which tells cells of a window apart.
    text: Rc<str>,
    function: Function,
}

impl Settings for Plan {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&[
            "by",
            "window",
            "slide",
            "session",
            "aggregates",
            "allowed-lateness",
            "once",
            "late-topic",
            "missing",
        ])?;
        let windows = match (config.duration("window")?, config.duration("slide")?, config.duration("session")?) {
            (Some(length), None, None) => Windows::tumbling(NAME, length)?,
            (Some(length), Some(slide), None) => Windows::sliding(NAME, length, slide)?,
            (None, None, Some(gap)) => Windows::session(NAME, gap)?,
            _ => {
                return Err("the config needs `window`, `window` and `slide`, or `session`: add window = \"5m\"".into());
            }
        };
        let windows = windows.allowed_lateness(config.duration("allowed-lateness")?.unwrap_or(Duration::ZERO));
        let once = config.parsed("once", "true or false")?.unwrap_or(false);
        let columns = match config.text("aggregates") {
            None => columns("count = count")?,
            Some(text) => columns(text)?,
        };
        Ok(Plan {
            by: Identity::parse(config.text("by").unwrap_or("key"))
                .map_err(|problem| format!("`by` in the config: {problem}"))?,
            windows: if once { windows.once() } else { windows },
            columns,
            late_topic: config.topic("late-topic")?,
            strict: config.choice("missing", &[("skip", false), ("reject", true)])?.unwrap_or(false),
        })
    }
}

fn columns(text: &str) -> Result<Vec<Column>, String> {
    let mut columns: Vec<Column> = Vec::new();
    for step in gregor_sdk::steps::steps(text)? {
        let (name, words) = match step.words()[..] {
            [name, "=", ref words @ ..] => (name, words.to_vec()),
            _ => return Err(step.wrong("write it as NAME = FUNCTION /field")),
        };
        if OWN_NAMES.contains(&name) || columns.iter().any(|column| column.name == name) {
            return Err(step.wrong(format!("the name `{name}` is taken: choose another")));
        }
        let function = Function::parse(&words).map_err(|problem| step.wrong(problem))?;
        columns.push(Column { name: name.to_owned(), text: words.join(" ").into(), function });
    }
    Ok(columns)
}

impl Plan {
    fn add(&self, record: Input) -> Result<Vec<Output>, Failure> {
        let needs_document =
            self.by.needs_document() || self.columns.iter().any(|column| column.function.field().is_some());
        let document = if needs_document { Some(record.document()?) } else { None };
        let identity = self.by.within(&record, document.as_ref())?;
        let mut cells = Vec::with_capacity(self.columns.len());
        for Column { text, function, .. } in &self.columns {
            let datum = function.of(document.as_ref()).map_err(reject)?;
            if let (None, Some(field), true) = (&datum, function.field(), self.strict) {
                return Err(reject(format!("`{field}` is missing or null")));
            }
            cells.push(Entry { text: text.clone(), kind: function.kind(), datum });
        }
        let of = (!self.by.is_key()).then(|| self.by.shown(&record, document.as_ref()).to_string());
        let seen = Seen { key: record.key.clone(), of, cells: cells.into() };
        match self.windows.add(&identity, record.timestamp, seen)? {
            Added::Counted(results) => self.told(results),
            Added::Late => {
                metrics::count("late_records", 1);
                let to_topic = |topic: &String| record.forward().with_topic(Some(topic.clone()));
                Ok(self.late_topic.iter().map(to_topic).collect())
            }
        }
    }

    fn told(&self, results: Vec<Window<Summary>>) -> Result<Vec<Output>, Failure> {
        let output = |window: Window<Summary>| {
            let mut members = Vec::with_capacity(self.columns.len() + 4);
            if let Some(of) = &window.result.of {
                members.push(("of".into(), Value::read(of.as_bytes())?.into_owned()));
            }
            members.push(("windowStart".into(), Value::integer(window.start)));
            members.push(("windowEnd".into(), Value::integer(window.end)));
            if window.updated {
                members.push(("updated".into(), Value::Bool(true)));
            }
            for Column { name, text, function } in &self.columns {
                let told = window.result.cell(text).map(|cell| function.told(cell)).transpose()?;
                members.push((name.as_str().into(), told.unwrap_or(Value::Null)));
            }
            let value = Value::Object(members).to_vec();
            // The last millisecond of the window, so that a later window holds it.
            Ok(Output::new(window.result.key, value).with_timestamp(window.end.saturating_sub(1)))
        };
        results.into_iter().map(output).collect()
    }
}
