//! Values of records as those of jq and back.

use std::rc::Rc;

use gregor_sdk::document::{MAX_DEPTH, Value};
use jaq_core::ValT;
use jaq_json::{Map, Num, Val};

/// A number keeps its digits until the program computes with it.
pub fn write(value: &Value<'_>) -> Val {
    match value {
        Value::Null => Val::Null,
        Value::Bool(is) => Val::Bool(*is),
        Value::Number(number) => Val::from_num(number).unwrap_or(Val::Null),
        Value::Text(text) => Val::utf8_str(text.as_bytes().to_vec()),
        Value::List(items) => Val::Arr(Rc::new(items.iter().map(write).collect())),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (Val::utf8_str(name.as_bytes().to_vec()), write(value)));
            Val::obj(members.collect::<Map>())
        }
    }
}

/// # Errors
/// For what JSON has not: bytes, names that are no text, what is nested too deep.
pub fn read(value: &Val) -> Result<Value<'static>, String> {
    nested(value, 0)
}

fn nested(value: &Val, depth: usize) -> Result<Value<'static>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("the program returns what is nested deeper than {MAX_DEPTH}"));
    }
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(is) => Value::Bool(*is),
        // JSON has no word for these; jq itself writes null.
        Val::Num(Num::Float(number)) if !number.is_finite() => Value::Null,
        Val::Num(number) => Value::Number(number.to_string().into()),
        Val::TStr(text) => Value::text(String::from_utf8_lossy(text).into_owned()),
        Val::BStr(_) => return Err("the program returns bytes, which JSON has not".to_owned()),
        Val::Arr(items) => Value::List(items.iter().map(|item| nested(item, depth + 1)).collect::<Result<_, _>>()?),
        Val::Obj(members) => {
            let member = |(name, value): (&Val, &Val)| match name {
                Val::TStr(name) => Ok((String::from_utf8_lossy(name).into_owned().into(), nested(value, depth + 1)?)),
                _ => Err("the program returns an object with a name that is no text".to_owned()),
            };
            Value::Object(members.iter().map(member).collect::<Result<_, _>>()?)
        }
    })
}
