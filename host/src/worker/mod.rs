//! One thread that is one member of the group: its consumer, its producer, its
//! tasks. From poll to commit nothing is shared, so nothing is locked.

mod assignment;
mod awaiting;
mod command;
mod ends;
mod instances;
mod leave;
mod mismatch;
mod opening;
mod pause;
mod publish;
mod redrive;
mod release;
mod restore;
mod send;
mod shared;
mod shelf;
mod swap;
mod timers;
mod trouble;
mod turns;
mod watermark;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use hashbrown::{HashMap, HashSet};
use rdkafka::consumer::Consumer;

pub use awaiting::Awaited;
pub use command::{Agreement, Command, Swap, Swapped};
pub use ends::Ends;
pub use instances::Instances;
pub use mismatch::Settle;
pub use pause::Pause;
pub use shared::Shared;
pub use shelf::Shelf;
pub use watermark::{SetBack, SetBackTo};

use crate::clock::Now;
use crate::clock::{Clock, wall_ms};
use crate::commit::WorkerError;
use crate::commit::{Committed, Committer, Parties};
use crate::kafka::{Fetched, Member, Sender};
use crate::plan::Plan;
use crate::record::{Output, Record, TopicPartition};
use crate::state::Stores;
use crate::task::{Context, Progress, Task, Versions};
use mismatch::Mismatched;
use restore::{Restorer, Restoring, Unsure};
use trouble::Other;
use turns::Turns;

/// The longest wait for a record: commands and retries are looked at that often.
const POLL: Duration = Duration::from_millis(50);

/// How often a worker that is busy with records looks after anything else.
const LOOK: Duration = Duration::from_millis(1);

pub struct Worker {
    index: usize,
    /// Ahead of the member, which closes once its queues are gone.
    turns: Turns,
    member: Member,
    sender: Sender,
    commands: Receiver<Command>,
    plans: Arc<[Arc<Plan>]>,
    versions: Versions,
    context: Context,
    shared: Arc<Shared>,
    committer: Committer,
    stores: Arc<Stores>,
    clock: Clock,
    /// Partitions whose state is being opened or rebuilt.
    restoring: HashMap<TopicPartition, Restoring>,
    /// Those of them for which the group is to be asked first.
    unsure: Vec<Unsure>,
    /// Partitions that wait for a version.
    awaiting: HashMap<TopicPartition, Restoring>,
    /// Partitions whose state does not belong to the group's offset.
    mismatched: HashMap<TopicPartition, Mismatched>,
    /// Partitions that someone has paused, this worker's or not.
    paused: HashSet<TopicPartition>,
    /// A commit is under way that no further record may join: all is paused.
    halted: bool,
    /// Some queue had something at the last look.
    busy: bool,
    /// When commands, retries, timers and the like are looked for again.
    look_at: Instant,
    /// When dead letters to redrive are looked for again.
    redrive_at: Instant,
    /// When parked records are looked for again.
    release_at: Instant,
    /// The partition whose parked records had their turn last.
    released: Option<TopicPartition>,
    /// When timers of partitions without records are looked for again.
    timers_at: Instant,
    tasks: HashMap<TopicPartition, Task, foldhash::fast::RandomState>,
    /// The slot of the task that was taken in last.
    last_slot: u16,
    /// The revision of what is known of topics.
    facts: u64,
    /// When the brokers are asked again what topics take that something is held for.
    facts_at: Instant,
    /// Outputs of the record in work.
    outputs: Vec<Output>,
    /// Records sent since the last commit, by topic.
    produced: Vec<(Arc<str>, u64)>,
    /// Last, so that tasks have closed their stores when its thread is waited for.
    restorer: Restorer,
}

/// What a worker is made of.
pub struct Parts {
    pub index: usize,
    pub member: Member,
    pub sender: Sender,
    pub commands: Receiver<Command>,
    pub plans: Arc<[Arc<Plan>]>,
    pub versions: Versions,
    pub context: Context,
    pub shared: Arc<Shared>,
    pub stores: Arc<Stores>,
    pub committer: Committer,
}

#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    Stop,
}

impl Worker {
    /// # Errors
    /// When there is no thread left for its restorer.
    pub fn new(parts: Parts) -> std::io::Result<Worker> {
        let Parts { index, member, sender, commands, plans, versions, context, shared, stores, committer } = parts;
        let restorer = Restorer::start(index, stores.clone(), shared.standby.clone(), plans.clone())?;
        Ok(Worker {
            index,
            turns: Turns::new(&member),
            member,
            sender,
            commands,
            plans,
            versions,
            context,
            shared,
            committer,
            stores,
            clock: Clock::start(),
            restoring: HashMap::new(),
            unsure: Vec::new(),
            awaiting: HashMap::new(),
            mismatched: HashMap::new(),
            paused: HashSet::new(),
            halted: false,
            busy: false,
            look_at: Instant::now(),
            redrive_at: Instant::now(),
            release_at: Instant::now(),
            released: None,
            timers_at: Instant::now(),
            tasks: HashMap::default(),
            last_slot: 0,
            facts: 0,
            facts_at: Instant::now(),
            outputs: Vec::new(),
            produced: Vec::new(),
            restorer,
        })
    }

    /// Joins the group and processes its share of records until told to stop.
    ///
    /// # Errors
    /// When it cannot go on. Offsets are committed up to what was delivered, no further.
    pub fn run(&mut self) -> Result<(), WorkerError> {
        let plans = self.plans.clone();
        let mut sources: Vec<&str> = plans.iter().map(|plan| &*plan.source).collect();
        sources.sort_unstable();
        sources.dedup();
        while !self.committer.open(&mut self.sender)? {
            if self.apply_commands()? == Flow::Stop {
                return Ok(());
            }
        }
        self.member.subscribe(&sources).map_err(WorkerError::Client)?;
        while self.run_once()? == Flow::Continue {}
        self.close()
    }

