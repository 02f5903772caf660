//! Conditions in the Common Expression Language (CEL) on a record.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, Env, ExecutionError, Program};
use gregor_sdk::document::Value;
use gregor_sdk::{Failure, Input};

/// The names that a condition may use.
const NAMES: [&str; 7] = ["key", "value", "headers", "topic", "partition", "offset", "timestamp"];

/// A condition, compiled once.
pub struct Condition {
    program: Program,
    env: Arc<Env>,
    reads_value: bool,
}

/// Why a condition says neither yes nor no of a record. It never quotes the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Undecided(String);

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Undecided {}

impl From<Undecided> for Failure {
    fn from(undecided: Undecided) -> Self {
        gregor_sdk::reject(undecided.0)
    }
}

/// What a condition is asked of; its value is read as JSON once, and only where it is asked for.
pub struct Subject<'r> {
    record: &'r Input,
    value: Option<Result<cel::Value, String>>,
}

impl<'r> Subject<'r> {
    /// A record, as it came.
    pub fn of(record: &'r Input) -> Self {
        Self { record, value: None }
    }

    /// A record with another value than its own.
    pub fn with_value(record: &'r Input, value: &Value<'_>) -> Self {
        Self { record, value: Some(Ok(converted(value))) }
    }

    fn value(&mut self) -> Result<cel::Value, Undecided> {
        let record = self.record;
        let read = || match record.value.as_deref().map(Value::read) {
            None => Ok(cel::Value::Null),
            Some(Ok(value)) => Ok(converted(&value)),
            Some(Err(invalid)) => Err(invalid.to_string()),
        };
        self.value.get_or_insert_with(read).clone().map_err(Undecided)
    }
}

impl Condition {
    /// # Errors
    /// Where `text` is no CEL, or has a name that a record has not.
    pub fn parse(text: &str) -> Result<Self, String> {
        let env = Arc::new(Env::stdlib());
        let program = env.compile(text).map_err(|errors| {
            let lines: Vec<String> = errors.errors.iter().map(|error| error.msg.clone()).collect();
            format!("`{text}` is no CEL expression: {}", lines.join("; "))
        })?;
        let reads_value = program.references().has_variable("value");
        let condition = Self { program, env, reads_value };
        let nothing = Input {
            topic: String::new(),
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: None,
            value: Some(b"{}".to_vec()),
            headers: vec![],
        };
        match condition.evaluate(&mut Subject::of(&nothing)) {
            Err(Stopped::Cel(ExecutionError::UndeclaredReference(name))) => {
                Err(format!("`{text}` has `{name}`, which a record has not: known are `{}`", NAMES.join("`, `")))
            }
            _ => Ok(condition),
        }
    }

    /// # Errors
    /// [`Undecided`] where the value is not JSON, a field is missing, types do not fit, or
    /// what comes out is neither true nor false.
    pub fn holds(&self, subject: &mut Subject<'_>) -> Result<bool, Undecided> {
        match self.evaluate(subject) {
            Ok(cel::Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(Undecided(format!("the expression gives {}, not true or false", other.type_of()))),
            Err(Stopped::Value(undecided)) => Err(undecided),
            Err(Stopped::Cel(error)) => Err(Undecided(told(&error))),
        }
    }

    fn evaluate(&self, subject: &mut Subject<'_>) -> Result<cel::Value, Stopped> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        let value = if self.reads_value { subject.value().map_err(Stopped::Value)? } else { cel::Value::Null };
        let record = subject.record;
        let headers =
            record.headers.iter().map(|header| (Key::from(header.name.as_str()), bytes(header.value.as_deref())));
        context.add_variable_from_value("value", value);
        context.add_variable_from_value("key", bytes(record.key.as_deref()));
        context.add_variable_from_value("headers", cel::Value::Map(Map { map: Arc::new(headers.collect()) }));
        context.add_variable_from_value("topic", record.topic.as_str());
        context.add_variable_from_value("partition", i64::from(record.partition));
        context.add_variable_from_value("offset", whole(record.offset));
        context.add_variable_from_value("timestamp", whole(record.timestamp));
        self.program.execute(&context).map_err(Stopped::Cel)
    }
}

enum Stopped {
    Value(Undecided),
    Cel(ExecutionError),
}

fn whole(number: u64) -> cel::Value {
    i64::try_from(number).map_or(cel::Value::UInt(number), cel::Value::Int)
}

/// Text where it is UTF-8.
fn bytes(bytes: Option<&[u8]>) -> cel::Value {
    match bytes.map(std::str::from_utf8) {
        None => cel::Value::Null,
        Some(Ok(text)) => text.into(),
        Some(Err(_)) => cel::Value::Bytes(Arc::new(bytes.unwrap_or_default().to_vec())),
    }
}

/// A whole number as `int` (`uint` past 63 bits), any other as `double`.
fn converted(value: &Value<'_>) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(is) => cel::Value::Bool(*is),
        Value::Number(number) => match (number.parse::<i64>(), number.parse::<u64>()) {
            (Ok(number), _) => cel::Value::Int(number),
            (_, Ok(number)) => cel::Value::UInt(number),
            _ => cel::Value::Float(number.parse().unwrap_or(f64::NAN)),
        },
        Value::Text(text) => cel::Value::from(&**text),
        Value::List(items) => cel::Value::List(Arc::new(items.iter().map(converted).collect())),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (Key::from(&**name), converted(value)));
            cel::Value::Map(Map { map: Arc::new(members.collect::<HashMap<_, _>>()) })
        }
    }
}

/// The library's own words quote values, and so the record.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(_) => "the expression asks for a field that is not there: use has()".to_owned(),
        ExecutionError::NoSuchOverload(error) => {
            let types = error.argument_types().join(", ");
            format!("the expression has `{}` of types that it is not for: {types}", error.function())
        }
        ExecutionError::UndeclaredReference(name) => format!("the expression has `{name}`, which a record has not"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "the expression divides by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number of the expression overflows".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "the expression asks for an item that is not there".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` of the expression failed"),
        _ => "the expression cannot be evaluated with this record".to_owned(),
    }
}
