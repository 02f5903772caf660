//! The steps of the config, and what each does to a value.

use std::fmt;

use gregor_sdk::Failure;
use gregor_sdk::document::Value;
use gregor_sdk::pointer::Pointer;
use gregor_sdk::steps::Step;

use crate::secret::{Place, Secret};

/// Characters of a text of which some are kept.
const HIDDEN: char = '*';

#[derive(Debug, PartialEq)]
pub enum Action {
    Remove,
    Replace(Value<'static>),
    /// All but so many of the last characters hidden.
    Last(usize),
    Hmac,
    Token,
    Year,
    /// Rounded to a multiple of so many degrees, and the digits to write it with.
    Grid(f64, usize),
}

#[derive(Debug, PartialEq)]
pub enum Target {
    Key,
    Header(String),
    Field(Pointer),
    /// Members of this name at any depth.
    Anywhere(String),
}

pub enum Problem {
    /// What is wrong with the value, which is not quoted.
    Value(String),
    Cache(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Problem::Cache(failure)
    }
}

/// # Errors
/// What is wrong with the line.
pub fn parse(step: &Step) -> Result<(Action, Vec<Target>), String> {
    let words = step.words();
    let (action, targets) = match words[..] {
        ["remove", ref targets @ ..] => (Action::Remove, targets),
        ["replace", json, ref targets @ ..] => {
            let value = Value::read(json.as_bytes()).map(Value::into_owned);
            let why = format!("`{json}` is no JSON: write text in quotes, as in replace \"-\" name");
            (Action::Replace(value.map_err(|_| step.wrong(why))?), targets)
        }
        ["last", number, ref targets @ ..] => {
            let number = number.parse().ok().filter(|number| (1..=64).contains(number));
            (Action::Last(number.ok_or_else(|| step.wrong("`last` needs a number from 1 to 64"))?), targets)
        }
        ["hmac", ref targets @ ..] => (Action::Hmac, targets),
        ["token", ref targets @ ..] => (Action::Token, targets),
        ["year", ref targets @ ..] => (Action::Year, targets),
        ["grid", degrees, ref targets @ ..] => {
            let digits = degrees.split_once('.').map_or(0, |(_, digits)| digits.len());
            let size = degrees.parse().ok().filter(|size: &f64| (1e-9..=90.0).contains(size) && digits <= 9);
            (Action::Grid(size.ok_or_else(|| step.wrong("`grid` needs degrees, such as 0.01"))?, digits), targets)
        }
        [verb, ..] => return Err(step.wrong(format!("`{verb}` is no step: see the README of mask"))),
        [] => return Err(step.wrong("it is empty")),
    };
    if targets.is_empty() {
        return Err(step.wrong("it names no field: write /pointer, name, @key or @header:NAME"));
    }
    let targets = targets.iter().map(|target| Target::parse(target)).collect::<Result<_, _>>();
    Ok((action, targets.map_err(|problem| step.wrong(problem))?))
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "@key" => Ok(Target::Key),
            pointer if pointer.starts_with('/') => Pointer::parse(pointer).map(Target::Field),
            other => match (other.strip_prefix("@header:"), other.starts_with('@')) {
                (Some(name), _) if !name.is_empty() => Ok(Target::Header(name.to_owned())),
                (_, true) => Err(format!("`{other}` is neither @key nor @header:NAME")),
                _ => Ok(Target::Anywhere(other.to_owned())),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Key => f.write_str("@key"),
            Target::Header(name) => write!(f, "@header:{name}"),
            Target::Field(pointer) => pointer.fmt(f),
            Target::Anywhere(name) => f.write_str(name),
        }
    }
}

impl Action {
    pub fn needs_secret(&self) -> bool {
        matches!(self, Action::Hmac | Action::Token)
    }

    /// Null stays null; of a list each item is changed.
    ///
    /// # Errors
    /// Where the value is none that this can hide: it must not pass as it is.
    pub fn change(&self, value: &mut Value<'_>, secret: Option<&Secret>, place: &Place<'_>) -> Result<(), Problem> {
        if let Value::List(items) = value
            && !matches!(self, Action::Replace(_) | Action::Remove)
        {
            return items.iter_mut().try_for_each(|item| self.change(item, secret, place));
        }
        let wrong = |wanted: &str| Problem::Value(format!("is {}, not {wanted}, and cannot be masked", value.kind()));
        let no_secret = || Problem::Value("cannot be masked without `hmac-key`".to_owned());
        let changed = match (self, &*value) {
            (_, Value::Null) => return Ok(()),
            (Action::Remove, _) => Value::Null,
            (Action::Replace(with), _) => with.clone(),
            (Action::Last(kept), Value::Text(text)) => Value::text(last(text, *kept)),
            (Action::Last(kept), Value::Number(number)) => Value::text(last(number, *kept)),
            (Action::Last(_), _) => return Err(wrong("text or a number")),
            (Action::Hmac, other) => Value::text(secret.ok_or_else(no_secret)?.of(&plain(other))),
            (Action::Token, other) => Value::text(secret.ok_or_else(no_secret)?.token(&plain(other), place)?),
            (Action::Year, Value::Text(text)) => {
                Value::text(year(text).ok_or_else(|| wrong("a date such as 1970-12-31"))?.to_owned())
            }
            (Action::Year, _) => return Err(wrong("a date such as 1970-12-31")),
            (Action::Grid(size, digits), number @ Value::Number(_)) => {
                let degrees = number.as_f64().ok_or_else(|| wrong("a coordinate"))?;
                // Plus zero, as minus zero would tell on which side it was.
                let rounded = (degrees / size).round() * size + 0.0;
                Value::Number(format!("{rounded:.digits$}").into())
            }
            (Action::Grid(..), _) => return Err(wrong("a coordinate")),
        };
        // What was borrowed from the record is not what comes out.
        *value = changed.into_owned();
        Ok(())
    }
}

/// Text as it is, so that a key and a field of the same text are masked alike.
fn plain(value: &Value<'_>) -> String {
    value.as_text().map_or_else(|| value.canonical(), str::to_owned)
}

/// A text that is no longer than what would be kept is hidden whole.
fn last(text: &str, kept: usize) -> String {
    let length = text.chars().count();
    let hidden = if length > kept { length - kept } else { length };
    text.chars().enumerate().map(|(at, character)| if at < hidden { HIDDEN } else { character }).collect()
}

/// Of `1970-12-31` and of what follows it.
fn year(text: &str) -> Option<&str> {
    let digits = |from: usize, to: usize| text.get(from..to)?.bytes().all(|byte| byte.is_ascii_digit()).then_some(());
    digits(0, 4)?;
    digits(5, 7)?;
    let dashed = text.get(4..5) == Some("-") && matches!(text.get(7..8), None | Some("" | "-"));
    if dashed { text.get(..4) } else { None }
}
