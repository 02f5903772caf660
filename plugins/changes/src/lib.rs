//! Tells when chosen fields of a record's value are not what they were before. The README
//! has the config and what happens to bad input.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::part::Identity;
use gregor_sdk::pointer::Pointer;
use gregor_sdk::state::State;
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin};

/// The fields as they were told last: JSON by pointer. A field that was absent is not there.
const KNOWN: State<BTreeMap<String, String>> = State::new("known");

struct Changes;

impl Plugin for Changes {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let watch = Watch::load()?;
        if record.value.is_none() && watch.by.is_key() {
            KNOWN.of(&watch.by.required(&record)?).delete();
            return Ok(vec![record.forward()]);
        }
        watch.look(record)
    }
}

impl Lifecycle for Changes {
    fn init() -> Result<(), String> {
        Watch::check()
    }
}

gregor_sdk::export!(Changes: Lifecycle);

/// The stage's `config`.
struct Watch {
    by: Identity,
    fields: Vec<Pointer>,
    /// Numbers that are at most so far apart are the same.
    tolerance: f64,
    /// Whether the first record of an identity is a change.
    tells_first: bool,
    emits: Emits,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Emits {
    /// What changed, from what to what.
    Change,
    /// The record as it came.
    Record,
}

impl Settings for Watch {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["by", "fields", "tolerance", "first", "emit"])?;
        let pointer = |text: &str| match text {
            "value" => Pointer::parse(""),
            field => Pointer::parse(field),
        };
        let fields: Result<Vec<Pointer>, String> = config.list("fields")?.into_iter().map(pointer).collect();
        let fields = fields.map_err(|problem| format!("`fields` in the config: {problem}"))?;
        if fields.is_empty() {
            return Err("there are no `fields` in the config: add fields = \"/ward, /bed\"".into());
        }
        let tolerance = config.parsed("tolerance", "a number, such as \"0.5\"")?.unwrap_or(0.0);
        if !(0.0..=f64::MAX).contains(&tolerance) {
            return Err("`tolerance` in the config must be 0 or more".into());
        }
        Ok(Watch {
            by: Identity::parse(config.text("by").unwrap_or("key"))
                .map_err(|problem| format!("`by` in the config: {problem}"))?,
            fields,
            tolerance,
            tells_first: config.choice("first", &[("emit", true), ("skip", false)])?.unwrap_or(true),
            emits: config
                .choice("emit", &[("change", Emits::Change), ("record", Emits::Record)])?
                .unwrap_or(Emits::Change),
        })
    }
}

impl Watch {
    fn look(&self, record: Input) -> Result<Vec<Output>, Failure> {
        let document = record.document()?;
        let identity = self.by.within(&record, Some(&document))?;
        let entry = KNOWN.of(&identity);
        let known = entry.get()?;
        let (is_first, mut known) = (known.is_none(), known.unwrap_or_default());
        let mut changes = Vec::new();
        for field in &self.fields {
            let (name, now) = (field.to_string(), field.of(&document));
            let before = known.get(&name).map(|json| Value::read(json.as_bytes())).transpose()?;
            if self.are_same(before.as_ref(), now) {
                continue;
            }
            let mut change = vec![("field".into(), Value::text(name.clone()))];
            change.extend(before.map(|before| ("old".into(), before.into_owned())));
            change.extend(now.map(|now| ("new".into(), now.clone())));
            changes.push(Value::Object(change));
            match now {
                Some(now) => drop(known.insert(name, now.to_string())),
                None => drop(known.remove(&name)),
            }
        }
        if is_first || !changes.is_empty() {
            entry.set(&known)?;
        }
        if changes.is_empty() || (is_first && !self.tells_first) {
            return Ok(vec![]);
        }
        if self.emits == Emits::Record {
            return Ok(vec![record.forward()]);
        }
        let of = (!self.by.is_key()).then(|| ("of".into(), self.by.shown(&record, Some(&document))));
        let change = Value::Object(of.into_iter().chain([("changes".into(), Value::List(changes))]).collect());
        Ok(vec![Output { value: Some(change.to_vec()), ..record.forward() }])
    }

    fn are_same(&self, before: Option<&Value<'_>>, now: Option<&Value<'_>>) -> bool {
        let (Some(before), Some(now)) = (before, now) else { return before.is_none() && now.is_none() };
        if self.tolerance > 0.0
            && let (Some(before), Some(now)) = (before.as_f64(), now.as_f64())
        {
            return (before - now).abs() <= self.tolerance;
        }
        before.same(now)
    }
}
