use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use super::Value;
use crate::{Failure, reject};

/// How deep lists and objects may be nested.
pub const MAX_DEPTH: usize = 128;
/// Names of larger objects are looked up in a set: an object of a hostile producer has
/// as many as fit.
const FEW: usize = 16;

/// Why bytes are not JSON. It never quotes them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Invalid {
    problem: Problem,
    /// Bytes before it.
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Problem {
    Syntax,
    Utf8,
    Depth,
    Twice,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.problem {
            Problem::Syntax => write!(f, "the value is not JSON: see byte {at}"),
            Problem::Utf8 => write!(f, "the value is not UTF-8: see byte {at}"),
            Problem::Depth => write!(f, "the JSON is nested deeper than {MAX_DEPTH}: see byte {at}"),
            Problem::Twice => write!(f, "an object has a member twice: see byte {at}"),
        }
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        reject(invalid.to_string())
    }
}

pub fn read(json: &[u8]) -> Result<Value<'_>, Invalid> {
    let text =
        std::str::from_utf8(json).map_err(|error| Invalid { problem: Problem::Utf8, at: error.valid_up_to() })?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    match reader.at == text.len() {
        true => Ok(value),
        false => Err(reader.syntax()),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn syntax(&self) -> Invalid {
        Invalid { problem: Problem::Syntax, at: self.at }
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Whether `byte` was next; it is read.
    fn took(&mut self, byte: u8) -> bool {
        let took = self.next() == Some(byte);
        self.at += usize::from(took);
        took
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Invalid> {
        self.space();
        match self.next() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err(Invalid { problem: Problem::Depth, at: self.at }),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value<'a>, Invalid> {
        for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.syntax())
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Invalid> {
        self.at += 1;
        self.space();
        let mut items = Vec::new();
        if self.took(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.took(b']') {
                return Ok(Value::List(items));
            }
            if !self.took(b',') {
                return Err(self.syntax());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Invalid> {
        self.at += 1;
        self.space();
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        let mut names: BTreeSet<Cow<'a, str>> = BTreeSet::new();
        if self.took(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let at = self.at;
            if self.next() != Some(b'"') {
                return Err(self.syntax());
            }
            let name = self.string()?;
            if members.len() == FEW {
                names = members.iter().map(|(name, _)| name.clone()).collect();
            }
            let twice = match members.len() < FEW {
                true => members.iter().any(|(own, _)| *own == name),
                false => !names.insert(name.clone()),
            };
            if twice {
                return Err(Invalid { problem: Problem::Twice, at });
            }
            self.space();
            if !self.took(b':') {
                return Err(self.syntax());
            }
            members.push((name, self.value(depth)?));
            self.space();
            if self.took(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.took(b',') {
                return Err(self.syntax());
            }
        }
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        let from = self.at;
        while matches!(self.next(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from { Err(self.syntax()) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value<'a>, Invalid> {
        let from = self.at;
        self.took(b'-');
        if !self.took(b'0') {
            self.digits()?;
        }
        if self.took(b'.') {
            self.digits()?;
        }
        if self.took(b'e') || self.took(b'E') {
            let _ = self.took(b'+') || self.took(b'-');
            self.digits()?;
        }
        Ok(Value::Number(Cow::Borrowed(&self.text[from..self.at])))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Invalid> {
        self.at += 1;
        let from = self.at;
        let mut resolved: Option<String> = None;
        let mut kept = from;
        loop {
            match self.next() {
                Some(b'"') => {
                    let rest = &self.text[kept..self.at];
                    self.at += 1;
                    return Ok(match resolved {
                        None => Cow::Borrowed(rest),
                        Some(text) => Cow::Owned(text + rest),
                    });
                }
                Some(b'\\') => {
                    let text = resolved.get_or_insert_with(String::new);
                    text.push_str(&self.text[kept..self.at]);
                    text.push(self.escape()?);
                    kept = self.at;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Invalid> {
        self.at += 1;
        let escaped = self.next().ok_or(self.syntax())?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let code = match unit {
                    0xd800..0xdc00 if self.took(b'\\') && self.took(b'u') => match self.unit()? {
                        low @ 0xdc00..0xe000 => 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                        _ => return Err(self.syntax()),
                    },
                    unit => unit,
                };
                // A lone surrogate is no character.
                char::from_u32(code).ok_or(self.syntax())?
            }
            _ => return Err(self.syntax()),
        })
    }

    fn unit(&mut self) -> Result<u32, Invalid> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(self.syntax())?;
        let unit = digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?));
        let unit = unit.ok_or(self.syntax())?;
        self.at += 4;
        Ok(unit)
    }
}
