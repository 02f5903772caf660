//! JSON as it is written: numbers digit by digit, members in their order, also those
//! that are there twice. `serde_json::Value` keeps none of that.

use std::fmt::{self, Display, Formatter};

use serde::de::IgnoredAny;

/// Lists and objects inside one another; deeper ones are text to this tool.
const DEPTH: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`, `true` or `false`.
    Word(String),
    /// A number as it is written: `1`, `1.0` and `1e0` are three.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub const fn object() -> Json {
        Json::Object(Vec::new())
    }

    /// Adds a member to an object.
    pub fn set(&mut self, name: &str, value: impl Into<Json>) {
        if let Json::Object(members) = self {
            members.push((name.to_owned(), value.into()));
        }
    }

    /// An object's first member of this name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn null() -> Json {
        Json::Word("null".to_owned())
    }

    /// Reads one value.
    ///
    /// # Errors
    /// In one line, what is wrong with it.
    pub fn parse(text: &str) -> Result<Json, String> {
        check(text)?;
        Reader { text, at: 0 }.value(0)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

impl From<bool> for Json {
    fn from(word: bool) -> Json {
        Json::Word(word.to_string())
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        Json::Number(number.to_string())
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Json {
        Json::Number(number.to_string())
    }
}

/// The members of the object that `text` is, each with its value as it is written.
///
/// # Errors
/// In one line, what is wrong with it.
pub fn members(text: &str) -> Result<Vec<(String, &str)>, String> {
    check(text)?;
    let mut reader = Reader { text, at: 0 };
    if !reader.take(b'{') {
        return Err("is no JSON object".to_owned());
    }
    let mut members = Vec::new();
    while !reader.take(b'}') {
        let name = reader.name()?;
        members.push((name, reader.raw()));
        reader.take(b',');
    }
    Ok(members)
}

fn check(text: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| format!("is no JSON: {error}"))
}

/// Over text that is JSON: [`check`] has seen to it.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space, 0 at the end.
    fn next(&mut self) -> u8 {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.next() == byte;
        self.at += usize::from(found);
        found
    }

    /// A string with its quotes, a number or a word.
    fn scalar(&mut self) -> &'a str {
        let quoted = self.next() == b'"';
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let mut escaped = false;
        let length = match quoted {
            true => {
                2 + rest
                    .iter()
                    .skip(1)
                    .take_while(|byte| {
                        let ends = **byte == b'"' && !escaped;
                        escaped = **byte == b'\\' && !escaped;
                        !ends
                    })
                    .count()
            }
            false => rest.iter().take_while(|byte| !b" \t\r\n,:]}".contains(byte)).count(),
        };
        self.at = start + length;
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A whole value, as it is written.
    fn raw(&mut self) -> &'a str {
        self.next();
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            match self.next() {
                b'{' | b'[' => (depth, self.at) = (depth + 1, self.at + 1),
                b'}' | b']' => (depth, self.at) = (depth.saturating_sub(1), self.at + 1),
                b',' | b':' => self.at += 1,
                0 => break,
                _ => {
                    self.scalar();
                }
            }
            if depth == 0 {
                break;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A member's name, and the colon after it.
    fn name(&mut self) -> Result<String, String> {
        let name = unquoted(self.scalar())?;
        self.take(b':');
        Ok(name)
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEPTH {
            return Err(format!("has more than {DEPTH} lists and objects inside one another"));
        }
        match self.next() {
            b'{' => {
                self.at += 1;
                let mut members = Vec::new();
                while !self.take(b'}') {
                    members.push((self.name()?, self.value(depth + 1)?));
                    self.take(b',');
                }
                Ok(Json::Object(members))
            }
            b'[' => {
                self.at += 1;
                let mut list = Vec::new();
                while !self.take(b']') {
                    list.push(self.value(depth + 1)?);
                    self.take(b',');
                }
                Ok(Json::List(list))
            }
            b'"' => Ok(Json::Text(unquoted(self.scalar())?)),
            b'n' | b't' | b'f' => Ok(Json::Word(self.scalar().to_owned())),
            _ => Ok(Json::Number(self.scalar().to_owned())),
        }
    }
}

/// Half of a surrogate pair is no text.
fn unquoted(quoted: &str) -> Result<String, String> {
    serde_json::from_str(quoted).map_err(|error| format!("has a string that is no text: {error}"))
}

/// On one line; with `{:#}` indented.
impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write(self, f, f.alternate().then_some(0))
    }
}

fn write(json: &Json, f: &mut Formatter<'_>, indent: Option<usize>) -> fmt::Result {
    let deeper = indent.map(|indent| indent + 2);
    let line = |f: &mut Formatter<'_>, indent: Option<usize>| match indent {
        Some(indent) => write!(f, "\n{:indent$}", ""),
        None => Ok(()),
    };
    match json {
        Json::Word(text) | Json::Number(text) => f.write_str(text),
        Json::Text(text) => quote(text, f),
        Json::List(list) if list.is_empty() => f.write_str("[]"),
        Json::Object(members) if members.is_empty() => f.write_str("{}"),
        Json::List(list) => {
            for (nth, value) in list.iter().enumerate() {
                f.write_str(if nth == 0 { "[" } else { "," })?;
                line(f, deeper)?;
                write(value, f, deeper)?;
            }
            line(f, indent)?;
            f.write_str("]")
        }
        Json::Object(members) => {
            for (nth, (name, value)) in members.iter().enumerate() {
                f.write_str(if nth == 0 { "{" } else { "," })?;
                line(f, deeper)?;
                quote(name, f)?;
                f.write_str(if indent.is_some() { ": " } else { ":" })?;
                write(value, f, deeper)?;
            }
            line(f, indent)?;
            f.write_str("}")
        }
    }
}

fn quote(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_printed() {
        for text in [
            r#"{"price":1.10,"n":1E5,"id":18446744073709551616,"a":2,"a":3}"#,
            r#"[-0.0,1e999,{},[],"\"é\\\n\u0001",true,false,null]"#,
        ] {
            assert_eq!(Json::parse(text).unwrap().to_string(), text);
        }
        let spaced = Json::parse(" { \"b\" : [ 1 , {\"a\":\"]\\\\\\\"}\"} ] } ").unwrap();
        assert_eq!(spaced.to_string(), r#"{"b":[1,{"a":"]\\\"}"}]}"#);
        assert_eq!(format!("{:#}", Json::parse(r#"{"a":[1,{}]}"#).unwrap()), "{\n  \"a\": [\n    1,\n    {}\n  ]\n}");
    }

    #[test]
    fn members_are_slices_of_the_text() {
        let text = r#" {"a": {"x" : [1, "}"]} ,"b":"\ud800", "c\u0041":1.50,"d":null}"#;
        let found = members(text).unwrap();
        let expected = [("a", r#"{"x" : [1, "}"]}"#), ("b", r#""\ud800""#), ("cA", "1.50"), ("d", "null")];
        assert_eq!(found, expected.map(|(name, raw)| (name.to_owned(), raw)));
        assert!(members("[1]").is_err() && members("{\"a\":}").is_err() && members("{} x").is_err());
    }

    #[test]
    fn what_is_too_deep_or_no_text_is_refused() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(Json::parse(&deep).unwrap_err().contains("more than 128"));
        assert!(Json::parse(r#"["\ud800"]"#).is_err());
    }
}
