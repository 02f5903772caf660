//! Watches the plugins' folder. Notifications only say when to look: what
//! counts is the file that a name leads to, through any symlinks, so renames,
//! overwrites and Kubernetes' swapped links are one case.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::deployer::JUDGE;
use super::{Deployer, Request};

/// A file is taken once it has not changed for this long: half-written ones are not.
const SETTLED: Duration = Duration::from_millis(250);
/// Looked at this often without any notification: some file systems send none.
const RESCAN: Duration = Duration::from_secs(2);
/// Looked at this often while a file is changing.
const SETTLING: Duration = Duration::from_millis(50);

/// What tells one content of a path from another without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    file: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp { modified: metadata.modified().ok(), bytes: metadata.len(), file: file_id(&metadata) })
    }
}

#[cfg(unix)]
fn file_id(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn file_id(_: &std::fs::Metadata) -> u64 {
    0
}

/// A file's last look.
struct Seen {
    stamp: Option<Stamp>,
    since: Instant,
    taken: bool,
}

/// Deploys what changes in the plugins' folder and what the admin API asks,
/// until `stop` hangs up.
pub struct Watch {
    deployer: Deployer,
    /// What the admin API asks.
    requests: Receiver<Request>,
    seen: HashMap<String, Seen>,
    wake: Receiver<()>,
    /// Dropped with the watch; none where the platform has no notifications.
    _notifier: Option<RecommendedWatcher>,
}

impl Watch {
    pub fn new(deployer: Deployer, requests: Receiver<Request>) -> Watch {
        let (waker, wake) = crossbeam_channel::bounded(1);
        let notifier = notifier(deployer.loader().dir(), waker);
        let now = Instant::now();
        let names = deployer.loader().plugins();
        let seen = names.into_iter().map(|plugin| {
            // Looked at anew: a file may have changed since it was loaded. What
            // has not is found to be the same by its digest.
            (plugin, Seen { stamp: None, since: now, taken: true })
        });
        Watch { seen: seen.collect(), deployer, requests, wake, _notifier: notifier }
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

    /// Looks at each plugin's file once; whether some file is still settling.
    fn look(&mut self) -> bool {
        let now = Instant::now();
        let mut settling = false;
        for (plugin, seen) in &mut self.seen {
            let stamp = Stamp::of(&self.deployer.loader().path(plugin));
            if stamp != seen.stamp {
                if stamp.is_none() {
                    tracing::warn!(plugin, "the plugin's file is gone; the running version goes on");
                }
                *seen = Seen { stamp, since: now, taken: stamp.is_none() };
            }
            if !seen.taken {
                if now.duration_since(seen.since) < SETTLED {
                    settling = true;
                    continue;
                }
                seen.taken = true;
                self.deployer.deploy_file(plugin);
            }
        }
        settling
    }
}

fn notifier(dir: &Path, waker: Sender<()>) -> Option<RecommendedWatcher> {
    let notify = move |_: notify::Result<notify::Event>| {
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
