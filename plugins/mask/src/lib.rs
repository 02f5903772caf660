//! Hides what would say who a record is about. The README has the steps and what happens
//! to bad input.

mod action;
mod likely;
mod secret;
#[cfg(test)]
mod tests;

use gregor_sdk::config::{Config, Settings};
use gregor_sdk::document::Value;
use gregor_sdk::steps::steps;
use gregor_sdk::{Failure, Header, Input, Lifecycle, Output, Plugin, reject};

use action::{Action, Target};
use secret::Secret;

struct Mask;

impl Plugin for Mask {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        match &*Plan::load()? {
            Plan::List => likely::list(record),
            Plan::Mask { actions, secret } => mask(actions, secret.as_ref(), record),
        }
    }
}

impl Lifecycle for Mask {
    fn init() -> Result<(), String> {
        Plan::check()
    }
}

gregor_sdk::export!(Mask: Lifecycle);

/// The stage's `config`.
enum Plan {
    /// Lists the fields that look like health data; nothing of the record comes out.
    List,
    Mask {
        actions: Vec<(Action, Vec<Target>)>,
        secret: Option<Secret>,
    },
}

impl Settings for Plan {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["steps", "hmac-key", "dry-run"])?;
        if config.parsed("dry-run", "true or false")?.unwrap_or(false) {
            return Ok(Plan::List);
        }
        let text = config.text("steps").ok_or("there are no `steps` in the config: add steps = \"remove name\"")?;
        let actions: Vec<_> = steps(text)?.iter().map(action::parse).collect::<Result<_, _>>()?;
        let secret = config.text("hmac-key").map(Secret::new).transpose()?;
        if secret.is_none() && actions.iter().any(|(action, _)| action.needs_secret()) {
            return Err("`hmac` and `token` need `hmac-key` in the config: set it from the environment".into());
        }
        Ok(Plan::Mask { actions, secret })
    }
}

fn mask(actions: &[(Action, Vec<Target>)], secret: Option<&Secret>, record: Input) -> Result<Vec<Output>, Failure> {
    let place = secret::Place::of(&record);
    let mut document = record.value.as_ref().map(|_| record.document()).transpose()?;
    let mut key = record.key.clone();
    let mut headers = record.headers.clone();
    for (action, targets) in actions {
        for target in targets {
            let change = |value: &mut Value<'_>| {
                action.change(value, secret, &place).map_err(|problem| match problem {
                    action::Problem::Value(why) => reject(format!("`{target}` {why}")),
                    action::Problem::Cache(failure) => failure,
                })
            };
            match target {
                Target::Key => key = bytes(key, action, target, &change)?,
                Target::Header(name) => {
                    for header in headers.iter_mut().filter(|header| header.name == *name) {
                        header.value = bytes(header.value.take(), action, target, &change)?;
                    }
                }
                Target::Field(pointer) => {
                    let Some(document) = &mut document else { continue };
                    if *action == Action::Remove {
                        pointer.take(document);
                    } else if let Some(value) = pointer.of_mut(document) {
                        change(value)?;
                    }
                }
                Target::Anywhere(name) => {
                    if let Some(document) = &mut document {
                        anywhere(document, name, *action == Action::Remove, &change)?;
                    }
                }
            }
        }
    }
    headers.retain(|header| !is_removed(actions, header));
    let value = document.map(|document| document.to_vec());
    Ok(vec![Output::new(key, value).with_timestamp(record.timestamp).with_headers(headers)])
}

fn is_removed(actions: &[(Action, Vec<Target>)], header: &Header) -> bool {
    let named = |target: &Target| matches!(target, Target::Header(name) if *name == header.name);
    actions.iter().any(|(action, targets)| *action == Action::Remove && targets.iter().any(named))
}

/// A key or a header's value, as the text that it is.
fn bytes(
    bytes: Option<Vec<u8>>,
    action: &Action,
    target: &Target,
    change: &impl Fn(&mut Value<'_>) -> Result<(), Failure>,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(bytes) = bytes.filter(|_| *action != Action::Remove) else { return Ok(None) };
    let text =
        String::from_utf8(bytes).map_err(|_| reject(format!("`{target}` is not UTF-8, and cannot be masked")))?;
    let mut value = Value::text(text);
    change(&mut value)?;
    Ok(Some(value.as_text().map_or_else(|| value.to_vec(), |text| text.as_bytes().to_vec())))
}

/// Every member of this name, however deep; not within one that was changed.
fn anywhere<'a>(
    value: &mut Value<'a>,
    name: &str,
    removes: bool,
    change: &impl Fn(&mut Value<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    match value {
        Value::List(items) => items.iter_mut().try_for_each(|item| anywhere(item, name, removes, change)),
        Value::Object(members) => {
            if removes {
                members.retain(|(own, _)| *own != name);
            }
            for (own, value) in members {
                match *own == name {
                    true => change(value)?,
                    false => anywhere(value, name, removes, change)?,
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
