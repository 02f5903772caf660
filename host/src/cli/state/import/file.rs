//! The file of an import: read line by line, checked as a whole.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use indicatif::ProgressBar;

use crate::cli::state::{NO_STATE, Refusal};
use crate::files::foreign::{self, MAX_LINE, TextLines};
use crate::kafka::partitioner;
use crate::state::{Entry, Line, is_parked, is_stamp};

/// Longest key that a plugin can set, in bytes.
const MAX_KEY: usize = 512;

/// The file, opened once: what was checked is what is written.
pub struct Input {
    path: PathBuf,
    file: File,
}

impl Input {
    /// # Errors
    /// When it is no regular file, or cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Input> {
        let file = foreign::open(path).map_err(|problem| anyhow!("{} {problem}", path.display()))?;
        Ok(Input { path: path.to_owned(), file })
    }

    /// Its lines, from the first one. Those that were given out before end here.
    ///
    /// # Errors
    /// When the file cannot be read from its beginning.
    pub fn lines(&self) -> anyhow::Result<Lines> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        let text = TextLines::new(BufReader::new(file), MAX_LINE);
        Ok(Lines { path: self.path.clone(), text, number: 0 })
    }
}

/// The lines of a file, numbered from 1.
pub struct Lines {
    path: PathBuf,
    text: TextLines<BufReader<File>>,
    number: usize,
}

impl Lines {
    /// A problem of the line that was read last. Neither keys nor values are told.
    fn problem(&self, problem: &str) -> anyhow::Error {
        let problem = format!("{}:{}: {problem}; nothing was written", self.path.display(), self.number);
        Refusal { code: NO_STATE, problem }.into()
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<Line>;

    fn next(&mut self) -> Option<anyhow::Result<Line>> {
        let text = self.text.next()?;
        self.number += 1;
        let line = text.map_err(|error| self.problem(&error.to_string())).and_then(|text| {
            let line: Result<Line, _> = serde_json::from_str(&text);
            line.map_err(|error| {
                let at = error.column();
                self.problem(&format!("is no line of an export (the fault is at column {at})"))
            })
        });
        Some(line)
    }
}

/// What the lines are held against.
pub struct Limits<'a> {
    pub pipeline: &'a str,
    pub stage: &'a str,
    /// Of the source, now.
    pub partitions: i32,
    /// The stage's limits, in bytes.
    pub max_value: u64,
    pub max_bytes: u64,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
}

impl Limits<'_> {
    /// Where an entry belongs; `None` for one without a record key whose
    /// partition does not exist.
    pub fn partition(&self, line: &Line, entry: &Entry) -> Option<i32> {
        match entry.origin.record_key(&line.key) {
            Some(record_key) => Some(partitioner::partition(record_key, self.partitions)),
            None => Some(line.partition).filter(|partition| (0..self.partitions).contains(partition)),
        }
    }
}

/// What a partition gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub entries: u64,
    /// Of keys and values.
    pub bytes: u64,
    /// Those of them that are parked, which `max_bytes` does not count.
    pub parked: u64,
}

/// A file that can be imported.
#[derive(Debug)]
pub struct Checked {
    /// By partition.
    pub shares: Vec<Share>,
    pub expired: u64,
}

