//! JSON pointers (RFC 6901): where a field is in a record's JSON.

use std::borrow::Cow;
use std::fmt;

use crate::document::Value;

/// Names and indexes from the outermost value inwards. `/a/b/0`; `~1` is a `/` within a
/// name and `~0` a `~`. The empty pointer is the whole value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let inner = text.strip_prefix('/').ok_or_else(|| format!("`{text}` is no JSON pointer: write `/{text}`"))?;
        let step = |step: &str| {
            let unescaped = step.replace("~1", "/").replace("~0", "~");
            let escapes = step.matches("~0").count() + step.matches("~1").count();
            match step.matches('~').count() == escapes {
                true => Ok(unescaped),
                false => Err(format!("`{text}` has a `~` that is neither `~0` nor `~1`")),
            }
        };
        Ok(Self(inner.split('/').map(step).collect::<Result<_, _>>()?))
    }

    /// Of one name.
    pub fn of_name(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The innermost name or index; `None` for the whole value.
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// With `name` as one more step inwards.
    pub fn join(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }

    /// The value that this leads to, if there is one.
    pub fn of<'v, 'a>(&self, value: &'v Value<'a>) -> Option<&'v Value<'a>> {
        self.0.iter().try_fold(value, |value, step| match value {
            Value::Object(members) => members.iter().find(|(name, _)| name == step).map(|(_, value)| value),
            Value::List(items) => items.get(index(step)?),
            _ => None,
        })
    }

    /// The value that this leads to, to be changed.
    pub fn of_mut<'v, 'a>(&self, value: &'v mut Value<'a>) -> Option<&'v mut Value<'a>> {
        self.0.iter().try_fold(value, |value, step| match value {
            Value::Object(members) => members.iter_mut().find(|(name, _)| name == step).map(|(_, value)| value),
            Value::List(items) => items.get_mut(index(step)?),
            _ => None,
        })
    }

    /// Takes the value out of its object or list; what it was, if it was there.
    pub fn take<'a>(&self, value: &mut Value<'a>) -> Option<Value<'a>> {
        let Some((last, parents)) = self.0.split_last() else {
            return Some(std::mem::replace(value, Value::Null));
        };
        match Pointer(parents.to_vec()).of_mut(value)? {
            Value::Object(members) => {
                let at = members.iter().position(|(name, _)| name == last)?;
                Some(members.remove(at).1)
            }
            Value::List(items) => {
                let at = index(last).filter(|at| *at < items.len())?;
                Some(items.remove(at))
            }
            _ => None,
        }
    }

    /// Puts `new` there; objects on the way are made where they are missing. In a list,
    /// an item is replaced, and `-` or the list's length appends.
    ///
    /// # Errors
    /// A reason where something that is neither object nor list is on the way, or a list
    /// has no such place.
    pub fn set<'a>(&self, value: &mut Value<'a>, new: Value<'a>) -> Result<(), Blocked> {
        let blocked = || Blocked(self.to_string());
        let mut value = value;
        for step in &self.0 {
            value = match value {
                Value::Object(members) => {
                    let at = members.iter().position(|(name, _)| name == step).unwrap_or_else(|| {
                        members.push((Cow::Owned(step.clone()), Value::Object(Vec::new())));
                        members.len() - 1
                    });
                    &mut members[at].1
                }
                Value::List(items) => {
                    let at = if step == "-" { Some(items.len()) } else { index(step) };
                    let at = at.filter(|at| *at <= items.len()).ok_or_else(blocked)?;
                    if at == items.len() {
                        items.push(Value::Object(Vec::new()));
                    }
                    &mut items[at]
                }
                _ => return Err(blocked()),
            };
        }
        *value = new;
        Ok(())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

/// Why nothing could be put at a pointer.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked(String);

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing can be put at `{}`: what is on the way is no object and no list with that place", self.0)
    }
}

impl std::error::Error for Blocked {}

impl From<Blocked> for crate::Failure {
    fn from(blocked: Blocked) -> Self {
        crate::reject(blocked.to_string())
    }
}

fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    plain.then(|| step.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn value(json: &str) -> Value<'_> {
        Value::read(json.as_bytes()).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_6901_hold() {
        let json = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let value = value(json);
        assert_eq!(pointer("").of(&value), Some(&value));
        for (text, expected) in [
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", r#""bar""#),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(pointer(text).of(&value).map(Value::to_string).as_deref(), Some(expected), "{text}");
            assert_eq!(pointer(text).to_string(), text);
        }
        for missing in ["/bar", "/foo/2", "/foo/00", "/foo/-", "/foo/0/x", "/foo/18446744073709551616"] {
            assert_eq!(pointer(missing).of(&value), None, "{missing}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        assert!(Pointer::parse("a/b").unwrap_err().contains("write `/a/b`"));
        for wrong in ["/~", "/~2", "/a~"] {
            assert!(Pointer::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_put_where_its_objects_were_missing() {
        let mut document = value(r#"{"a":{"b":1},"l":[1]}"#);
        for (at, new) in [("/a/c/d", "2"), ("/a/b", "3"), ("/l/0", "4"), ("/l/-", "5"), ("/l/2", "6")] {
            pointer(at).set(&mut document, value(new)).unwrap();
        }
        assert_eq!(document.to_string(), r#"{"a":{"b":3,"c":{"d":2}},"l":[4,5,6]}"#);
        for wrong in ["/l/9", "/l/x", "/a/b/c"] {
            assert!(pointer(wrong).set(&mut document, Value::Null).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_is_taken_out_once() {
        let mut document = value(r#"{"a":{"b":1},"l":[1,2]}"#);
        assert_eq!(pointer("/l/0").take(&mut document), Some(value("1")));
        assert_eq!(pointer("/a/b").take(&mut document), Some(value("1")));
        assert_eq!(pointer("/a/b").take(&mut document), None);
        assert_eq!(document.to_string(), r#"{"a":{},"l":[2]}"#);
    }
}
