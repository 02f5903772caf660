//! Values of one type as those of another, where nothing is lost.

use gregor_sdk::document::Value;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
    Text,
    Number,
    Integer,
    Boolean,
}

impl Type {
    /// # Errors
    /// The types there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Type::Text),
            "number" => Ok(Type::Number),
            "integer" => Ok(Type::Integer),
            "boolean" => Ok(Type::Boolean),
            other => Err(format!("`{other}` is no type: write text, number, integer or boolean")),
        }
    }

    /// # Errors
    /// That the value is none of this type; it is not quoted.
    pub fn cast<'v>(self, value: &Value<'v>) -> Result<Value<'v>, String> {
        match (self, value) {
            (Type::Text, Value::Text(_)) => Ok(value.clone()),
            (Type::Text, other) => Ok(Value::text(other.to_string())),
            (Type::Number, _) => number(value).ok_or_else(|| failed(value, "a number")),
            (Type::Integer, _) => {
                let whole = number(value).and_then(|number| integer(number.number()?));
                whole.ok_or_else(|| failed(value, "a whole number"))
            }
            (Type::Boolean, _) => boolean(value).ok_or_else(|| failed(value, "true or false")),
        }
    }
}

fn failed(value: &Value<'_>, wanted: &str) -> String {
    format!("is {}, and cannot be cast to {wanted}", value.kind())
}

/// A number as it is, text that is one, `true` as 1 and `false` as 0.
fn number<'v>(value: &Value<'v>) -> Option<Value<'v>> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::Bool(is) => Some(Value::integer(u8::from(*is))),
        Value::Text(text) => match Value::read(text.trim().as_bytes()) {
            Ok(number @ Value::Number(_)) => Some(number.into_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// `1.0` as `1`; nothing where a fraction would be lost.
fn integer<'v>(number: &str) -> Option<Value<'v>> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let exact = |text: &str| text.bytes().all(|byte| byte == b'0');
    if number.contains(['e', 'E']) {
        let double: f64 = number.parse().ok()?;
        let fits = double.fract() == 0.0 && double.abs() < 9e15;
        return fits.then(|| Value::integer(double as i64));
    }
    exact(fraction).then(|| Value::Number(whole.to_owned().into()))
}

fn boolean<'v>(value: &Value<'_>) -> Option<Value<'v>> {
    let text = match value {
        Value::Bool(is) => return Some(Value::Bool(*is)),
        Value::Text(text) => text.trim(),
        Value::Number(number) => number.as_ref(),
        _ => return None,
    };
    match text {
        "true" | "1" => Some(Value::Bool(true)),
        "false" | "0" => Some(Value::Bool(false)),
        _ => None,
    }
}
