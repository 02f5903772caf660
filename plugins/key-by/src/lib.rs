//! Re-keys a record by a field of its JSON value. The README has the config
//! and what happens to bad input.

mod field;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;

use gregor_sdk::{Failure, Input, Output, Plugin, config, reject};

use field::Field;

struct KeyBy;

thread_local! {
    static SETTINGS: OnceCell<Settings> = const { OnceCell::new() };
}

impl Plugin for KeyBy {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        SETTINGS.with(|settings| match settings.get() {
            Some(settings) => rekey(settings, record),
            None => {
                let read = Settings::new(config::get("field")?, config::get("topic")?)?;
                rekey(settings.get_or_init(|| read), record)
            }
        })
    }
}

gregor_sdk::export!(KeyBy);

/// The stage's `config`.
#[derive(Debug, PartialEq)]
struct Settings {
    field: Field,
    /// `None`: the next stage or the pipeline's sink.
    topic: Option<String>,
}

impl Settings {
    fn new(field: Option<String>, topic: Option<String>) -> Result<Self, Failure> {
        let field = field.ok_or_else(|| {
            reject("key-by has no `field` in its config: add config = { field = \"…\" } to the stage")
        })?;
        if topic.as_deref() == Some("") {
            return Err(reject("`topic` in the config of key-by is empty: name a topic or leave it out"));
        }
        Ok(Self { field: Field::new(field)?, topic })
    }
}

fn rekey(settings: &Settings, record: Input) -> Result<Vec<Output>, Failure> {
    let key = settings.field.of(record.value.as_deref())?;
    Ok(vec![Output::new(key, record.value).with_topic(settings.topic.clone()).with_headers(record.headers)])
}