    /// The record's path, from poll to commit.
    fn run_once(&mut self) -> Result<Flow, WorkerError> {
        if !self.busy {
            self.turns.sleep(POLL.min(self.committer.remaining(self.clock.instant)));
        }
        let mut now = self.clock.tick();
        let mut other = None;
        let polled = self.turns.poll(now.instant);
        self.busy = polled.is_some();
        if let Some((id, polled)) = &polled {
            match polled.fetched() {
                Fetched::Record(arrived) => {
                    if let Some(task) = self.tasks.get_mut(*id) {
                        let headers = arrived.headers_up_to(task.most_headers());
                        let record = Record {
                            topic: &id.topic,
                            partition: id.partition,
                            offset: arrived.offset(),
                            timestamp: arrived.timestamp(),
                            key: arrived.key(),
                            value: arrived.value(),
                            headers: headers.as_deref().unwrap_or_default(),
                        };
                        if self.halted || task.waits() || self.shared.passes_bound(id, record.offset) {
                            // Fetched before its partition was paused: it comes again.
                            other = Some((task.id.clone(), Other::Waits));
                        } else if task.did_last(record.offset) {
                            tracing::debug!(partition = %task.id, offset = record.offset, "handed out twice by the client library");
                        } else if record.offset < task.position().next {
                            other = Some((task.id.clone(), Other::WentBack(record.offset)));
                        } else if !self.committer.begin(&self.sender) {
                            task.fetch_again();
                            other = Some((task.id.clone(), Other::Waits));
                        } else {
                            task.leave_out_headers(headers.as_ref().err().copied());
                            if task.process(&self.context, &record, &mut now, &mut self.outputs) == Progress::Waits {
                                other = Some((task.id.clone(), Other::Waits));
                            }
                        }
                    }
                }
                Fetched::End(offset) => other = Some(((*id).clone(), Other::End(offset))),
                Fetched::Failed { code, offset } => other = Some(((*id).clone(), Other::Failed(code, offset))),
            }
        }
        drop(polled);
        self.send_outputs()?;
        if let Some((id, other)) = other {
            self.act_on(&id, other, now)?;
        }
        let flow = match self.busy && now.instant < self.look_at {
            true => Flow::Continue,
            false => self.look_after(now)?,
        };
        if flow == Flow::Continue && self.committer.due(now.instant) {
            self.commit()?;
        }
        Ok(flow)
    }

    /// What is to happen between two records, other than records: now and then,
    /// as a busy worker passes here with each.
    fn look_after(&mut self, now: Now) -> Result<Flow, WorkerError> {
        self.look_at = now.instant + LOOK;
        self.shared.health.beat(self.index, now.wall_ms);
        self.serve_member()?;
        self.take_restored()?;
        if !self.halted && self.tasks.values().any(Task::keeps_much) {
            self.commit()?;
        }
        if !self.halted {
            self.migrate_due(now)?;
            self.retry_due(now)?;
            self.read_again(now)?;
            self.fire_due(now)?;
            self.release(now)?;
            self.redrive(now)?;
        }
        self.apply_commands()
    }

    /// Tries waiting records and timers again; their partitions go on where that helps.
    fn retry_due(&mut self, mut now: Now) -> Result<(), WorkerError> {
        let polled_at = now.instant;
        let due = |task: &&mut Task| task.due().is_some_and(|due| due <= polled_at);
        let mut done = Vec::new();
        for task in self.tasks.values_mut().filter(due) {
            self.committer.begin(&self.sender);
            if task.retry(&self.context, &mut now, &mut self.outputs) == Progress::Done {
                done.push((task.id.clone(), task.position().next));
            }
        }
        self.send_outputs()?;
        for (id, position) in done {
            self.resume(&id, position)?;
        }
        Ok(())
    }

    /// Commits what tasks have settled, then tells everyone who looks.
    fn commit(&mut self) -> Result<Committed, WorkerError> {
        let started = Instant::now();
        self.notice_other_topics();
        let beat = || self.shared.health.beat(self.index, wall_ms());
        let committed = self.committer.commit(Parties {
            member: &self.member,
            sender: &mut self.sender,
            tasks: self.tasks.values_mut().collect(),
            now_ms: self.clock.read().wall_ms,
            waiting: &beat,
        })?;
        self.look_into_aborts();
        if committed == Committed::Done {
            self.shared.metrics.commit(started.elapsed());
        }
        self.finish_redrives()?;
        // Those that break now are asked for with the next commit: a host that was
        // frozen hears by then what it has lost.
        self.restore_unsure()?;
        self.reopen_broken()?;
        self.fetch_again(committed)?;
        self.publish();
        Ok(committed)
    }

    /// Holds all records back while a commit is under way that cannot be
    /// completed; afterwards, and for tasks that were rolled back, fetches
    /// again from where they are.
    fn fetch_again(&mut self, committed: Committed) -> Result<(), WorkerError> {
        if committed == Committed::Pending {
            if !self.halted {
                self.halted = true;
                self.shared.health.waits(self.index, Some(self.clock.read().wall_ms));
                self.tasks.keys().try_for_each(|id| self.pause(id))?;
            }
            return Ok(());
        }
        let halted = std::mem::take(&mut self.halted);
        self.shared.health.waits(self.index, None);
        let again = self.tasks.values_mut().filter_map(|task| {
            let rewound = task.take_rewound();
            if halted {
                task.held_back();
            }
            ((rewound || halted) && !task.waits()).then(|| (task.id.clone(), task.position().next))
        });
        let again: Vec<_> = again.collect();
        again.iter().try_for_each(|(id, position)| self.resume(id, *position))
    }
}
