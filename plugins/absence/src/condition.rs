//! Which records are a sign of life: comparisons of fields, all of which have to hold.

use std::cmp::Ordering;

use gregor_sdk::document::Value;
use gregor_sdk::pointer::Pointer;

/// Longest first, as one may begin with another.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Same),
    ("!=", Operator::Other),
    ("<=", Operator::Order(&[Ordering::Less, Ordering::Equal])),
    (">=", Operator::Order(&[Ordering::Greater, Ordering::Equal])),
    ("<", Operator::Order(&[Ordering::Less])),
    (">", Operator::Order(&[Ordering::Greater])),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Same,
    Other,
    /// Of numbers.
    Order(&'static [Ordering]),
}

/// `/status == "ok" && /pulse > 0`; a pointer alone asks that the field is there.
pub struct Condition(Vec<Comparison>);

struct Comparison {
    field: Pointer,
    with: Option<(Operator, Value<'static>)>,
}

impl Condition {
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split("&&").map(|comparison| Comparison::parse(comparison.trim())).collect::<Result<_, _>>().map(Self)
    }

    pub fn holds(&self, document: &Value<'_>) -> bool {
        self.0.iter().all(|comparison| comparison.holds(document))
    }
}

impl Comparison {
    fn parse(text: &str) -> Result<Self, String> {
        let found = OPERATORS.iter().filter_map(|(sign, operator)| Some((text.find(sign)?, sign, *operator)));
        let Some((at, sign, operator)) = found.min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len()))) else {
            return match text.is_empty() || text.contains([' ', '=']) {
                true => Err(format!("`{text}` is no comparison: write one such as /status == \"ok\"")),
                false => Ok(Self { field: Pointer::parse(text)?, with: None }),
            };
        };
        let (field, value) = (text[..at].trim(), text[at + sign.len()..].trim());
        let value = Value::read(value.as_bytes())
            .map_err(|_| format!("`{value}` is no JSON: write text in quotes, as in /status == \"ok\""))?;
        if matches!(operator, Operator::Order(_)) && value.as_f64().is_none() {
            return Err(format!("`{sign}` compares with a number only"));
        }
        Ok(Self { field: Pointer::parse(field)?, with: Some((operator, value.into_owned())) })
    }

    /// A field that is missing or null is not the same as any value but null, and in no order.
    fn holds(&self, document: &Value<'_>) -> bool {
        let field = self.field.of(document).unwrap_or(&Value::Null);
        match &self.with {
            None => *field != Value::Null,
            Some((Operator::Same, value)) => field.same(value),
            Some((Operator::Other, value)) => !field.same(value),
            Some((Operator::Order(wanted), value)) => {
                let order = field.as_f64().zip(value.as_f64()).and_then(|(field, value)| field.partial_cmp(&value));
                order.is_some_and(|order| wanted.contains(&order))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_hold_as_written() {
        let json = br#"{"s":"ok","n":5,"z":null,"o":{"x":true}}"#;
        let document = Value::read(json).expect("JSON");
        for (text, holds) in [
            ("/s == \"ok\"", true),
            ("/s != \"ok\"", false),
            ("/n >= 5 && /n < 6", true),
            ("/n>5", false),
            ("/n <= 4.9", false),
            ("/o/x == true", true),
            ("/o == {\"x\": true}", true),
            ("/s", true),
            ("/z", false),
            ("/missing", false),
            ("/missing == null", true),
            ("/missing != 1", true),
            ("/s > 1", false),
        ] {
            assert_eq!(Condition::parse(text).expect("good").holds(&document), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_comparison_is_refused() {
        for text in ["", "status == 1", "/s == ok", "/n < \"5\"", "/s == \"ok\" &&", "/s ==", "/s = 1"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
