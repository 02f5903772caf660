//! Keeps or drops records by a CEL expression. The README has the config and what happens
//! to bad input.

#[cfg(test)]
mod tests;

use expression::{Condition, Subject};
use gregor_sdk::config::{Config, Settings};
use gregor_sdk::{Failure, Input, Lifecycle, Output, Plugin, metrics};

struct Filter;

impl Plugin for Filter {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let rule = Rule::load()?;
        let keeps = match (rule.condition.holds(&mut Subject::of(&record)), rule.undecided) {
            (Ok(holds), _) => holds == rule.keeps,
            (Err(undecided), None) => return Err(undecided.into()),
            (Err(_), Some(keeps)) => {
                metrics::count("undecided_records", 1);
                keeps
            }
        };
        Ok(if keeps { vec![record.forward()] } else { vec![] })
    }
}

impl Lifecycle for Filter {
    fn init() -> Result<(), String> {
        Rule::check()
    }
}

gregor_sdk::export!(Filter: Lifecycle);

/// The stage's `config`.
struct Rule {
    condition: Condition,
    /// Whether the condition says what is kept, or what is dropped.
    keeps: bool,
    /// Whether what the condition cannot decide is kept; else it is rejected.
    undecided: Option<bool>,
}

impl Settings for Rule {
    fn read(config: &Config) -> Result<Self, String> {
        config.only(&["keep", "drop", "on-error"])?;
        let (keeps, text) = match (config.text("keep"), config.text("drop")) {
            (Some(text), None) => (true, text),
            (None, Some(text)) => (false, text),
            _ => return Err("the config needs either `keep` or `drop`: add keep = \"value.ward == 'A'\"".into()),
        };
        let on_error = [("reject", None), ("keep", Some(true)), ("drop", Some(false))];
        Ok(Rule {
            condition: Condition::parse(text)?,
            keeps,
            undecided: config.choice("on-error", &on_error)?.unwrap_or(None),
        })
    }
}
