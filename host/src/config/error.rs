//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File(Arc<str>),
    /// A line of the file, counted from 1.
    Line(Arc<str>, usize),
    /// A line and a column of the file, both counted from 1: for syntax,
    /// where no key tells the spot.
    Column(Arc<str>, usize, usize),
    /// An environment variable.
    Variable(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(origin) => f.write_str(origin),
            Self::Line(origin, line) => write!(f, "{origin}:{line}"),
            Self::Column(origin, line, column) => write!(f, "{origin}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// What becomes of a configuration with such a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is refused.
    Mistake,
    /// It is taken, and the problem told.
    Warning,
}

/// One problem of a configuration. Its text never holds a secret's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line or the variable to change.
    pub place: Place,
    /// The full key, `pipeline.locations.stage.last-location.timeout`; empty
    /// where the problem has none, as with syntax.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead, where that is known.
    pub cure: Option<String>,
    pub severity: Severity,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        match &self.cure {
            Some(cure) => write!(f, "; {cure}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// All problems of a configuration, those of the file first and by line.
/// Displayed one a line, with a closing line that counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn in_order(mut problems: Vec<ConfigError>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self(problems)
    }

    pub(super) fn syntax(place: Place, problem: &str) -> Self {
        Self(vec![ConfigError {
            place,
            key: String::new(),
            problem: format!("this is not TOML: {problem}"),
            cure: Some("repair this first; keys and values are checked once the file is TOML".into()),
            severity: Severity::Mistake,
        }])
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let (problem, cure) = match error.kind() {
            io::ErrorKind::NotFound => (
                "there is no such file".into(),
                "name yours with --config, or start from the example in the README and \
                 check it with `gregor config check --config FILE`",
            ),
            io::ErrorKind::InvalidData => {
                ("the file is not UTF-8 text".into(), "save it as UTF-8, or name another file with --config")
            }
            _ => (
                format!("the file cannot be read: {error}"),
                "let the user that runs gregor read it, or name another file with --config",
            ),
        };
        Self(vec![ConfigError {
            place: Place::File(path.display().to_string().into()),
            key: String::new(),
            problem,
            cure: Some(cure.into()),
            severity: Severity::Mistake,
        }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "{error}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem in the configuration"),
            count => write!(f, "{count} problems in the configuration"),
        }
    }
}

impl std::error::Error for ConfigErrors {}
