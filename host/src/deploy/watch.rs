//! Watches a plugin's file. Notifications only say when to look: what counts is
//! the file that the name leads to, through any symlinks, so renames, overwrites
//! and Kubernetes' swapped links are one case.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::deployer::JUDGE;
use super::{Deployer, Refusal, Request};
use crate::plugin::Digest;

/// A file is read once it has not changed for this long.
const SETTLED: Duration = Duration::from_millis(250);
/// What may not be whole is waited for until it has not changed for this long: a
/// copy over a network pauses. It is refused then.
const WRITTEN: Duration = Duration::from_secs(3);
/// Looked at this often without any notification: some file systems send none.
const RESCAN: Duration = Duration::from_secs(2);
/// Looked at this often while a file is changing.
const SETTLING: Duration = Duration::from_millis(50);
/// Read this often although nothing tells of a change: not every file system
/// keeps times that do.
const REREAD: Duration = Duration::from_secs(60);

/// What tells one content of a path from another without reading it. Whoever
/// writes a file may set its time and keep its size; the time of its last change
/// is the system's own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) modified: Option<SystemTime>,
    changed: (i64, i64),
    bytes: u64,
    file: (u64, u64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            modified: metadata.modified().ok(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            bytes: metadata.len(),
            file: (metadata.dev(), metadata.ino()),
        })
    }
}

/// What a look at the file asks for.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is as it was.
    Nothing,
    /// Look again soon: it is changing.
    Wait,
    /// Read it: it has changed, or is to be read again.
    Read,
}

/// The file as it was seen.
struct Seen {
    stamp: Option<Stamp>,
    /// When the stamp came.
    since: Instant,
    /// The content with this stamp was offered.
    taken: bool,
    /// It was read with this stamp, and may not be whole.
    unfinished: bool,
    /// When it was last read, and what it held.
    read: Instant,
    held: Option<Digest>,
}

impl Seen {
    /// Looked at anew: a file may have changed since it was loaded. What has not
    /// is found to be the same by its digest.
    fn new(now: Instant) -> Seen {
        Seen { stamp: None, since: now, taken: true, unfinished: false, read: now, held: None }
    }

    fn look(&mut self, now: Instant, stamp: Option<Stamp>) -> Step {
        if stamp != self.stamp {
            *self = Seen { stamp, since: now, taken: stamp.is_none(), unfinished: false, ..*self };
        }
        let unchanged = now.duration_since(self.since);
        match self.taken {
            true if stamp.is_some() && now.duration_since(self.read) >= REREAD => Step::Read,
            true => Step::Nothing,
            false if unchanged < SETTLED || (self.unfinished && unchanged < WRITTEN) => Step::Wait,
            false => Step::Read,
        }
    }

    /// Whether what was just read, whose digest is `held`, is to be offered.
    fn offers(&mut self, now: Instant, held: Option<Digest>, may_be_whole: bool) -> bool {
        self.read = now;
        if self.taken {
            // What cannot be read at the moment is no news.
            let is_new = held.is_some() && held != self.held;
            self.held = held.or(self.held);
            return is_new;
        }
        self.unfinished = !may_be_whole && now.duration_since(self.since) < WRITTEN;
        if !self.unfinished {
            self.taken = true;
            self.held = held;
        }
        self.taken
    }
}

/// Deploys what a plugin's file comes to hold and what the admin API asks, until
/// `stop` hangs up.
pub struct Watch {
    plugin: String,
    deployer: Deployer,
    /// What the admin API asks.
    requests: Receiver<Request>,
    seen: Seen,
    wake: Receiver<()>,
    /// Dropped with the watch; none where the platform has no notifications.
    _notifier: Option<RecommendedWatcher>,
}

impl Watch {
    pub fn new(plugin: String, deployer: Deployer, requests: Receiver<Request>) -> Watch {
        let (waker, wake) = crossbeam_channel::bounded(1);
        let notifier = notifier(deployer.loader().dir(), waker);
        Watch { seen: Seen::new(Instant::now()), plugin, deployer, requests, wake, _notifier: notifier }
    }

    pub fn run(mut self, stop: &Receiver<()>) {
        loop {
            let settling = self.look();
            let pause = match (settling, self.deployer.judge()) {
                (true, _) => SETTLING,
                (false, true) => JUDGE,
                (false, false) => RESCAN,
            };
            crossbeam_channel::select! {
                recv(stop) -> _ => return,
                recv(self.wake) -> _ => {}
                recv(self.requests) -> request => match request {
                    Ok(request) => self.deployer.answer(request),
                    // There is no admin server.
                    Err(_) => self.requests = crossbeam_channel::never(),
                },
                default(pause) => {}
            }
            // A notification that comes while a file settles must not spin.
            if let Err(RecvTimeoutError::Disconnected) = stop.recv_timeout(SETTLING) {
                return;
            }
        }
    }

