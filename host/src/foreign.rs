//! Text that others wrote: what a plugin says, names in a component, what a
//! parser or a client library says of either.

use std::fmt::{self, Write as _};

/// Bytes of one text that are shown.
const SHOWN: usize = 1 << 10;
/// Names of one list that are shown.
const LISTED: usize = 8;

/// Text from outside. Whoever shows it shows one line without control characters,
/// of bounded length: it can neither forge a line of a log nor fill one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ForeignText(String);

impl ForeignText {
    /// The text of an error, without the line breaks by which parsers lay theirs out.
    pub fn of_error(error: &impl fmt::Display) -> ForeignText {
        ForeignText(format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// All of it, as it came: to be compared or stored, never to be shown.
    pub fn as_given(&self) -> &str {
        &self.0
    }
}

impl From<String> for ForeignText {
    fn from(text: String) -> ForeignText {
        ForeignText(text)
    }
}

impl From<&str> for ForeignText {
    fn from(text: &str) -> ForeignText {
        ForeignText(text.to_owned())
    }
}

impl fmt::Display for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.floor_char_boundary(SHOWN)];
        for symbol in shown.chars() {
            match symbol {
                '"' | '\'' => f.write_char(symbol)?,
                _ => write!(f, "{}", symbol.escape_debug())?,
            }
        }
        match self.0.len() {
            whole if whole > shown.len() => write!(f, "… ({whole} bytes in all)"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Names from outside, each quoted; the first few, and how many more there are.
pub fn quoted<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let mut listed: Vec<_> = names.take(LISTED).map(|name| format!("`{}`", ForeignText::from(name))).collect();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_bounded_line() {
        let forged = "bad\n2026-11-30T12:00:00Z  INFO gregor::deploy: a new version runs\r\u{1b}[31m\u{202e}\u{2028}";
        for text in [forged.to_owned(), forged.repeat(100_000), "\0".repeat(11 << 20)] {
            let bytes = text.len();
            let text = ForeignText::from(text);
            for shown in [text.to_string(), format!("{text:?}")] {
                assert!(!shown.chars().any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c)), "{shown:?}");
                assert!(shown.len() < 12 << 10, "{} bytes", shown.len());
                assert_eq!(shown.contains(&format!("({bytes} bytes in all)")), bytes > SHOWN);
            }
            assert_eq!(text.as_given().len(), bytes);
        }
        assert_eq!(ForeignText::from("it's \"größer\"").to_string(), "it's \"größer\"");
    }

    #[test]
    fn a_list_of_names_is_bounded() {
        let names: Vec<String> = (0..20_000).map(|n| format!("a:b/c{n}\n")).collect();
        let shown = quoted(names.iter().map(String::as_str));
        assert!(shown.starts_with("`a:b/c0\\n`, `a:b/c1\\n`"), "{shown}");
        assert!(shown.ends_with("`a:b/c7\\n`, and 19992 more"), "{shown}");
    }
}
