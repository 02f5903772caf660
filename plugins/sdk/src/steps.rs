//! Lines of a `config` that say what to do, one step a line: a verb and its words.
//!
//! ```
//! use gregor_sdk::steps::steps;
//!
//! let steps = steps("# what leaves the ward\nrename /pid /patientId\nset /source \"ward 3\"")?;
//! assert_eq!(steps[0].words(), ["rename", "/pid", "/patientId"]);
//! assert_eq!(steps[1].from_word(2), "\"ward 3\"");
//! # Ok::<(), String>(())
//! ```

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// From 1.
    pub line: usize,
    text: String,
}

/// The lines of `text` that are neither empty nor begin with `#`.
///
/// # Errors
/// Where there is none.
pub fn steps(text: &str) -> Result<Vec<Step>, String> {
    let lines = text.lines().enumerate().map(|(at, line)| Step { line: at + 1, text: line.trim().to_owned() });
    let steps: Vec<Step> = lines.filter(|step| !step.text.is_empty() && !step.text.starts_with('#')).collect();
    if steps.is_empty() { Err("there is no step: write one on each line".to_owned()) } else { Ok(steps) }
}

impl Step {
    /// The words, parted by spaces and commas. One that begins with `"` goes on to the next
    /// `"` and keeps both.
    pub fn words(&self) -> Vec<&str> {
        self.starts().map(|start| &self.text[start..start + length(&self.text[start..])]).collect()
    }

    /// The text from the word of this number on, from 0; empty where there are fewer.
    pub fn from_word(&self, number: usize) -> &str {
        self.starts().nth(number).map_or("", |start| &self.text[start..])
    }

    /// An error about this step.
    pub fn wrong(&self, problem: impl std::fmt::Display) -> String {
        format!("line {} of the steps: {problem}", self.line)
    }

    /// Where each word begins.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at + self.text[at..].find(|character| !parts(character))?;
            at = start + length(&self.text[start..]);
            Some(start)
        })
    }
}

fn parts(character: char) -> bool {
    character == ',' || character.is_whitespace()
}

/// Bytes of the first word of `text`.
fn length(text: &str) -> usize {
    match text.strip_prefix('"').and_then(|quoted| quoted.find('"')) {
        Some(end) => end + 2,
        None => text.find(parts).unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_step_are_left_out() {
        let steps = steps("\n  # remark\n drop /a, /b \n\nkeep /c").unwrap();
        assert_eq!(steps.iter().map(|step| step.line).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(steps[0].words(), ["drop", "/a", "/b"]);
        assert_eq!(steps[1].wrong("no"), "line 5 of the steps: no");
    }

    #[test]
    fn the_rest_of_a_line_is_as_it_was_written() {
        let steps = steps("set /a {\"b\": \"x,  y\"}").unwrap();
        assert_eq!(steps[0].from_word(2), "{\"b\": \"x,  y\"}");
        assert_eq!(steps[0].from_word(9), "");
    }

    #[test]
    fn a_quoted_word_may_have_spaces() {
        let steps = steps("time /a \"%d.%m.%Y, %H\" millis\nx \"open y").unwrap();
        assert_eq!(steps[0].words(), ["time", "/a", "\"%d.%m.%Y, %H\"", "millis"]);
        assert_eq!(steps[0].from_word(3), "millis");
        assert_eq!(steps[1].words(), ["x", "\"open", "y"]);
    }

    #[test]
    fn no_step_at_all_is_refused() {
        assert!(super::steps(" \n# only a remark").is_err());
    }
}
