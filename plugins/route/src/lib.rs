//! Sends records to topics by ordered CEL conditions, and splits lists into records. The
//! README has the config and what happens to bad input.

#[cfg(test)]
mod tests;

use expression::{Condition, Subject};
use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::pointer::Pointer;
use gregor_sdk::steps::steps;
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, reject};

/// Where a record goes that leaves by the next stage or the sink.
const SINK: &str = "sink";
/// Where a record goes that goes nowhere.
const DROP: &str = "drop";

struct Route;

impl Plugin for Route {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        Table::load()?.route(record)
    }
}

impl Lifecycle for Route {
    fn init() -> Result<(), String> {
        Table::check()
    }
}

gregor_sdk::export!(Route: Lifecycle);

/// The stage's `config`.
struct Table {
    rules: Vec<(Destination, Condition)>,
    otherwise: Destination,
    /// The list whose items become records.
    split: Option<Pointer>,
    /// Where a record goes that a condition cannot decide; else it is rejected.
    undecided: Option<Destination>,
}

#[derive(Debug, Clone, PartialEq)]
enum Destination {
    Sink,
    Topic(String),
    Nowhere,
}

impl Destination {
    fn parse(text: &str) -> Self {
        match text {
            SINK => Destination::Sink,
            DROP => Destination::Nowhere,
            topic => Destination::Topic(topic.to_owned()),
        }
    }

    fn send(&self, output: Output) -> Option<Output> {
        match self {
            Destination::Sink => Some(output),
            Destination::Topic(topic) => Some(output.with_topic(Some(topic.clone()))),
            Destination::Nowhere => None,
        }
    }
}

impl Settings for Table {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["rules", "default", "split", "on-error"])?;
        let mut rules = Vec::new();
        for step in config.text("rules").map(steps).transpose()?.unwrap_or_default() {
            let (topic, condition) = match step.from_word(0).split_once(':') {
                Some((topic, condition)) if !topic.trim().is_empty() => (topic.trim(), condition.trim()),
                _ => return Err(step.wrong("write it as TOPIC: CONDITION")),
            };
            let condition = Condition::parse(condition).map_err(|problem| step.wrong(problem))?;
            rules.push((Destination::parse(topic), condition));
        }
        let split = config.text("split").map(Pointer::parse).transpose();
        let split = split.map_err(|problem| format!("`split` in the config: {problem}"))?;
        if rules.is_empty() && split.is_none() {
            return Err("the config has neither `rules` nor `split`: add rules = \"alarms: value.pulse > 140\"".into());
        }
        let on_error = config.topic("on-error")?.filter(|text| text != "reject");
        Ok(Table {
            rules,
            otherwise: config.topic("default")?.map_or(Destination::Sink, |text| Destination::parse(&text)),
            split,
            undecided: on_error.map(|text| Destination::parse(&text)),
        })
    }
}

impl Table {
    fn route(&self, record: Input) -> Result<Vec<Output>, Failure> {
        let Some(at) = self.split.as_ref().filter(|_| record.value.is_some()) else {
            let destination = self.destination(&mut Subject::of(&record))?;
            return Ok(destination.send(record.forward()).into_iter().collect());
        };
        let document = record.document()?;
        let Some(Value::List(items)) = at.of(&document) else {
            return Err(reject(format!("`{at}` is no list, and cannot be split")));
        };
        let mut outputs = Vec::new();
        for item in items {
            let destination = self.destination(&mut Subject::with_value(&record, item))?;
            let output = Output::new(record.key.clone(), item.to_vec());
            let output = output.with_timestamp(record.timestamp).with_headers(record.headers.clone());
            outputs.extend(destination.send(output));
        }
        Ok(outputs)
    }

    fn destination(&self, subject: &mut Subject<'_>) -> Result<&Destination, Failure> {
        for (destination, condition) in &self.rules {
            match (condition.holds(subject), &self.undecided) {
                (Ok(true), _) => return Ok(destination),
                (Ok(false), _) => {}
                (Err(_), Some(undecided)) => return Ok(undecided),
                (Err(undecided), None) => return Err(undecided.into()),
            }
        }
        Ok(&self.otherwise)
    }
}
