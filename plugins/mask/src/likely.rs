//! The dry run: which fields look like they say who a record is about.

use gregor_sdk::document::Value;
use gregor_sdk::{Failure, Input, Output};

/// Parts of names, without `_`, `-` and case, and what such fields hold.
const NAMES: [(&str, &[&str]); 11] = [
    ("name", &["name", "surname", "nextofkin"]),
    (
        "identifier",
        &["patient", "mrn", "ssn", "nhs", "insurance", "passport", "licence", "license", "identifier", "accountno"],
    ),
    ("date", &["birth", "dob", "admitted", "admission", "discharge", "deceased", "death"]),
    ("contact", &["phone", "mobile", "fax", "email", "mail", "url", "contact"]),
    ("address", &["address", "street", "city", "town", "zip", "postcode", "postal", "county"]),
    ("position", &["lat", "lon", "lng", "latitude", "longitude", "position", "coordinates", "location", "geo"]),
    ("place", &["ward", "bed", "room"]),
    ("health", &["diagnos", "icd", "medication", "allerg", "condition", "procedure", "symptom", "blood", "pulse"]),
    ("person", &["gender", "sex", "race", "ethnic", "religion", "age"]),
    ("device", &["ipaddress", "device", "serial", "imei"]),
    ("free text", &["note", "comment", "remark", "description", "freetext"]),
];
/// Of at most so many letters, a name has to be all of a field's name, or a word of it.
const SHORT: usize = 4;

/// One output: the fields by path, and why. Of the record nothing else comes out; names
/// that could be data are a `*` in a path, and so are places in lists.
pub fn list(record: Input) -> Result<Vec<Output>, Failure> {
    let mut found = Vec::new();
    if record.key.is_some() {
        found.push(field("@key".to_owned(), "identifier"));
    }
    if record.value.is_some() {
        look("", None, &record.document()?, &mut found);
    }
    for header in &record.headers {
        if let Some(looks) = by_name(&header.name) {
            found.push(field(format!("@header:{}", step(&header.name)), looks));
        }
    }
    found.dedup();
    let value = Value::Object(vec![("fields".into(), Value::List(found))]);
    Ok(vec![Output::new(None, value.to_vec())])
}

fn field<'v>(path: String, looks: &str) -> Value<'v> {
    Value::Object(vec![("field".into(), Value::text(path)), ("looksLike".into(), Value::text(looks.to_owned()))])
}

fn look(path: &str, name: Option<&str>, value: &Value<'_>, found: &mut Vec<Value<'_>>) {
    let looks = name.and_then(by_name);
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                look(&format!("{path}/{}", step(name)), Some(name), value, found);
            }
        }
        Value::List(items) => {
            let before = found.len();
            items.iter().for_each(|item| look(&format!("{path}/*"), name, item, found));
            let mut kept: Vec<Value<'_>> = Vec::new();
            for field in found.drain(before..) {
                if !kept.contains(&field) {
                    kept.push(field);
                }
            }
            found.extend(kept.into_iter().map(Value::into_owned));
        }
        _ => found.extend(looks.or_else(|| by_value(value)).map(|looks| field(path.to_owned(), looks))),
    }
}

/// A member's name as a step of a path; one that has digits or signs may be data.
fn step(name: &str) -> String {
    let is_name = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
    match !name.is_empty() && name.len() <= 64 && name.bytes().all(is_name) {
        true => name.to_owned(),
        false => "*".to_owned(),
    }
}

fn by_name(name: &str) -> Option<&'static str> {
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for character in name.chars() {
        let starts = character.is_uppercase() && before_lower;
        before_lower = character.is_lowercase();
        match character.is_alphanumeric() {
            false => words.push(String::new()),
            true => {
                if starts {
                    words.push(String::new());
                }
                words.last_mut()?.extend(character.to_lowercase());
            }
        }
    }
    let whole = words.concat();
    let is = |part: &str| match part.len() <= SHORT {
        true => whole == part || words.iter().any(|word| word == part),
        false => whole.contains(part),
    };
    NAMES.iter().find(|(_, parts)| parts.iter().any(|part| is(part))).map(|(looks, _)| *looks)
}

fn by_value(value: &Value<'_>) -> Option<&'static str> {
    let text = value.as_text()?;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let only = |allowed: &str| text.bytes().all(|byte| byte.is_ascii_digit() || allowed.as_bytes().contains(&byte));
    let dashes = text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
    match () {
        () if text.split_once('@').is_some_and(|(_, host)| host.contains('.')) && !text.contains(' ') => {
            Some("contact")
        }
        () if dashes && text.get(..4).is_some_and(|year| year.bytes().all(|byte| byte.is_ascii_digit())) => {
            Some("date")
        }
        () if text.split('.').count() == 4 && only(".") && digits >= 4 => Some("device"),
        () if (7..=15).contains(&digits) && only("+-() ./") => Some("contact"),
        () if text.split_whitespace().count() > 8 => Some("free text"),
        () => None,
    }
}
