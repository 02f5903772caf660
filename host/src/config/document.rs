//! A TOML document in which every value knows its place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigErrors, Place};

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub value: Value,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    /// As written: a float that becomes a string keeps its digits.
    Float(String),
    Boolean(bool),
    Datetime,
    /// An integer that fits no 64 bits.
    Huge,
    Array(Vec<Item>),
    Table(Table),
    /// A variable's value. Its kind is settled by whoever reads it: TOML of
    /// the expected kind, else a string.
    Variable(Arc<str>, String),
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub items: BTreeMap<String, Item>,
    /// Where a key that is missing would have to be added.
    pub place: Place,
}

/// Reads a whole file.
pub(super) fn parse(text: &str, origin: &str) -> Result<Table, ConfigErrors> {
    let lines = Lines::of(text, origin);
    match DeTable::parse(text) {
        Ok(table) => Ok(Table {
            place: Place::Line(lines.origin.clone(), 1),
            ..table_of(table.get_ref(), 0..0, &|span| lines.line(span.start))
        }),
        Err(error) => {
            let span = error.span().unwrap_or(text.len()..text.len());
            let start = span.start;
            // Some of the parser's sentences go on over a line end.
            let mut problem = error.message().lines().collect::<Vec<_>>().join(", ");
            if let (true, Some(key)) = (problem == "duplicate key", text.get(span)) {
                problem = format!("{problem} `{key}`");
            }
            Err(ConfigErrors::syntax(lines.column(text, start), &problem))
        }
    }
}

/// Reads one value, as a variable holds it.
fn parse_value(text: &str, variable: &Arc<str>) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    let place = |_: Range<usize>| Place::Variable(variable.clone());
    Some(value_of(value.get_ref(), value.span(), &place))
}

type PlaceOf<'a> = &'a dyn Fn(Range<usize>) -> Place;

fn table_of(table: &DeTable<'_>, span: Range<usize>, place: PlaceOf<'_>) -> Table {
    let items = table.iter().map(|(key, value)| {
        let item = Item { value: value_of(value.get_ref(), value.span(), place), place: place(key.span()) };
        (key.get_ref().to_string(), item)
    });
    Table { items: items.collect(), place: place(span) }
}

fn value_of(value: &DeValue<'_>, span: Range<usize>, place: PlaceOf<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(digits) => {
            i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Value::Huge, Value::Integer)
        }
        DeValue::Float(digits) => Value::Float(digits.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(array) => {
            let item = |value: &Spanned<DeValue<'_>>| Item {
                value: value_of(value.get_ref(), value.span(), place),
                place: place(value.span()),
            };
            Value::Array(array.iter().map(item).collect())
        }
        DeValue::Table(table) => Value::Table(table_of(table, span, place)),
    }
}

impl Value {
    /// The kind in words, with its article.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) | Self::Variable(..) => "a string",
            Self::Integer(_) => "an integer",
            Self::Huge => "an integer beyond 64 bits",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    pub fn string(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::String(text) => Some(text.into()),
            Self::Variable(name, text) => match parse_value(text, name) {
                Some(Self::String(unquoted)) => Some(unquoted.into()),
                _ => Some(text.into()),
            },
            _ => None,
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self.settled().as_ref() {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.settled().as_ref() {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as a string, for tables whose values all become strings.
    pub fn scalar(&self) -> Option<String> {
        match self {
            Self::Integer(value) => Some(value.to_string()),
            Self::Float(digits) => Some(digits.clone()),
            Self::Boolean(value) => Some(value.to_string()),
            _ => self.string().map(Cow::into_owned),
        }
    }

    /// The value itself, or what a variable's text is as TOML.
    pub fn settled(&self) -> Cow<'_, Self> {
        match self {
            Self::Variable(name, text) => match parse_value(text, name) {
                Some(value) => Cow::Owned(value),
                None => Cow::Borrowed(self),
            },
            _ => Cow::Borrowed(self),
        }
    }
}

impl Table {
    pub fn empty(place: Place) -> Self {
        Self { items: BTreeMap::new(), place }
    }

    /// What a pipeline or a stage is called: its name, or else its plugin's.
    pub fn label(&self) -> Option<String> {
        let text = |key| self.items.get(key).and_then(|item: &Item| item.value.string());
        let label = text("name").or_else(|| text("plugin"))?;
        Some(label.into_owned())
    }
}

/// The lines of a text, to tell the line of a byte.
struct Lines {
    origin: Arc<str>,
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str, origin: &str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { origin: origin.into(), starts: std::iter::once(0).chain(after).collect() }
    }

    fn line(&self, byte: usize) -> Place {
        Place::Line(self.origin.clone(), self.starts.partition_point(|start| *start <= byte))
    }

    fn column(&self, text: &str, byte: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = text.get(start..byte).unwrap_or("");
        Place::Column(self.origin.clone(), line, before.chars().count() + 1)
    }
}
