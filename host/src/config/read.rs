//! Takes keys out of a table, and collects what is wrong on the way.

use super::document::{Item, Table, Value};
use super::error::{ConfigError, Place, Severity};
use super::kind::{Wrong, is_name};

/// A table while it is read: it knows the full key of each value, and once
/// everything known was taken, which keys are unknown.
///
/// A value that is wrong or missing reads as `None`; the caller goes on with
/// a default, so that one pass finds all problems.
pub(super) struct Reader<'a> {
    table: &'a Table,
    path: String,
    known: Vec<&'static str>,
    /// Whether the table takes any key.
    open: bool,
    problems: &'a mut Vec<ConfigError>,
}

/// Reads a whole table with `read` and then reports the keys it did not take.
pub(super) fn table<T>(
    table: &Table,
    path: String,
    problems: &mut Vec<ConfigError>,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) -> T {
    let mut reader = Reader { table, path, known: Vec::new(), open: false, problems };
    let value = read(&mut reader);
    reader.report_unknown();
    value
}

impl<'a> Reader<'a> {
    fn take(&mut self, key: &'static str) -> Option<&'a Item> {
        self.known.push(key);
        self.table.items.get(key)
    }

    /// Whether the key is there, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.table.items.contains_key(key)
    }

    /// The value of a key, where it is there and `parse` takes it.
    pub fn get<T>(&mut self, key: &'static str, parse: impl FnOnce(&Value) -> Result<T, Wrong>) -> Option<T> {
        let item = self.take(key)?;
        match parse(&item.value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.push(item.place.clone(), self.full(key), wrong);
                None
            }
        }
    }

    /// As [`Reader::get`]; a missing key is a problem.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Wrong>,
        cure: &str,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.refuse(key, "is missing", cure);
            return None;
        }
        self.get(key, parse)
    }

    /// The values of an array, without those that `parse` refuses.
    pub fn list<T>(&mut self, key: &'static str, parse: impl Fn(&Value) -> Result<T, Wrong>) -> Vec<T> {
        let Some(item) = self.take(key) else {
            return Vec::new();
        };
        let settled = item.value.settled();
        let Value::Array(elements) = settled.as_ref() else {
            let wrong = Wrong::kind(&item.value, "an array", r#"write ["first", "second"]"#);
            self.push(item.place.clone(), self.full(key), wrong);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            match parse(&element.value) {
                Ok(value) => values.push(value),
                Err(wrong) => {
                    let key = format!("{}[{index}]", self.full(key));
                    self.push(element.place.clone(), key, wrong);
                }
            }
        }
        values
    }

    /// Reads the table at `key`; a missing one as an empty one.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let path = self.full(key);
        let Some(item) = self.take(key) else {
            let missing = Table::empty(self.table.place.clone());
            return table(&missing, path, self.problems, read);
        };
        if let Value::Table(inner) = item.value.settled().as_ref() {
            return table(inner, path, self.problems, read);
        }
        let wrong = Wrong::kind(&item.value, "a table", "write its keys in a table: { key = value }");
        self.push(item.place.clone(), path.clone(), wrong);
        // What the empty table lacks is no news then.
        let unheard = &mut Vec::new();
        table(&Table::empty(item.place.clone()), path, unheard, read)
    }

    /// Reads an array of tables; `read` also gets those before it. A missing
    /// or empty one is a problem.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        title: &str,
        cure: &str,
        mut read: impl FnMut(&mut Reader<'_>, &[T]) -> T,
    ) -> Vec<T> {
        let path = self.full(key);
        let item = self.take(key);
        let settled = item.map(|item| item.value.settled());
        let elements = match (item, settled.as_deref()) {
            (_, Some(Value::Array(elements))) => elements.as_slice(),
            (Some(item), _) => {
                let cure = format!("open each one with [[{title}]], in two brackets");
                let wrong = Wrong::kind(&item.value, "an array of tables", cure);
                self.push(item.place.clone(), path, wrong);
                return Vec::new();
            }
            (None, _) => &[],
        };
        if elements.is_empty() {
            self.refuse(key, "is missing", cure);
        }
        let mut values = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let settled = element.value.settled();
            let Value::Table(inner) = settled.as_ref() else {
                let wrong = Wrong::kind(&element.value, "a table", cure);
                self.push(element.place.clone(), format!("{path}[{index}]"), wrong);
                continue;
            };
            let path = match inner.label() {
                Some(label) if is_name(&label) => format!("{path}.{label}"),
                _ => format!("{path}[{index}]"),
            };
            let value = table(inner, path, self.problems, |reader| read(reader, &values));
            values.push(value);
        }
        values
    }

    /// All keys of a table, none of them unknown, whose values become strings.
    pub fn scalars(&mut self) -> Vec<(String, String)> {
        self.open = true;
        let mut values = Vec::with_capacity(self.table.items.len());
        for (key, item) in &self.table.items {
            match item.value.scalar() {
                Some(value) => values.push((key.clone(), value)),
                None => {
                    let mut cure = "write a string, a number or a boolean".to_owned();
                    if matches!(item.value, Value::Table(_)) {
                        cure.push_str(", and quote a key that has dots in it");
                    }
                    let wrong = Wrong::kind(&item.value, "a string", cure);
                    self.push(item.place.clone(), self.full(key), wrong);
                }
            }
        }
        values
    }

    /// Reports a problem at `key`, or where it would have to be added.
    pub fn refuse(&mut self, key: &str, problem: impl Into<String>, cure: impl Into<String>) {
        let item = self.table.items.get(key);
        let place = item.map_or(&self.table.place, |item| &item.place).clone();
        self.push(place, self.full(key), Wrong::new(problem, cure));
    }

    /// Reports what is a risk at `key`: as [`Reader::refuse`], but only a warning
    /// where it is `accepted`.
    pub fn risk(&mut self, key: &str, accepted: bool, problem: impl Into<String>, cure: impl Into<String>) {
        self.refuse(key, problem, cure);
        if let (true, Some(last)) = (accepted, self.problems.last_mut()) {
            last.severity = Severity::Warning;
        }
    }

    fn full(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    fn push(&mut self, place: Place, key: String, wrong: Wrong) {
        let Wrong { problem, cure } = wrong;
        self.problems.push(ConfigError { place, key, problem, cure: Some(cure), severity: Severity::Mistake });
    }

    fn report_unknown(&mut self) {
        for (key, item) in &self.table.items {
            if self.open || self.known.contains(&key.as_str()) {
                continue;
            }
            let cure = match nearest(key, &self.known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.push(item.place.clone(), self.full(key), Wrong::new("unknown key", cure));
        }
    }
}

/// The word that `given` was probably meant to be.
pub(super) fn nearest<'w>(given: &str, words: &[&'w str]) -> Option<&'w str> {
    let given = given.to_lowercase().replace('_', "-");
    let scored = words.iter().map(|word| (strsim::jaro_winkler(&given, word), *word));
    let (score, word) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.82).then_some(word)
}
