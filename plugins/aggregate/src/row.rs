//! What a window keeps: the key of its records, and a cell for each aggregate.

use std::rc::Rc;

use gregor_sdk::held::Bytes;
use gregor_sdk::window::Aggregate;
use serde::{Deserialize, Serialize};

use crate::cell::{Cell, Datum, Kind};

/// What a record brings.
#[derive(Clone)]
pub struct Seen {
    pub key: Option<Vec<u8>>,
    /// The parts of `by` as JSON, where they are more than the key.
    pub of: Option<String>,
    pub cells: Rc<[Entry]>,
}

/// What a record brings to one cell; `None` where it has not the field.
pub struct Entry {
    /// The function as the config has it.
    pub text: Rc<str>,
    pub kind: Kind,
    pub datum: Option<Datum>,
}

/// Cells by their function: one that a config before this one began has the cells of that.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    key: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    cells: Vec<(String, Cell)>,
}

/// What is told of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub key: Option<Vec<u8>>,
    pub of: Option<String>,
    cells: Vec<(String, Cell)>,
}

impl Summary {
    /// The cell of a function, if the window has one.
    pub fn cell(&self, text: &str) -> Option<&Cell> {
        self.cells.iter().find(|(own, _)| own == text).map(|(_, cell)| cell)
    }
}

impl Aggregate for Row {
    type Value = Seen;
    type Output = Summary;

    fn first(at: u64, seen: Seen) -> Self {
        let cells = seen.cells.iter().map(|entry| (entry.text.to_string(), Cell::new(entry.kind))).collect();
        let mut row = Row { key: seen.key.clone().map(Bytes::from), of: seen.of.clone(), cells };
        row.add(at, seen);
        row
    }

    fn add(&mut self, at: u64, seen: Seen) {
        for Entry { text, datum, .. } in seen.cells.iter() {
            let cell = self.cells.iter_mut().find(|(own, _)| **own == **text);
            if let (Some((_, cell)), Some(datum)) = (cell, datum) {
                cell.add(at, datum);
            }
        }
    }

    fn merge(&mut self, later: Self) {
        for (text, later) in later.cells {
            match self.cells.iter_mut().find(|(own, _)| *own == text) {
                Some((_, cell)) => cell.merge(later),
                None => self.cells.push((text, later)),
            }
        }
    }

    fn output(&self) -> Summary {
        Summary { key: self.key.clone().map(Vec::from), of: self.of.clone(), cells: self.cells.clone() }
    }
}
