//! Checks records against a JSON Schema. The README has the config and what happens to bad
//! input.

mod checked;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::{Failure, Header, Input, Lifecycle, Output, Plugin, metrics, reject};
use jsonschema::{PatternOptions, Validator};

use checked::{Breach, breaches};

/// Breaches that are told of one record.
const MAX_TOLD: usize = 20;
/// The header of a record that is passed on and breaks the schema.
const HEADER: &str = "schema-error";

struct Validate;

impl Plugin for Validate {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        Schema::load()?.check(record)
    }
}

impl Lifecycle for Validate {
    fn init() -> Result<(), String> {
        Schema::check()
    }
}

gregor_sdk::export!(Validate: Lifecycle);

/// The stage's `config`.
struct Schema {
    validator: Validator,
    /// The names in the schema, which may be told.
    names: BTreeSet<String>,
    invalid: Invalid,
    /// Whether a tombstone passes; else it is rejected.
    passes_tombstones: bool,
}

/// What becomes of a record that breaks the schema.
#[derive(Debug, Clone, PartialEq)]
enum Invalid {
    Reject,
    /// Passed on with a header that tells why.
    Annotate,
    /// The same, to a topic.
    Route(String),
}

impl Settings for Schema {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["schema", "invalid", "topic", "tombstones"])?;
        let text =
            config.text("schema").ok_or("there is no `schema` in the config: add schema = '{\"type\": \"object\"}'")?;
        let schema = Value::read(text.as_bytes()).map_err(|problem| format!("`schema` in the config: {problem}"))?;
        let mut names = BTreeSet::new();
        checked::names(&schema, &mut names);
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .build(&checked::instance(&schema))
            .map_err(|problem| format!("`schema` in the config is no JSON Schema that can be used: {problem}"))?;
        let topic = config.topic("topic")?;
        let choices =
            [("reject", Invalid::Reject), ("annotate", Invalid::Annotate), ("route", Invalid::Route(String::new()))];
        let invalid = match (config.choice("invalid", &choices)?.unwrap_or(Invalid::Reject), topic) {
            (Invalid::Route(_), Some(topic)) => Invalid::Route(topic),
            (Invalid::Route(_), None) => return Err("`invalid = \"route\"` in the config needs a `topic`".into()),
            (_, Some(_)) => return Err("`topic` in the config needs `invalid = \"route\"`".into()),
            (invalid, None) => invalid,
        };
        let passes_tombstones = config.choice("tombstones", &[("pass", true), ("reject", false)])?.unwrap_or(true);
        Ok(Schema { validator, names, invalid, passes_tombstones })
    }
}

impl Schema {
    fn check(&self, record: Input) -> Result<Vec<Output>, Failure> {
        if record.value.is_none() && self.passes_tombstones {
            return Ok(vec![record.forward()]);
        }
        let breaches = match record.document() {
            Ok(document) => breaches(&self.validator, &document, &self.names, MAX_TOLD),
            Err(Failure::Reject(problem)) => vec![Breach::whole(problem)],
            Err(failure) => return Err(failure),
        };
        let Some(first) = breaches.first() else { return Ok(vec![record.forward()]) };
        metrics::count("invalid_records", 1);
        let topic = match &self.invalid {
            Invalid::Reject => return Err(reject(first.to_string())),
            Invalid::Annotate => None,
            Invalid::Route(topic) => Some(topic.clone()),
        };
        let told = Value::List(breaches.iter().map(|breach| Value::text(breach.to_string())).collect());
        let mut output = record.forward().with_topic(topic);
        output.headers.push(Header { name: HEADER.to_owned(), value: Some(told.to_vec()) });
        Ok(vec![output])
    }
}
