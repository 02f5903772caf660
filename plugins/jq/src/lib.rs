//! A jq program over each record. The README has the config, the names and what happens to
//! bad input.

mod program;
#[cfg(test)]
mod tests;
mod value;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::part::Identity;
use gregor_sdk::state::State;
use gregor_sdk::{Failure, Header, Input, Lifecycle, Output, Plugin, reject};

use program::Program;

/// What the program has kept for each key: JSON, as it was returned.
const STATE: State<String> = State::new("jq");
/// The only member of an output that becomes the state.
const STATE_NAME: &str = "$state";

struct Jq;

impl Plugin for Jq {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        Plan::load()?.run(record)
    }
}

impl Lifecycle for Jq {
    fn init() -> Result<(), String> {
        Plan::check()
    }
}

gregor_sdk::export!(Jq: Lifecycle);

/// The stage's `config`.
struct Plan {
    program: Program,
    /// Whether outputs are whole records, or values.
    records: bool,
    /// Whose state `$state` is, where the program has it.
    by: Identity,
}

impl Settings for Plan {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["program", "output", "by"])?;
        let text = config.text("program").ok_or("there is no `program` in the config: add program = \".value\"")?;
        Ok(Plan {
            program: Program::compile(text)?,
            records: config.choice("output", &[("value", false), ("record", true)])?.unwrap_or(false),
            by: Identity::parse(config.text("by").unwrap_or("key"))
                .map_err(|problem| format!("`by` in the config: {problem}"))?,
        })
    }
}

impl Plan {
    fn run(&self, record: Input) -> Result<Vec<Output>, Failure> {
        let document = record.value.as_ref().map(|_| record.document()).transpose()?.unwrap_or(Value::Null);
        let entry = match self.program.has_state() {
            true => Some(STATE.of(&self.by.within(&record, Some(&document))?)),
            false => None,
        };
        let kept = entry.as_ref().map(|entry| entry.get()).transpose()?.flatten();
        let state = kept.as_ref().map(|json| Value::read(json.as_bytes())).transpose()?.unwrap_or(Value::Null);
        let mut outputs = Vec::new();
        for told in self.program.run(&input(&record, document), &state) {
            let told = told.map_err(reject)?;
            match (new_state(&told), &entry) {
                (Some(Value::Null), Some(entry)) => drop(entry.delete()),
                (Some(state), Some(entry)) => entry.set(&state.to_string())?,
                (Some(_), None) => return Err(reject("the program returns `$state` and never asks for it")),
                (None, _) => outputs.push(self.output(&record, told)?),
            }
        }
        Ok(outputs)
    }

    fn output(&self, record: &Input, told: Value<'_>) -> Result<Output, Failure> {
        let mut output = Output::new(record.key.clone(), None).with_timestamp(record.timestamp);
        output.headers = record.headers.clone();
        if !self.records {
            output.value = bytes(&told, true);
            return Ok(output);
        }
        let Value::Object(members) = told else {
            return Err(reject(format!("the program returns {}, not a record as an object", told.kind())));
        };
        for (name, value) in members {
            let wrong = || reject(format!("the program returns {} as `{name}` of a record", value.kind()));
            match (&*name, &value) {
                ("key", _) => output.key = bytes(&value, false),
                ("value", _) => output.value = bytes(&value, true),
                ("topic", Value::Null) => output.topic = None,
                // As the program was given it.
                ("topic", Value::Text(topic)) if *topic == record.topic => output.topic = None,
                ("topic", Value::Text(topic)) => output.topic = Some(topic.to_string()),
                ("timestamp", Value::Number(number)) => output.timestamp = Some(number.parse().map_err(|_| wrong())?),
                ("headers", Value::Object(headers)) => {
                    let header = |(name, value): &(std::borrow::Cow<'_, str>, Value<'_>)| Header {
                        name: name.to_string(),
                        value: bytes(value, false),
                    };
                    output.headers = headers.iter().map(header).collect();
                }
                ("partition" | "offset", _) => {}
                ("topic" | "timestamp" | "headers", _) => return Err(wrong()),
                _ => return Err(reject("the program returns a record with a member that no record has")),
            }
        }
        Ok(output)
    }
}

/// Null as null. Of a key or a header, text is as it is; everything else is JSON.
fn bytes(value: &Value<'_>, is_json: bool) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::Text(text) if !is_json => Some(text.as_bytes().to_vec()),
        other => Some(other.to_vec()),
    }
}

fn new_state<'v, 'a>(told: &'v Value<'a>) -> Option<&'v Value<'a>> {
    match told {
        Value::Object(members) => match &members[..] {
            [(name, state)] if name == STATE_NAME => Some(state),
            _ => None,
        },
        _ => None,
    }
}

/// What the program is given.
fn input<'r>(record: &'r Input, document: Value<'r>) -> Value<'r> {
    let text = |bytes: &'r [u8]| std::str::from_utf8(bytes).map_or(Value::Null, Value::text);
    let headers = record
        .headers
        .iter()
        .map(|header| (header.name.as_str().into(), header.value.as_deref().map_or(Value::Null, text)));
    Value::Object(vec![
        ("key".into(), record.key.as_deref().map_or(Value::Null, text)),
        ("value".into(), document),
        ("headers".into(), Value::Object(headers.collect())),
        ("timestamp".into(), Value::integer(record.timestamp)),
        ("topic".into(), Value::text(record.topic.as_str())),
        ("partition".into(), Value::integer(record.partition)),
        ("offset".into(), Value::integer(record.offset)),
    ])
}
