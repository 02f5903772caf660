//! The audit log: one line of JSON for each deploy, rollback, refusal and pause,
//! and for each decision about state. It is
//! only ever appended to, and on disk before what it tells is done. It names
//! plugins, digests and interfaces, never what a record holds or a plugin says.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::files::OwnedFolder;
use crate::plugin::Digest;
use crate::state::Decision;

/// Its name in `host.data-dir`.
const NAME: &str = "audit.log";

/// Who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A file in the plugins' folder.
    Folder,
    /// Someone with the admin token, from this address.
    Api(SocketAddr),
    /// The host itself, for what a version did in its probation.
    Automatic,
    /// A command that left its order with the group's offset, all hosts stopped.
    Offset,
    /// The configuration: `state.on-mismatch`.
    Configuration,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Folder => f.write_str("folder"),
            Who::Api(address) => write!(f, "api {address}"),
            Who::Automatic => f.write_str("automatic"),
            Who::Offset => f.write_str("offset"),
            Who::Configuration => f.write_str("configuration"),
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
    Keep,
    Reset,
    Restore,
}

impl From<Decision> for Action {
    fn from(decision: Decision) -> Action {
        match decision {
            Decision::Keep => Action::Keep,
            Decision::Reset => Action::Reset,
            Decision::Restore => Action::Restore,
        }
    }
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

/// One line for a stage's state that did not belong to the group's offset. Written
/// before the commit that carries it out.
#[derive(Debug, Serialize)]
pub struct Settled<'a> {
    pub action: Action,
    pub pipeline: &'a str,
    pub stage: &'a str,
    pub topic: &'a str,
    pub partition: i32,
    /// Where its records go on.
    pub offset: i64,
    /// Entries that it has now …
    pub entries: u64,
    /// … and how many have gone.
    pub removed: u64,
    pub who: Who,
    /// What stood where.
    pub reason: &'a str,
}

/// The log. Cheap to clone: all who change something append to the same one.
#[derive(Clone)]
pub struct Audit(Arc<Mutex<Log>>);

struct Log {
    folder: OwnedFolder,
    file: File,
    /// The last line may lack its end.
    torn: bool,
}

impl Audit {
    /// The log in `data`, made where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened to read its end and to append to it, or
    /// others may write to it.
    pub fn open(data: &OwnedFolder) -> io::Result<Audit> {
        let mut file = data.append_to(NAME)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Audit(Arc::new(Mutex::new(Log { folder: data.clone(), file, torn: last != *b"\n" }))))
    }

    /// Returns once the line is on disk.
    ///
    /// # Errors
    /// When it is not, or may not be, and when the log was removed or replaced
    /// since it was opened.
    pub fn append<L: Serialize>(&self, line: &L) -> io::Result<()> {
        #[derive(Serialize)]
        struct Dated<'a, L> {
            at: String,
            #[serde(flatten)]
            line: &'a L,
        }
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let text = serde_json::to_string(&Dated { at, line })? + "\n";
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(text)
    }
}

impl Log {
    fn append(&mut self, text: String) -> io::Result<()> {
        if !self.folder.still_holds(NAME, &self.file)? {
            let path = self.folder.path().join(NAME);
            return Err(io::Error::other(format!(
                "{} was removed or replaced while this host runs: put it back, or restart the host",
                path.display()
            )));
        }
        self.write(text)
    }

    fn write(&mut self, mut text: String) -> io::Result<()> {
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
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

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

    fn open(dir: &Path) -> Audit {
        Audit::open(&OwnedFolder::open(dir).unwrap()).unwrap()
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
        open(dir.path()).append(&line("one")).unwrap();
        open(dir.path()).append(&line("two")).unwrap();
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
        open(dir.path()).append(&line("one")).unwrap();
        assert_eq!(lines(&path)[1]["plugin"], "one");
    }

    #[test]
    fn a_line_that_is_not_written_is_an_error() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let folder = OwnedFolder::open(Path::new("/")).unwrap();
            let mut log = Log { folder, file: OpenOptions::new().append(true).open(full).unwrap(), torn: false };
            assert!(log.write("line\n".to_owned()).is_err());
            assert!(log.torn);
        }
    }

    #[test]
    fn a_log_that_was_removed_or_replaced_takes_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join(NAME), dir.path().join("moved"));
        let audit = open(dir.path());
        audit.append(&line("one")).unwrap();
        fs::rename(&path, &moved).unwrap();
        for replaced in [false, true] {
            if replaced {
                fs::write(&path, "").unwrap();
            }
            let refused = audit.append(&line("two")).unwrap_err().to_string();
            assert!(refused.contains("was removed or replaced while this host runs"), "{refused}");
        }
        fs::rename(&moved, &path).unwrap();
        audit.append(&line("three")).unwrap();
        assert_eq!(lines(&path).len(), 2);
    }
}
