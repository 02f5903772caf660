//! Partitions whose state is opened or rebuilt, on a thread beside the
//! worker's: records of its other partitions go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::opening::{Opened, open_all};
use crate::kafka::GroupOffset;
use crate::observe::Who;
use crate::plan::Plan;
use crate::position::Position;
use crate::record::TopicPartition;
use crate::state::Noted;
use crate::state::changelog::Progress;
use crate::state::{Decision, Held, OpenError, Opener, Standby, Stores};
use crate::task::Recorded;

/// Between two tries of something that did not answer.
const BACKOFF: Duration = Duration::from_secs(1);
/// How often a wait looks whether the partition is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// One partition to be restored.
#[derive(Clone)]
pub struct Restoring {
    pub id: TopicPartition,
    pub position: Position,
    /// Whether the group has committed it.
    pub pinned: bool,
    /// The versions that processed it last.
    pub recorded: Recorded,
    /// What the offset's metadata tells of state.
    pub noted: Noted,
    /// What someone decided about state that does not belong to the offset.
    pub decision: Option<(Decision, Who)>,
    pub progress: Arc<Progress>,
    pub cancelled: Arc<AtomicBool>,
}

impl Restoring {
    /// A partition that the group has committed.
    pub fn committed(id: TopicPartition, group: GroupOffset) -> Restoring {
        let (position, metadata) = (Position::committed(group.next, &group.metadata), &group.metadata);
        let (recorded, noted) = (Recorded::committed(metadata), Noted::of(metadata));
        Restoring { pinned: true, recorded, noted, ..Restoring::new(id, position) }
    }

    /// A partition that the group has committed nothing of: it begins at `position`.
    pub fn new(id: TopicPartition, position: Position) -> Restoring {
        Restoring {
            id,
            position,
            pinned: false,
            recorded: Recorded::default(),
            noted: Noted::default(),
            decision: None,
            progress: Arc::default(),
            cancelled: Arc::default(),
        }
    }

    /// Nobody wants it any more.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// A partition whose position here the group may have left behind: that of a
/// host which was frozen.
pub struct Unsure {
    pub restoring: Restoring,
    /// Why it cannot be opened there, if that was tried.
    pub problem: Option<Unopened>,
}

/// Why only a person can help.
pub enum Unopened {
    /// The state cannot be read.
    Impossible(String),
    /// The state does not belong to the group's offset.
    Mismatch(Held),
}

/// A partition's state, or why it is not opened.
pub type Restored = (Restoring, Result<Opened, Unopened>);

/// The thread that restores one worker's partitions, one after the other.
pub struct Restorer {
    jobs: Option<Sender<Restoring>>,
    done: Receiver<Restored>,
    thread: Option<JoinHandle<()>>,
}

impl Restorer {
    /// # Errors
    /// When there is no thread left.
    pub fn start(
        worker: usize,
        stores: Arc<Stores>,
        standby: Arc<Standby>,
        plans: Arc<[Arc<Plan>]>,
    ) -> std::io::Result<Restorer> {
        let (jobs, wanted) = crossbeam_channel::unbounded::<Restoring>();
        let (finished, done) = crossbeam_channel::unbounded();
        let run = move || {
            let mut opener = Opener::new(stores, standby);
            for job in wanted {
                if let Some(outcome) = restore(worker, &mut opener, &plans, &job) {
                    // The worker has ended: nobody wants it.
                    drop(finished.send((job, outcome)));
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("restore-{worker}")).spawn(run)?;
        Ok(Restorer { jobs: Some(jobs), done, thread: Some(thread) })
    }

    pub fn restore(&self, job: Restoring) {
        if let Some(jobs) = &self.jobs {
            // It takes jobs for as long as this lives.
            drop(jobs.send(job));
        }
    }

    /// The next partition that is restored.
    pub fn next(&self) -> Option<Restored> {
        self.done.try_recv().ok()
    }
}

impl Drop for Restorer {
    /// Waits for the thread: the stores that it has open are closed by then.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Opens every stage's cache, for as long as it takes; `None` once cancelled.
fn restore(
    worker: usize,
    opener: &mut Opener,
    plans: &[Arc<Plan>],
    job: &Restoring,
) -> Option<Result<Opened, Unopened>> {
    loop {
        if job.is_cancelled() {
            return None;
        }
        match open_all(opener, plans, job) {
            Ok(opened) => return Some(Ok(opened)),
            Err(OpenError::Impossible(problem)) => return Some(Err(Unopened::Impossible(problem))),
            Err(OpenError::Mismatch(held)) => return Some(Err(Unopened::Mismatch(held))),
            Err(OpenError::Cancelled) => return None,
            Err(OpenError::NotYet(problem)) => {
                tracing::warn!(worker, partition = %job.id, problem, "state is not restored yet; trying again");
                let mut waited = Duration::ZERO;
                while waited < BACKOFF && !job.is_cancelled() {
                    std::thread::sleep(LOOK);
                    waited += LOOK;
                }
            }
        }
    }
}
