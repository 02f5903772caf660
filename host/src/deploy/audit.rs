//! The audit log: one line of JSON for each deploy, rollback, refusal and pause. It is
//! only ever appended to, and on disk before what it tells is done. It names
//! plugins, digests and interfaces, never what a record holds or a plugin says.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::plugin::Digest;

/// Who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A file in the plugins' folder.
    Folder,
    /// Someone with the admin token, from this address.
    Api(SocketAddr),
    /// The host itself, for what a version did in its probation.
    Automatic,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Folder => f.write_str("folder"),
            Who::Api(address) => write!(f, "api {address}"),
            Who::Automatic => f.write_str("automatic"),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Deploy,
    Rollback,
    Pause,
    Resume,
    Watermark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Written before the workers swap: each does so before its next record.
    Activated,
    /// The running version goes on.
    Refused,
    /// Activated, and taken back as a worker could not start it.
    TakenBack,
}

/// One line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    pub action: Action,
    pub plugin: &'a str,
    pub who: Who,
    /// In force before; `null` at a plugin's first start.
    pub old: Option<Digest>,
    /// `null` where what was offered could not be read.
    pub new: Option<Digest>,
    pub outcome: Outcome,
    /// Interfaces that the version before does not import, let in by an approval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved: Vec<String>,
    pub reason: Option<String>,
}

/// One line for partitions that are paused or resumed.
#[derive(Debug, Serialize)]
pub struct Flow<'a> {
    pub action: Action,
    pub pipeline: &'a str,
    pub topic: &'a str,
    /// `null` for all of the topic's.
    pub partition: Option<i32>,
    pub who: Who,
}

/// One line for event time that is set back.
#[derive(Debug, Serialize)]
pub struct Watermark<'a> {
    pub action: Action,
    pub pipeline: &'a str,
    pub topic: &'a str,
    /// `null` for all of the topic's.
    pub partition: Option<i32>,
    /// Milliseconds since the Unix epoch.
    pub to: u64,
    pub who: Who,
}

pub struct Audit {
    file: File,
    /// The last line may lack its end.
    torn: bool,
}

impl Audit {
    /// # Errors
    /// When the file cannot be opened to read its end and to append to it.
    pub fn open(path: &Path) -> io::Result<Audit> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Audit { file, torn: last != *b"\n" })
    }

    /// Returns once the line is on disk.
    ///
    /// # Errors
    /// When it is not, or may not be.
    pub fn append<L: Serialize>(&mut self, line: &L) -> io::Result<()> {
        #[derive(Serialize)]
        struct Dated<'a, L> {
            at: String,
            #[serde(flatten)]
            line: &'a L,
        }
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut text = serde_json::to_string(&Dated { at, line })? + "\n";
        if self.torn {
            text.insert(0, '\n');
        }
        let written = self.file.write_all(text.as_bytes());
        self.torn = written.is_err();
        written.and_then(|()| self.file.sync_data())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::Value;

    use super::*;

    fn line(plugin: &str) -> Line<'_> {
        Line {
            action: Action::Deploy,
            plugin,
            who: Who::Api(([127, 0, 0, 1], 5).into()),
            old: None,
            new: Some(Digest::of(b"new")),
            outcome: Outcome::Activated,
            approved: Vec::new(),
            reason: None,
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).unwrap_or_default())
            .collect()
    }

    #[test]
    fn lines_are_appended_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        Audit::open(&path).unwrap().append(&line("one")).unwrap();
        Audit::open(&path).unwrap().append(&line("two")).unwrap();
        let written = lines(&path);
        let new = Digest::of(b"new").to_string();
        for (line, plugin) in written.iter().zip(["one", "two"]) {
            assert!(humantime::parse_rfc3339(line["at"].as_str().unwrap()).is_ok());
            assert_eq!((&line["plugin"], &line["who"]), (&plugin.into(), &"api 127.0.0.1:5".into()));
            assert_eq!((&line["action"], &line["outcome"]), (&"deploy".into(), &"activated".into()));
            assert_eq!((&line["old"], &line["new"]), (&Value::Null, &new.as_str().into()));
        }
        assert_eq!(written.len(), 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_after_a_torn_one_stands_on_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        fs::write(&path, "{\"at\":\"20").unwrap();
        Audit::open(&path).unwrap().append(&line("one")).unwrap();
        assert_eq!(lines(&path)[1]["plugin"], "one");
    }

    #[test]
    fn a_line_that_is_not_written_is_an_error() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let file = OpenOptions::new().append(true).open(full).unwrap();
            let mut audit = Audit { file, torn: false };
            assert!(audit.append(&line("one")).is_err());
            assert!(audit.torn);
        }
    }
}
