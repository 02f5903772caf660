//! Changes the form of a record: fields renamed, cast, nested, dropped; key, headers and
//! timestamp from fields and back. The README has the steps and what happens to bad input.

mod action;
mod cast;
mod layout;
mod moment;
#[cfg(test)]
mod tests;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::steps::steps;
use gregor_sdk::{Failure, Header, Input, Lifecycle, Output, Plugin, reject};

use action::Action;

struct Shape;

impl Plugin for Shape {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        Plan::load()?.shape(record)
    }
}

impl Lifecycle for Shape {
    fn init() -> Result<(), String> {
        Plan::check()
    }
}

gregor_sdk::export!(Shape: Lifecycle);

/// The stage's `config`.
struct Plan {
    actions: Vec<Action>,
    /// Whether a field that a step needs and is not there rejects the record.
    strict: bool,
}

impl Settings for Plan {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["steps", "missing"])?;
        let text = config.text("steps").ok_or("there are no `steps` in the config: add steps = \"drop /notes\"")?;
        Ok(Plan {
            actions: steps(text)?.iter().map(Action::parse).collect::<Result<_, _>>()?,
            strict: config.choice("missing", &[("skip", false), ("reject", true)])?.unwrap_or(false),
        })
    }
}

/// A record in work.
struct Draft<'a> {
    record: &'a Input,
    document: Value<'a>,
    key: Option<Vec<u8>>,
    headers: Vec<Header>,
    timestamp: u64,
}

impl Plan {
    fn shape(&self, record: Input) -> Result<Vec<Output>, Failure> {
        if record.value.is_none() {
            return self.shape_tombstone(record);
        }
        let mut draft = Draft {
            document: record.document()?,
            key: record.key.clone(),
            headers: record.headers.clone(),
            timestamp: record.timestamp,
            record: &record,
        };
        for action in &self.actions {
            let done = action.apply(&mut draft)?;
            if let (Some(missing), true) = (done, self.strict) {
                return Err(reject(format!("`{missing}` is missing")));
            }
        }
        let output = Output::new(draft.key, draft.document.to_vec());
        Ok(vec![output.with_timestamp(draft.timestamp).with_headers(draft.headers)])
    }

    /// A tombstone has no fields, so only what needs none is done. It would delete another
    /// key than its record has where the key comes from a field.
    fn shape_tombstone(&self, record: Input) -> Result<Vec<Output>, Failure> {
        if self.actions.iter().any(|action| matches!(action, Action::Key(_))) {
            return Err(reject("a tombstone has no field to make a key of"));
        }
        let mut headers = record.headers.clone();
        self.actions.iter().for_each(|action| action.apply_to_headers(&mut headers));
        Ok(vec![record.forward().with_headers(headers)])
    }
}
