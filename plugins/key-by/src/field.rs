//! Finds one field in a JSON value and makes a key of it, reading nothing but
//! the objects on the way.

use std::borrow::Cow;
use std::fmt;

use gregor_sdk::{Failure, reject};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A field's place: names from the outermost object inwards.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// As configured, with dots between the names.
    path: String,
}

impl Field {
    /// # Errors
    /// A reject for a path with an empty name in it.
    pub fn new(path: String) -> Result<Self, Failure> {
        if path.split('.').any(str::is_empty) {
            return Err(reject("`field` in the config of key-by has an empty name: write `a` or `a.b`"));
        }
        Ok(Self { path })
    }

    /// The field of a record's value as a key: text as it is, a number or a
    /// boolean as its JSON text.
    ///
    /// # Errors
    /// A reject that names the field and never quotes the value.
    pub fn of(&self, value: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        let value = value.ok_or_else(|| reject("a tombstone has no field to key by"))?;
        let mut json = std::str::from_utf8(value)
            .map_err(|_| reject("the value is not UTF-8: expected a JSON object"))?
            .trim_start_matches([' ', '\t', '\r', '\n']);
        if !json.starts_with('{') {
            return Err(reject("the value is not a JSON object"));
        }
        for name in self.path.split('.') {
            json = member(json, name)
                .map_err(|error| self.unreadable(&error))?
                .ok_or_else(|| self.rejected("is missing"))?;
        }
        self.key(json)
    }

    fn key(&self, json: &str) -> Result<Vec<u8>, Failure> {
        match json.as_bytes() {
            [b'"', ..] => {
                let text: String = serde_json::from_str(json).map_err(|error| self.unreadable(&error))?;
                if text.is_empty() {
                    return Err(self.rejected("is empty text"));
                }
                Ok(text.into_bytes())
            }
            [b'{' | b'[', ..] | b"null" => Err(self.rejected("must be text, a number or a boolean")),
            number_or_boolean => Ok(number_or_boolean.to_vec()),
        }
    }

    /// `error`'s own text may quote the value, so only its kind is told.
    fn unreadable(&self, error: &serde_json::Error) -> Failure {
        if error.is_data() {
            self.rejected("is there twice: expected it once")
        } else {
            reject("the value is not JSON")
        }
    }

    fn rejected(&self, why: &str) -> Failure {
        reject(format!("`{}` {why}", self.path))
    }
}

/// The JSON text of `name` in the object `json`; `None` if `json` is no object
/// or has no such member. A name that is there twice is an error of kind data.
fn member<'a>(json: &'a str, name: &str) -> serde_json::Result<Option<&'a str>> {
    if !json.starts_with('{') {
        return Ok(None);
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_map(Member { name })?;
    reader.end()?;
    Ok(found)
}

struct Member<'n> {
    name: &'n str,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = members.next_key()? {
            if name != self.name {
                members.next_value::<IgnoredAny>()?;
            } else if found.replace(members.next_value::<&RawValue>()?.get()).is_some() {
                return Err(A::Error::custom("there twice"));
            }
        }
        Ok(found)
    }
}
