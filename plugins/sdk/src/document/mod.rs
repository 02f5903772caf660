//! A record's JSON as it was written: members in their order, numbers digit for digit.
//!
//! For plugins that change some fields and must leave the rest alone: a number of thirty
//! digits or `1.0` comes out as it went in, which a `f64` does not promise. Reading is
//! strict (RFC 8259), refuses a member that is there twice, since readers disagree about
//! which one counts, and bounds the nesting by [`MAX_DEPTH`].
//!
//! ```
//! use gregor_sdk::document::Value;
//! use gregor_sdk::pointer::Pointer;
//!
//! let mut value = Value::read(br#"{"b": 1.0, "a": {"id": 12345678901234567890123}}"#)?;
//! let id = Pointer::parse("/a/id")?;
//! assert_eq!(id.of(&value).and_then(Value::number), Some("12345678901234567890123"));
//! id.set(&mut value, Value::text("x"))?;
//! assert_eq!(value.to_string(), r#"{"b":1.0,"a":{"id":"x"}}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

pub use read::{Invalid, MAX_DEPTH};

use crate::{Failure, Input, reject};

/// Any JSON value; borrows what it can from the bytes it was read from.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(Cow<'a, str>),
    /// Text, with its escapes resolved.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// An object's members, in their order; no name is there twice.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Reads all of `json`.
    ///
    /// # Errors
    /// [`Invalid`], which says where and never quotes.
    pub fn read(json: &'a [u8]) -> Result<Self, Invalid> {
        read::read(json)
    }

    /// Text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Value::Text(text.into())
    }

    /// A whole number.
    pub fn integer(number: impl Into<i128>) -> Self {
        Value::Number(Cow::Owned(number.into().to_string()))
    }

    /// A finite number, in the shortest form that reads as the same double; else null.
    pub fn float(number: f64) -> Self {
        match number.is_finite() {
            true => Value::Number(Cow::Owned(write::float(number))),
            false => Value::Null,
        }
    }

    /// The text that this is, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number's digits, if this is a number.
    pub fn number(&self) -> Option<&str> {
        match self {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A number as a finite double, if this is a number that has one.
    pub fn as_f64(&self) -> Option<f64> {
        self.number()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// The value of an object's member, if this is an object that has it.
    pub fn member(&self, name: &str) -> Option<&Value<'a>> {
        let Value::Object(members) = self else { return None };
        members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// What kind of value this is, for a reason.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// The same value, with nothing borrowed.
    pub fn into_owned(self) -> Value<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            Value::Null => Value::Null,
            Value::Bool(is) => Value::Bool(is),
            Value::Number(number) => Value::Number(owned(number)),
            Value::Text(text) => Value::Text(owned(text)),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Value::Object(members) => {
                Value::Object(members.into_iter().map(|(name, value)| (owned(name), value.into_owned())).collect())
            }
        }
    }

    /// Compact JSON with the members of objects by name: the same for two values that
    /// differ in the order of members only. Numbers stay as they were written.
    pub fn canonical(&self) -> String {
        let mut sorted = self.clone();
        sorted.sort();
        sorted.to_string()
    }

    fn sort(&mut self) {
        match self {
            Value::List(items) => items.iter_mut().for_each(Value::sort),
            Value::Object(members) => {
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                members.iter_mut().for_each(|(_, value)| value.sort());
            }
            _ => {}
        }
    }

    /// Whether this is the same value: members in any order, `1.0` and `1` the same
    /// number. Numbers that a double cannot hold exactly are compared as written.
    pub fn same(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Number(one), Value::Number(other)) => one == other || compare(one, other) == Some(Ordering::Equal),
            (Value::List(ones), Value::List(others)) => {
                ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| one.same(other))
            }
            (Value::Object(ones), Value::Object(others)) => {
                // By name, as a hostile producer's objects have as many members as fit.
                let others: BTreeMap<&str, &Value<'_>> = others.iter().map(|(name, value)| (&**name, value)).collect();
                ones.len() == others.len()
                    && ones.iter().all(|(name, one)| others.get(&**name).is_some_and(|other| one.same(other)))
            }
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Text(one), Value::Text(other)) => one == other,
            _ => false,
        }
    }
}

/// How two numbers of at most 15 digits compare: doubles hold those exactly. `None` for
/// longer ones, which a double may take for one another.
fn compare(one: &str, other: &str) -> Option<Ordering> {
    let exact = |text: &str| text.bytes().filter(u8::is_ascii_digit).count() <= 15;
    if !exact(one) || !exact(other) {
        return None;
    }
    one.parse::<f64>().ok()?.partial_cmp(&other.parse().ok()?)
}

impl Input {
    /// The value as a [`Value`].
    ///
    /// # Errors
    /// A reject for a tombstone and for what is not JSON.
    pub fn document(&self) -> Result<Value<'_>, Failure> {
        let json = self.value.as_deref().ok_or_else(|| reject("a tombstone has no JSON value"))?;
        Ok(Value::read(json)?)
    }
}