    /// Looks at the plugin's file once; whether it is still changing.
    fn look(&mut self) -> bool {
        let plugin = self.plugin.as_str();
        let stamp = Stamp::of(&self.deployer.loader().path(plugin));
        if stamp.is_none() && self.seen.stamp.is_some() {
            tracing::warn!(plugin, "the plugin's file is gone; the running version goes on");
        }
        let step = self.seen.look(Instant::now(), stamp);
        if step != Step::Read {
            return step == Step::Wait;
        }
        let read = self.deployer.loader().read(plugin);
        let may_be_whole = self.may_be_whole(&read);
        let held = read.as_ref().ok().map(|bytes| Digest::of(bytes));
        if self.seen.offers(Instant::now(), held, may_be_whole) {
            self.deployer.deploy_file(plugin, read);
        } else if self.seen.unfinished {
            tracing::info!(plugin, "the plugin's file is not whole; it may still be written, and is looked at again");
        }
        self.seen.unfinished
    }

    fn may_be_whole(&self, read: &Result<Vec<u8>, Refusal>) -> bool {
        // What cannot be read as a file at all is no copy in progress.
        read.as_ref().map_or(true, |bytes| self.deployer.loader().may_be_whole(bytes))
    }
}

fn notifier(dir: &Path, waker: Sender<()>) -> Option<RecommendedWatcher> {
    let notify = move |event: notify::Result<notify::Event>| {
        // Reading the file tells of itself too.
        if event.is_ok_and(|event| is_read(event.kind)) {
            return;
        }
        // A full channel means that a look is due already.
        let _ = waker.try_send(());
    };
    let started = notify::recommended_watcher(notify).and_then(|mut notifier| {
        notifier.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(notifier)
    });
    match started {
        Ok(notifier) => Some(notifier),
        Err(error) => {
            tracing::info!(%error, "no notifications for the plugins' folder; it is looked at every {RESCAN:?}");
            None
        }
    }
}

fn is_read(event: EventKind) -> bool {
    matches!(event, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(bytes: u64) -> Option<Stamp> {
        Some(Stamp { modified: None, changed: (0, 0), bytes, file: (0, 0) })
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_copy_in_progress_is_offered_once_whole() {
        let start = Instant::now();
        let mut seen = Seen::new(start);
        let half = Some(Digest::of(b"half"));
        for (pause, bytes) in [(0, 1), (600, 2), (1_200, 3)] {
            let now = start + ms(pause);
            assert_eq!(seen.look(now, stamp(bytes)), Step::Wait);
            assert_eq!(seen.look(now + ms(300), stamp(bytes)), Step::Read);
            assert!(!seen.offers(now + ms(300), half, false));
            assert_eq!(seen.look(now + ms(350), stamp(bytes)), Step::Wait, "it is not read again for nothing");
        }
        let now = start + ms(1_800);
        assert_eq!(seen.look(now, stamp(4)), Step::Wait);
        assert_eq!(seen.look(now + ms(300), stamp(4)), Step::Read);
        assert!(seen.offers(now + ms(300), Some(Digest::of(b"whole")), true));
        assert_eq!(seen.look(now + ms(400), stamp(4)), Step::Nothing);
    }

    #[test]
    fn what_stays_broken_is_offered_once() {
        let start = Instant::now();
        let mut seen = Seen::new(start);
        assert_eq!(seen.look(start, stamp(1)), Step::Wait);
        assert_eq!(seen.look(start + ms(300), stamp(1)), Step::Read);
        assert!(!seen.offers(start + ms(300), None, false));
        assert_eq!(seen.look(start + WRITTEN, stamp(1)), Step::Read);
        assert!(seen.offers(start + WRITTEN, None, false));
        assert_eq!(seen.look(start + WRITTEN + ms(1), stamp(1)), Step::Nothing);
    }

    #[test]
    fn another_content_is_found_although_nothing_tells_of_it() {
        let start = Instant::now();
        let mut seen = Seen::new(start);
        let (one, two) = (Some(Digest::of(b"one")), Some(Digest::of(b"two")));
        assert_eq!(seen.look(start, stamp(3)), Step::Wait);
        assert_eq!(seen.look(start + SETTLED, stamp(3)), Step::Read);
        assert!(seen.offers(start + SETTLED, one, true));
        let mut now = start + SETTLED;
        for (held, is_new) in [(one, false), (None, false), (two, true), (two, false)] {
            assert_eq!(seen.look(now + ms(1), stamp(3)), Step::Nothing);
            now += REREAD;
            assert_eq!(seen.look(now, stamp(3)), Step::Read);
            assert_eq!(seen.offers(now, held, true), is_new);
        }
    }
}
