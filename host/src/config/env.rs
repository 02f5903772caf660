//! Overrides from the environment: `GREGOR__SECTION__KEY`.
//!
//! A segment names a key in upper case, with `_` for `-` (and for `.` in
//! `[kafka]`), or an element of an array by its name or its index from 0:
//! `GREGOR__HOST__DATA_DIR`, `GREGOR__PIPELINE__0__SINK`,
//! `GREGOR__PIPELINE__LOCATIONS__STAGE__LAST_LOCATION__TIMEOUT`,
//! `GREGOR__KAFKA__BOOTSTRAP_SERVERS`. A key that the file writes in another
//! case is found all the same. A plugin's own `config` has keys of any spelling:
//! below it, a segment with a small letter is the key as it is written, as in
//! `GREGOR__PIPELINE__0__STAGE__0__CONFIG__max_age`.
//!
//! Overrides are put into the document before it is read, so they are checked
//! as the file is; an unknown key comes out as the file's would.

use std::ffi::OsString;
use std::sync::Arc;

use super::document::{Item, Table, Value};
use super::error::{ConfigError, Place, Severity};

const PREFIX: &str = "GREGOR__";

/// Arrays of tables: a variable may change an element, and adds none.
const ARRAYS: [&str; 2] = ["pipeline", "stage"];

/// The variables that are UTF-8, and a problem for each of ours that is not.
pub(super) fn readable(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Vec<(String, String)>, Vec<ConfigError>) {
    let (mut readable, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let shown = name.to_string_lossy().into_owned();
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => readable.push((name, value)),
            _ if shown.starts_with(PREFIX) => problems.push(ConfigError {
                place: Place::Variable(shown.into()),
                key: String::new(),
                problem: "is not UTF-8 text".into(),
                cure: Some("set it to UTF-8 text".into()),
                severity: Severity::Mistake,
            }),
            _ => {}
        }
    }
    (readable, problems)
}

/// Puts the variables that start with `GREGOR__` into the document, and
/// returns those that address nothing.
pub(super) fn merge(root: &mut Table, variables: impl IntoIterator<Item = (String, String)>) -> Vec<ConfigError> {
    let ours = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut ours: Vec<_> = ours.collect();
    // A whole table comes before its keys, which may then change it.
    ours.sort();
    let mut problems = Vec::new();
    for (name, text) in ours {
        let name: Arc<str> = name.into();
        let segments: Vec<_> = name.split("__").skip(1).collect();
        if let Err(miss) = put(root, &segments, &name, text) {
            problems.push(ConfigError {
                place: Place::Variable(name.clone()),
                key: String::new(),
                problem: format!("addresses nothing: {}", miss.problem),
                cure: Some(miss.cure),
                severity: Severity::Mistake,
            });
        }
    }
    problems
}

struct Miss {
    problem: String,
    cure: String,
}

fn miss(problem: impl Into<String>, cure: impl Into<String>) -> Miss {
    Miss { problem: problem.into(), cure: cure.into() }
}

fn put(root: &mut Table, segments: &[&str], name: &Arc<str>, text: String) -> Result<(), Miss> {
    if segments.iter().any(|segment| segment.is_empty()) {
        return Err(miss("a part of its name is empty", "name a section and a key, as in GREGOR__HOST__WORKERS"));
    }
    let Some((last, parents)) = segments.split_last() else {
        return Ok(());
    };
    let place = Place::Variable(name.clone());
    let mut at = Position::Table(root);
    let mut within = Within::Ours;
    for segment in parents {
        let item = at.item(segment, within, &place)?;
        within = within.below(segment);
        let settled = item.value.settled().into_owned();
        item.value = settled;
        at = match &mut item.value {
            Value::Table(table) => Position::Table(table),
            Value::Array(items) => Position::Array(items),
            other => {
                return Err(miss(
                    format!("{segment} is {}, which has no keys", other.kind()),
                    "name a section and a key, as in GREGOR__HOST__WORKERS",
                ));
            }
        };
    }
    *at.item(last, within, &place)? = Item { value: Value::Variable(name.clone(), text), place: place.clone() };
    Ok(())
}

/// Whose keys a table holds, and so how they are spelt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Ours,
    Kafka,
    /// The `config` of a stage.
    Plugin,
}

impl Within {
    fn below(self, segment: &str) -> Within {
        match self {
            Within::Ours if segment.eq_ignore_ascii_case("kafka") => Within::Kafka,
            Within::Ours if segment.eq_ignore_ascii_case("config") => Within::Plugin,
            same => same,
        }
    }

    /// The key that a segment names where the table has none of that name.
    fn key(self, segment: &str) -> String {
        match self {
            Within::Plugin if segment.chars().any(char::is_lowercase) => segment.to_owned(),
            Within::Kafka => segment.to_lowercase().replace('_', "."),
            Within::Ours | Within::Plugin => segment.to_lowercase().replace('_', "-"),
        }
    }
}

enum Position<'d> {
    Table(&'d mut Table),
    Array(&'d mut Vec<Item>),
}

impl<'d> Position<'d> {
    /// The item that a segment names. In a table a missing one is added, as
    /// a table until it gets its value.
    fn item(self, segment: &str, within: Within, place: &Place) -> Result<&'d mut Item, Miss> {
        match self {
            Self::Table(table) => {
                let key = key_in(table, segment, within);
                if ARRAYS.contains(&key.as_str()) && !table.items.contains_key(&key) {
                    return Err(miss(
                        format!("there is no [[{key}]] in the file"),
                        format!("add the {key} to the file; a variable can only change one"),
                    ));
                }
                Ok(table
                    .items
                    .entry(key)
                    .or_insert_with(|| Item { value: Value::Table(Table::empty(place.clone())), place: place.clone() }))
            }
            Self::Array(items) => {
                let count = items.len();
                let index = index_in(items, segment);
                index.and_then(|index| items.get_mut(index)).ok_or_else(|| {
                    miss(
                        format!("nothing is called {segment} here"),
                        match count {
                            0 => "the array is empty; fill it in the file".to_owned(),
                            _ => format!("use a name, or an index from 0 to {}", count - 1),
                        },
                    )
                })
            }
        }
    }
}

fn key_in(table: &Table, segment: &str, within: Within) -> String {
    let exact = table.items.contains_key(segment).then(|| segment.to_owned());
    let found = || table.items.keys().find(|key| plain(key) == plain(segment)).cloned();
    exact.or_else(found).unwrap_or_else(|| within.key(segment))
}

fn index_in(items: &[Item], segment: &str) -> Option<usize> {
    let named = items.iter().position(|item| match &item.value {
        Value::Table(table) => table.label().is_some_and(|label| plain(&label) == plain(segment)),
        _ => false,
    });
    named.or_else(|| segment.parse().ok())
}

/// Without what a variable's name cannot tell apart.
fn plain(key: &str) -> String {
    key.to_lowercase().replace(['-', '.'], "_")
}
