//! A record's value against the schema, and what may be told of a breach.

use std::collections::BTreeSet;
use std::fmt;

use gregor_sdk::document::Value;
use jsonschema::Validator;

/// Where a value breaks the schema. Nothing of the value is in it.
#[derive(Debug, PartialEq)]
pub struct Breach(String);

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Breach {
    /// Of a value that cannot be read.
    pub fn whole(problem: String) -> Self {
        Self(problem)
    }
}

/// The first breaches, at most so many.
pub fn breaches(validator: &Validator, document: &Value<'_>, names: &BTreeSet<String>, most: usize) -> Vec<Breach> {
    let instance = instance(document);
    if validator.is_valid(&instance) {
        return vec![];
    }
    let errors = validator.iter_errors(&instance).take(most);
    errors.map(|error| Breach(told(error.instance_path().as_str(), error.schema_path().as_str(), names))).collect()
}

/// A name of the record that the schema has not may be data: it is a `*`.
fn told(path: &str, rule: &str, names: &BTreeSet<String>) -> String {
    let shown = |step: &str| {
        let is_index = !step.is_empty() && step.len() < 8 && step.bytes().all(|byte| byte.is_ascii_digit());
        let known = is_index || names.contains(&step.replace("~1", "/").replace("~0", "~"));
        if known { format!("/{step}") } else { "/*".to_owned() }
    };
    let place: String = path.split('/').skip(1).map(shown).collect();
    let place = if place.is_empty() { "the value".to_owned() } else { format!("`{place}`") };
    format!("{place} breaks `{rule}` of the schema")
}

/// Every member's name and every text of the schema.
pub fn names(schema: &Value<'_>, into: &mut BTreeSet<String>) {
    match schema {
        Value::Text(text) => drop(into.insert(text.to_string())),
        Value::List(items) => items.iter().for_each(|item| names(item, into)),
        Value::Object(members) => {
            for (name, value) in members {
                into.insert(name.to_string());
                names(value, into);
            }
        }
        _ => {}
    }
}

/// For the validator: a number past 64 bits is the nearest double.
pub fn instance(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(is) => (*is).into(),
        Value::Number(number) => number_of(number),
        Value::Text(text) => text.to_string().into(),
        Value::List(items) => items.iter().map(instance).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.to_string(), instance(value))).collect(),
    }
}

fn number_of(text: &str) -> serde_json::Value {
    match (text.parse::<i64>(), text.parse::<u64>(), text.parse::<f64>()) {
        (Ok(number), _, _) => number.into(),
        (_, Ok(number), _) => number.into(),
        (_, _, Ok(number)) if number.is_finite() => number.into(),
        // Larger than any bound that a schema can have.
        _ => if text.starts_with('-') { f64::MIN } else { f64::MAX }.into(),
    }
}
