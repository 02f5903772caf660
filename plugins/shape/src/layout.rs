//! Nested objects as flat ones and back.

use std::borrow::Cow;

use gregor_sdk::document::{MAX_DEPTH, Value};

/// Members of an object to be nested at most: each is looked for among those before it.
const MAX_MEMBERS: usize = 10_000;

type Members<'v> = Vec<(Cow<'v, str>, Value<'v>)>;

/// `{"a":{"b":1}}` as `{"a.b":1}`; lists and empty objects stay as they are.
///
/// # Errors
/// Where it is no object, or two members get the same name.
pub fn flatten<'v>(value: &Value<'v>, between: &str) -> Result<Value<'v>, String> {
    let Value::Object(members) = value else {
        return Err(format!("is {}: only an object can be flattened", value.kind()));
    };
    let mut flat = Members::new();
    for (name, value) in members {
        spread(name.to_string(), value, between, &mut flat);
    }
    let mut names: Vec<&str> = flat.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    match names.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err("has two members of the same name once it is flattened".to_owned()),
        false => Ok(Value::Object(flat)),
    }
}

fn spread<'v>(name: String, value: &Value<'v>, between: &str, flat: &mut Members<'v>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (inner, value) in members {
                spread(format!("{name}{between}{inner}"), value, between, flat);
            }
        }
        other => flat.push((name.into(), other.clone())),
    }
}

/// `{"a.b":1}` as `{"a":{"b":1}}`.
///
/// # Errors
/// Where it is no object, a name is nested too deep, or a member is both a value and an object.
pub fn nest<'v>(value: &Value<'v>, between: &str) -> Result<Value<'v>, String> {
    let Value::Object(members) = value else {
        return Err(format!("is {}: only an object can be nested", value.kind()));
    };
    if members.len() > MAX_MEMBERS {
        return Err(format!("has {} members: at most {MAX_MEMBERS} can be nested", members.len()));
    }
    let mut nested = Members::new();
    for (name, value) in members {
        let names: Vec<&str> = name.split(between).collect();
        if names.len() > MAX_DEPTH / 2 {
            return Err(format!("has a member that would be nested deeper than {}", MAX_DEPTH / 2));
        }
        put(&mut nested, &names, value.clone())?;
    }
    Ok(Value::Object(nested))
}

fn put<'v>(members: &mut Members<'v>, names: &[&str], value: Value<'v>) -> Result<(), String> {
    let both = || "has a member that is a value and has members of its own".to_owned();
    let [name, rest @ ..] = names else { return Ok(()) };
    let at = members.iter().position(|(own, _)| own == name);
    match (at, rest) {
        (None, []) => members.push(((*name).to_owned().into(), value)),
        (Some(_), []) => return Err(both()),
        (None, rest) => {
            let mut inner = Members::new();
            put(&mut inner, rest, value)?;
            members.push(((*name).to_owned().into(), Value::Object(inner)));
        }
        (Some(at), rest) => match &mut members[at].1 {
            Value::Object(inner) => put(inner, rest, value)?,
            _ => return Err(both()),
        },
    }
    Ok(())
}