/// Reads all lines.
///
/// # Errors
/// The first line that is not fit, or what is wrong with all together.
pub fn check(mut lines: Lines, limits: &Limits<'_>, bar: &ProgressBar) -> anyhow::Result<Checked> {
    let mut shares = vec![Share::default(); limits.partitions as usize];
    let mut keys: HashSet<(i32, String)> = HashSet::new();
    let (mut expired, mut homeless) = (0, 0_u64);
    while let Some(line) = lines.next() {
        let line = line?;
        bar.inc(1);
        let names = (line.pipeline.as_deref(), line.stage.as_deref());
        if names != (Some(limits.pipeline), Some(limits.stage)) {
            return Err(lines.problem("is not of this pipeline and stage"));
        }
        if line.key.is_empty() || line.key.len() > MAX_KEY {
            return Err(lines.problem(&format!("its key has {} bytes, and keys have 1 to {MAX_KEY}", line.key.len())));
        }
        if is_stamp(&line.key) {
            return Err(lines.problem("its key is the host's own, of which an export holds nothing"));
        }
        if line.partition < 0 {
            return Err(lines.problem("its partition is below 0"));
        }
        let entry = line.entry().map_err(|problem| lines.problem(problem))?;
        if entry.expired(limits.now) {
            expired += 1;
            continue;
        }
        let size = entry.value.len() as u64;
        if size > limits.max_value {
            let problem =
                format!("its value has {size} bytes, and the stage's `state.max-value` is {}", limits.max_value);
            return Err(lines.problem(&problem));
        }
        let Some(partition) = limits.partition(&line, &entry) else {
            homeless += 1;
            continue;
        };
        let share = &mut shares[partition as usize];
        share.entries += 1;
        let bytes = line.key.len() as u64 + size;
        share.bytes += bytes;
        if is_parked(&line.key) {
            share.parked += bytes;
        }
        if !keys.insert((partition, line.key)) {
            return Err(lines.problem(&format!(
                "its key stands in an earlier line too that goes to partition {partition}: what two partitions kept \
                 under one key cannot be put together here. Join the lines by hand, or leave one out"
            )));
        }
    }
    let refuse = |problem: String| Err(Refusal { code: NO_STATE, problem: problem + "; nothing was written" }.into());
    if homeless > 0 {
        return refuse(format!(
            "{homeless} entries were written by records without a key, in partitions that the source does not have \
             now (it has {}): take their lines out of the file",
            limits.partitions
        ));
    }
    if let Some((partition, share)) =
        (0..).zip(&shares).find(|(_, share)| share.bytes - share.parked > limits.max_bytes)
    {
        return refuse(format!(
            "partition {partition} would get {} bytes, and the stage's `state.max-bytes` is {}: raise it",
            share.bytes - share.parked,
            limits.max_bytes
        ));
    }
    Ok(Checked { shares, expired })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"pipeline":"p","stage":"s","partition":0,"key":"21","recordKey":"21","value":"v","expiresAt":null}"#;

    fn checked(text: &str) -> Result<Checked, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let limits = Limits { pipeline: "p", stage: "s", partitions: 8, max_value: 5, max_bytes: 12, now: 100 };
        check(Input::open(file.path()).unwrap().lines().unwrap(), &limits, &ProgressBar::hidden())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_entry_goes_where_its_record_key_belongs() {
        let keyless = r#"{"pipeline":"p","stage":"s","partition":5,"key":"k","recordKey":null,"valueBase64":"/w==","expiresAt":101}"#;
        let gone = GOOD.replace("null}", "100}").replace("\"key\":\"21\"", "\"key\":\"22\"");
        let checked = checked(&[GOOD, keyless, &gone].join("\n")).unwrap();
        let with = |partition: usize| checked.shares[partition].clone();
        assert_eq!(with(partitioner::partition(b"21", 8) as usize), Share { entries: 1, bytes: 3, parked: 0 });
        assert_eq!(with(5), Share { entries: 1, bytes: 2, parked: 0 });
        assert_eq!(checked.shares.iter().map(|share| share.entries).sum::<u64>(), 2);
        assert_eq!(checked.expired, 1);
    }

    #[test]
    fn a_bad_line_is_told_by_its_number_and_not_by_what_it_holds() {
        for (bad, reason) in [
            (GOOD.replace("\"value\":\"v\",", ""), "neither `value` nor"),
            (GOOD.replace("\"recordKey\":\"21\",", ""), "neither `recordKey` nor"),
            (GOOD.replace("\"s\"", "\"other\""), "not of this pipeline and stage"),
            (GOOD.replace("\"key\":\"21\"", "\"key\":\"\""), "its key has 0 bytes"),
            (GOOD.replace("\"v\"", "\"secret\""), "its value has 6 bytes, and the stage's `state.max-value` is 5"),
            (GOOD.replace("\"key\":\"21\"", "\"key\":\"\u{10FFFF}s\""), "its key is the host's own"),
            (GOOD.replace("\"partition\":0", "\"partition\":-1"), "below 0"),
            (GOOD.replace("\"partition\":0", "\"partition\":\"secret\""), "no line of an export"),
            (GOOD[..40].to_owned(), "no line of an export"),
            (GOOD.replace("\"value\":\"v\"", "\"valueBase64\":\"secret!\""), "no base64"),
            (GOOD.replace("\"value\":\"v\"", "\"value\":\"v\",\"more\":1"), "no line of an export"),
            (String::new(), "no line of an export"),
            (GOOD.to_owned(), "stands in an earlier line too"),
        ] {
            let problem = checked(&format!("{GOOD}\n{bad}\n")).unwrap_err();
            assert!(problem.contains(":2: ") && problem.contains(reason), "{bad}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn what_is_parked_needs_no_room_of_the_state() {
        let parked = |number: u32| {
            format!(
                r#"{{"pipeline":"p","stage":"s","partition":1,"key":"\udbff\udfffq{number:020}-1","recordKey":null,"value":"v","expiresAt":null}}"#
            )
        };
        let share = checked(&[parked(1), parked(2)].join("\n")).unwrap().shares[1].clone();
        assert_eq!((share.entries, share.bytes), (2, share.parked));
        assert!(share.parked > 12);
    }

    #[test]
    fn what_is_wrong_with_all_together_is_told_too() {
        let keyless = |partition: i32, key: &str| {
            format!(
                r#"{{"pipeline":"p","stage":"s","partition":{partition},"key":"{key}","recordKey":null,"value":"vvvvv","expiresAt":null}}"#
            )
        };
        let homeless = checked(&[keyless(8, "a"), keyless(9, "b")].join("\n")).unwrap_err();
        assert!(homeless.starts_with("2 entries were written by records without a key"), "{homeless}");
        let many = checked(&["a", "b", "c"].map(|key| keyless(1, key)).join("\n")).unwrap_err();
        assert!(many.starts_with("partition 1 would get 18 bytes, and the stage's `state.max-bytes` is 12"), "{many}");
    }
}
