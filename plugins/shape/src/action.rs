//! The steps of the config, and what each does.

use gregor_sdk::document::Value;
use gregor_sdk::pointer::Pointer;
use gregor_sdk::steps::Step;
use gregor_sdk::{Failure, Header, reject};

use crate::cast::Type;
use crate::moment::Format;
use crate::{Draft, layout};

pub enum Action {
    Rename(Pointer, Pointer),
    Copy(Pointer, Pointer),
    Drop(Vec<Pointer>),
    Keep(Vec<Pointer>),
    Set(Pointer, Value<'static>),
    Default(Pointer, Value<'static>),
    Cast(Pointer, Type),
    Flatten(String, Pointer),
    Nest(String, Pointer),
    Wrap(Pointer),
    Unwrap(Pointer),
    Time(Pointer, Format, Format),
    Key(Vec<Pointer>),
    Header(String, Pointer),
    HeaderText(String, String),
    DropHeader(String),
    Insert(Pointer, Source),
    Timestamp(Pointer, Format),
}

/// What of a record, beside its value, goes into a field.
pub enum Source {
    Key,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Header(String),
}

impl Action {
    /// # Errors
    /// What is wrong with the line.
    pub fn parse(step: &Step) -> Result<Self, String> {
        let words = step.words();
        let pointer = |text: &str| Pointer::parse(text).map_err(|problem| step.wrong(problem));
        let pointers = |texts: &[&str]| texts.iter().map(|text| pointer(text)).collect::<Result<Vec<_>, _>>();
        let json = || {
            let text = step.from_word(2);
            let value = Value::read(text.as_bytes()).map(Value::into_owned);
            value.map_err(|_| step.wrong(format!("`{text}` is no JSON: write text in quotes, as in set /a \"b\"")))
        };
        let format = |text: &str| Format::parse(unquoted(text)).map_err(|problem| step.wrong(problem));
        Ok(match words[..] {
            ["rename", from, to] => Action::Rename(pointer(from)?, pointer(to)?),
            ["copy", from, to] => Action::Copy(pointer(from)?, pointer(to)?),
            ["drop", ref fields @ ..] if !fields.is_empty() => Action::Drop(pointers(fields)?),
            ["keep", ref fields @ ..] if !fields.is_empty() => Action::Keep(pointers(fields)?),
            ["set", at, _, ..] => Action::Set(pointer(at)?, json()?),
            ["default", at, _, ..] => Action::Default(pointer(at)?, json()?),
            ["cast", at, to] => Action::Cast(pointer(at)?, Type::parse(to).map_err(|problem| step.wrong(problem))?),
            ["flatten", between] => Action::Flatten(unquoted(between).to_owned(), pointer("")?),
            ["flatten", between, at] => Action::Flatten(unquoted(between).to_owned(), pointer(at)?),
            ["nest", between] => Action::Nest(unquoted(between).to_owned(), pointer("")?),
            ["nest", between, at] => Action::Nest(unquoted(between).to_owned(), pointer(at)?),
            ["wrap", at] => Action::Wrap(pointer(at)?),
            ["unwrap", at] => Action::Unwrap(pointer(at)?),
            ["time", at, from, to] => Action::Time(pointer(at)?, format(from)?, format(to)?),
            ["key", ref fields @ ..] if !fields.is_empty() => Action::Key(pointers(fields)?),
            ["header", name, at] if at.starts_with('/') => Action::Header(name.to_owned(), pointer(at)?),
            ["header", name, text] if text.starts_with('"') => {
                Action::HeaderText(name.to_owned(), unquoted(text).to_owned())
            }
            ["drop-header", name] => Action::DropHeader(name.to_owned()),
            ["insert", at, "key"] => Action::Insert(pointer(at)?, Source::Key),
            ["insert", at, "topic"] => Action::Insert(pointer(at)?, Source::Topic),
            ["insert", at, "partition"] => Action::Insert(pointer(at)?, Source::Partition),
            ["insert", at, "offset"] => Action::Insert(pointer(at)?, Source::Offset),
            ["insert", at, "timestamp"] => Action::Insert(pointer(at)?, Source::Timestamp),
            ["insert", at, "header", name] => Action::Insert(pointer(at)?, Source::Header(name.to_owned())),
            ["timestamp", at, from] => Action::Timestamp(pointer(at)?, format(from)?),
            [verb, ..] => {
                return Err(step.wrong(format!("`{verb}` with these words is no step: see the README of shape")));
            }
            [] => return Err(step.wrong("it is empty")),
        })
    }

    /// The first field that was needed and is not there, if one was.
    ///
    /// # Errors
    /// A reject for what cannot be done with the value that is there.
    pub fn apply<'s>(&'s self, draft: &mut Draft<'_>) -> Result<Option<&'s Pointer>, Failure> {
        let Draft { document, .. } = draft;
        match self {
            Action::Rename(from, to) => match from.take(document) {
                None => return Ok(Some(from)),
                Some(value) => to.set(document, value)?,
            },
            Action::Copy(from, to) => match from.of(document).cloned() {
                None => return Ok(Some(from)),
                Some(value) => to.set(document, value)?,
            },
            Action::Drop(fields) => {
                let missing = fields.iter().filter(|field| field.take(document).is_none()).last();
                return Ok(missing);
            }
            Action::Keep(fields) => return keep(fields, document),
            Action::Set(at, value) => at.set(document, value.clone())?,
            Action::Default(at, value) => {
                if at.of(document).is_none_or(|there| *there == Value::Null) {
                    at.set(document, value.clone())?;
                }
            }
            Action::Cast(at, to) => return change(at, document, |value| to.cast(value)),
            Action::Flatten(between, at) => return change(at, document, |value| layout::flatten(value, between)),
            Action::Nest(between, at) => return change(at, document, |value| layout::nest(value, between)),
            Action::Wrap(at) => {
                let whole = std::mem::replace(document, Value::Object(vec![]));
                at.set(document, whole)?;
            }
            Action::Unwrap(at) => match at.take(document) {
                None => return Ok(Some(at)),
                Some(value) => *document = value,
            },
            Action::Time(at, from, to) => return change(at, document, |value| to.write(from.read(value)?)),
            Action::Key(fields) => return key(fields, draft),
            Action::Header(name, at) => match at.of(document) {
                None => return Ok(Some(at)),
                Some(value) => set_header(&mut draft.headers, name, Some(bytes(value))),
            },
            Action::HeaderText(..) | Action::DropHeader(_) => self.apply_to_headers(&mut draft.headers),
            Action::Insert(at, source) => at.set(document, source.of(draft.record)?)?,
            Action::Timestamp(at, format) => match at.of(document) {
                None => return Ok(Some(at)),
                Some(value) => {
                    let micros = format.read(value).map_err(|problem| wrong(at, problem))?;
                    draft.timestamp = u64::try_from(micros.div_euclid(1_000))
                        .map_err(|_| wrong(at, "is before the Unix epoch, which no record's timestamp is"))?;
                }
            },
        }
        Ok(None)
    }

    pub fn apply_to_headers(&self, headers: &mut Vec<Header>) {
        match self {
            Action::HeaderText(name, text) => set_header(headers, name, Some(text.clone().into_bytes())),
            Action::DropHeader(name) => headers.retain(|header| header.name != *name),
            _ => {}
        }
    }
}

impl Source {
    fn of<'v>(&self, record: &gregor_sdk::Input) -> Result<Value<'v>, Failure> {
        let text = |bytes: Option<&[u8]>, what: &str| match bytes.map(|bytes| String::from_utf8(bytes.to_vec())) {
            None => Ok(Value::Null),
            Some(Ok(text)) => Ok(Value::text(text)),
            Some(Err(_)) => Err(reject(format!("{what} is not UTF-8, and cannot be put into a field"))),
        };
        match self {
            Source::Key => text(record.key.as_deref(), "the key"),
            Source::Topic => Ok(Value::text(record.topic.clone())),
            Source::Partition => Ok(Value::integer(record.partition)),
            Source::Offset => Ok(Value::integer(record.offset)),
            Source::Timestamp => Ok(Value::integer(record.timestamp)),
            Source::Header(name) => {
                let header = record.headers.iter().rev().find(|header| header.name == *name);
                text(header.and_then(|header| header.value.as_deref()), "a header")
            }
        }
    }
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn wrong(at: &Pointer, problem: impl std::fmt::Display) -> Failure {
    reject(format!("`{at}` {problem}"))
}

/// Changes the value at `at`, where there is one that is not null.
fn change<'s, 'v>(
    at: &'s Pointer,
    document: &mut Value<'v>,
    change: impl FnOnce(&Value<'v>) -> Result<Value<'v>, String>,
) -> Result<Option<&'s Pointer>, Failure> {
    match at.of_mut(document) {
        None => return Ok(Some(at)),
        Some(Value::Null) => {}
        Some(value) => *value = change(value).map_err(|problem| wrong(at, problem))?,
    }
    Ok(None)
}

fn keep<'s>(fields: &'s [Pointer], document: &mut Value<'_>) -> Result<Option<&'s Pointer>, Failure> {
    let mut kept = Value::Object(vec![]);
    let mut missing = None;
    for field in fields {
        match field.take(document) {
            None => missing = Some(field),
            Some(value) => field.set(&mut kept, value)?,
        }
    }
    *document = kept;
    Ok(missing)
}

/// One field as it is, several as an object by their innermost names.
fn key<'s>(fields: &'s [Pointer], draft: &mut Draft<'_>) -> Result<Option<&'s Pointer>, Failure> {
    let mut parts = Vec::new();
    for field in fields {
        match field.of(&draft.document) {
            // Without its key, a record would go to any partition.
            None | Some(Value::Null) => return Err(wrong(field, "is missing or null: the key is made of it")),
            Some(value) => parts.push((field.last().unwrap_or("value").to_owned().into(), value.clone())),
        }
    }
    draft.key = Some(match &parts[..] {
        [(_, value)] => bytes(value),
        _ => Value::Object(parts).to_vec(),
    });
    Ok(None)
}

/// Text as it is, anything else as JSON.
fn bytes(value: &Value<'_>) -> Vec<u8> {
    value.as_text().map_or_else(|| value.to_vec(), |text| text.as_bytes().to_vec())
}

fn set_header(headers: &mut Vec<Header>, name: &str, value: Option<Vec<u8>>) {
    headers.retain(|header| header.name != name);
    headers.push(Header { name: name.to_owned(), value });
}
