//! Standby copies: state of partitions that other hosts own, followed from
//! their changelogs, so that a take-over reads only what is new.
//!
//! One thread of the host follows them all. A partition that a worker of this
//! host is assigned is claimed first: its copy is handed over, and none is
//! begun while the claim stands.

mod placement;
mod renewal;
mod tail;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use dashmap::DashMap;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use self::placement::Group;
use self::tail::{Followed, Tail};
use super::changelog::reading;
use super::local::{self, Found};
use super::open::Stores;
use super::{Checkpoint, MemoryStore, OpenError, StateStore};
use crate::kafka::{self, Quiet};
use crate::plan::StoreId;
use crate::plan::{Plan, StagePlan};
use crate::position::Position;
use crate::record::TopicPartition;
use crate::repeated::Repeated;

/// One question to the brokers: a take-over waits behind it.
const ASK: Duration = Duration::from_secs(1);
/// How often the group's offsets are asked for: how far copies stay behind.
const POSITIONS: Duration = Duration::from_millis(500);
/// How often the group is asked who owns what.
const PLACEMENT: Duration = Duration::from_secs(3);
/// How often a copy's place is made durable.
const NOTE: Duration = Duration::from_secs(5);
/// How often the changelogs are asked whether they are still the same topics.
const RENEWAL: Duration = Duration::from_secs(10);
/// The longest wait for changes: how soon a copy is handed over.
const TURN: Duration = Duration::from_millis(20);

/// By copy and error.
static NOT_BEGUN: Repeated<(String, String)> = Repeated::new();
static BROKEN_OFF: Repeated<(String, String)> = Repeated::new();

/// Changelog records that each copy is behind, at most.
pub type Copies = Arc<DashMap<StoreId, u64>>;

/// A copy that is handed over, and where it stands in its changelog.
pub type Copy = (Box<dyn StateStore>, Checkpoint);

/// What the workers hold of the host's copies.
pub struct Standby {
    claims: Arc<Claims>,
    asks: Option<Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

struct Ask {
    id: StoreId,
    answer: Sender<Option<Copy>>,
}

/// Partitions that workers of this host own, each with the workers that say so.
#[derive(Default)]
struct Claims(Mutex<HashSet<(TopicPartition, usize)>>);

impl Claims {
    fn locked(&self) -> MutexGuard<'_, HashSet<(TopicPartition, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, id: &TopicPartition) -> bool {
        self.locked().iter().any(|(claimed, _)| claimed == id)
    }
}

/// What the thread works with.
struct Keeper {
    app: String,
    host: String,
    plans: Arc<[Arc<Plan>]>,
    stores: Arc<Stores>,
    claims: Arc<Claims>,
    copies: Copies,
    /// Lets go of what a worker left for another of this host.
    forget: Box<dyn Fn(&TopicPartition) + Send>,
    asks: Receiver<Ask>,
}

impl Standby {
    /// Follows what stages ask for with `state.standby`. Before a partition's
    /// copy is begun, `forget` lets go of what workers of this host have left.
    ///
    /// # Errors
    /// When there is no thread left.
    pub fn start(
        app: &str,
        host: &str,
        plans: Arc<[Arc<Plan>]>,
        stores: Arc<Stores>,
        copies: Copies,
        forget: Box<dyn Fn(&TopicPartition) + Send>,
    ) -> std::io::Result<Standby> {
        let claims = Arc::<Claims>::default();
        if !plans.iter().flat_map(|plan| &plan.stages).any(|stage| stage.state.standby > 0) {
            return Ok(Standby { claims, asks: None, thread: None });
        }
        let (ask, asks) = crossbeam_channel::unbounded();
        let (app, host) = (app.to_owned(), host.to_owned());
        let keeper = Keeper { app, host, plans, stores, claims: claims.clone(), copies, forget, asks };
        let thread = std::thread::Builder::new().name("standby".into()).spawn(move || keeper.run())?;
        Ok(Standby { claims, asks: Some(ask), thread: Some(thread) })
    }

    /// `worker` of this host is assigned `id`.
    pub fn claim(&self, id: &TopicPartition, worker: usize) {
        if self.asks.is_some() {
            self.claims.locked().insert((id.clone(), worker));
        }
    }

    /// `worker` has let go of `id`.
    pub fn release(&self, id: &TopicPartition, worker: usize) {
        if self.asks.is_some() {
            self.claims.locked().remove(&(id.clone(), worker));
        }
    }

    /// The copy of a claimed partition's store, if there is one in memory. One
    /// on disk is closed: it is opened as any local store.
    pub fn take(&self, id: &StoreId) -> Option<Copy> {
        let (answer, copy) = crossbeam_channel::bounded(1);
        self.asks.as_ref()?.send(Ask { id: id.clone(), answer }).ok()?;
        copy.recv().ok().flatten()
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Keeper {
    fn run(self) {
        loop {
            match self.follow() {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "standby copies cannot be followed; trying again"),
            }
            // Whoever asks meanwhile is told that there is none.
            match self.asks.recv_timeout(PLACEMENT) {
                Ok(ask) => drop(ask.answer.send(None)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn follow(&self) -> Result<(), KafkaError> {
        let client = self.stores.client();
        let mut reading = reading(client, "read_committed");
        // It waits for changes most of the time, where a restore wants the end soon.
        reading.set("fetch.wait.max.ms", "200");
        let reading: BaseConsumer<Quiet> = reading.create_with_context(Quiet)?;
        let mut asking = client.clone();
        asking.set("group.id", &self.app).set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        let asking: BaseConsumer<Quiet> = asking.create_with_context(Quiet)?;

        let mut tails: Vec<Tail<'_>> = Vec::new();
        let mut positions = HashMap::new();
        let [mut placed, mut asked, mut noted] = [None::<Instant>; 3];
        let mut renewed = Some(Instant::now());
        let mut busy = false;
        loop {
            match self.asks.recv_timeout(if busy { Duration::ZERO } else { TURN }) {
                Ok(ask) => {
                    let copy = self.hand_over(&ask.id, &mut tails);
                    // The restorer may have ended meanwhile.
                    drop(ask.answer.send(copy));
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    tails.iter_mut().for_each(note);
                    return Ok(());
                }
            }
            // Serves the clients' own lines and errors.
            drop(reading.poll(Duration::ZERO));
            drop(asking.poll(Duration::ZERO));
            if due(&mut renewed, RENEWAL) {
                self.end_renewed(&reading, &mut tails);
            }
            if due(&mut placed, PLACEMENT) {
                match Group::ask(&asking, &self.app, ASK) {
                    Ok(Some(group)) => self.place(&group, &reading, &mut tails),
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "the group does not say who owns what"),
                }
            }
            if !tails.is_empty() && due(&mut asked, POSITIONS) {
                match committed(&asking, &tails) {
                    Ok(told) => positions = told,
                    Err(error) => tracing::debug!(%error, "the group does not tell its offsets"),
                }
            }
            let durable = due(&mut noted, NOTE);
            busy = false;
            tails.retain_mut(|tail| {
                if self.claims.has(&tail.of.source) {
                    // Kept as it is until its new owner asks.
                    return true;
                }
                match self.go_on(tail, &positions, durable) {
                    Ok(read) => {
                        busy |= read;
                        true
                    }
                    Err(error) => {
                        if let Some(suppressed) = BROKEN_OFF.line_about((tail.of.id.to_string(), error.to_string())) {
                            tracing::warn!(
                                store = %tail.of.id, %error, suppressed, "a standby copy cannot go on; it is begun again"
                            );
                        }
                        self.copies.remove(&tail.of.id);
                        false
                    }
                }
            });
        }
    }

    fn go_on(
        &self,
        tail: &mut Tail<'_>,
        positions: &HashMap<TopicPartition, Position>,
        durable: bool,
    ) -> Result<bool, super::changelog::ReplayError> {
        let read = tail.read()?;
        if let Some(position) = positions.get(&tail.of.source) {
            tail.advance(position.of_pipeline(tail.of.pipeline))?;
        }
        if durable {
            tail.note()?;
        }
        self.copies.insert(tail.of.id.clone(), tail.remaining());
        Ok(read)
    }

    /// Begins and ends copies as the group is now.
    fn place<'a>(&self, group: &Group, reading: &'a BaseConsumer<Quiet>, tails: &mut Vec<Tail<'a>>) {
        let wanted: Vec<_> = self.wanted(group).collect();
        tails.retain_mut(|tail| {
            // Owned here: a worker is about to claim it, and takes it up.
            let kept = group.owns(&self.host, &tail.of.source)
                || self.claims.has(&tail.of.source)
                || wanted.iter().any(|(of, _)| of.id == tail.of.id);
            if !kept {
                note(tail);
                self.copies.remove(&tail.of.id);
                tracing::info!(store = %tail.of.id, "standby copy ended");
            }
            kept
        });
        for (of, stage) in wanted {
            if tails.iter().any(|tail| tail.of.id == of.id) || self.claims.has(&of.source) {
                continue;
            }
            (self.forget)(&of.source);
            let id = of.id.clone();
            match self.open(reading, of, stage) {
                Ok(tail) => {
                    tracing::info!(store = %id, remaining = tail.remaining(), "standby copy begun");
                    tails.push(tail);
                }
                Err(error) => {
                    if let Some(suppressed) = NOT_BEGUN.line_about((id.to_string(), error.to_string())) {
                        tracing::warn!(store = %id, %error, suppressed, "a standby copy cannot be begun yet");
                    }
                }
            }
        }
    }

    fn wanted<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = (Followed, &'a StagePlan)> {
        self.plans.iter().flat_map(move |plan| {
            let pipeline = self.plans.iter().filter(|other| other.source == plan.source);
            let pipeline = pipeline.take_while(|other| other.name != plan.name).count();
            plan.stages.iter().filter(|stage| stage.state.standby > 0).flat_map(move |stage| {
                let partitions = self.stores.changelog(stage).map_or(0, |changelog| changelog.partitions);
                (0..partitions).filter_map(move |partition| {
                    let source = TopicPartition::new(plan.source.clone(), partition);
                    let changelog = self.stores.changelog(stage)?;
                    let followed = || Followed {
                        id: stage.store(partition),
                        backend: stage.state.backend,
                        source: source.clone(),
                        pipeline,
                        changelog: changelog.topic.as_str().into(),
                        delete_retention: changelog.delete_retention,
                    };
                    let copies = usize::from(stage.state.standby);
                    group.keeps(&self.host, &source, copies).then(|| (followed(), &**stage))
                })
            })
        })
    }

    fn open<'a>(
        &self,
        reading: &'a BaseConsumer<Quiet>,
        of: Followed,
        stage: &StagePlan,
    ) -> Result<Tail<'a>, OpenError> {
        let id = of.id.clone();
        // No position is this store's: it is found behind, and read on.
        let stood: Option<Copy> = match self.stores.disk_of(stage) {
            None => None,
            Some(disk) => match local::stand(disk, stage, &id, i64::MAX)? {
                (mut store, Found::Whole(checkpoint) | Found::Behind(checkpoint)) => {
                    match self.is_superseded(reading, &of, &mut store)? {
                        true => None,
                        false => Some((Box::new(store), checkpoint)),
                    }
                }
                (_, Found::Nothing) => None,
            },
        };
        Tail::open(reading, of, stood, || {
            Ok(match self.stores.disk_of(stage) {
                Some(disk) => Box::new(local::anew(disk, stage, &id)?),
                None => Box::new(MemoryStore::default()),
            })
        })
    }

    fn hand_over(&self, id: &StoreId, tails: &mut Vec<Tail<'_>>) -> Option<Copy> {
        let at = tails.iter().position(|tail| tail.of.id == *id)?;
        let mut tail = tails.swap_remove(at);
        self.copies.remove(id);
        note(&mut tail);
        let remaining = tail.remaining();
        tracing::info!(store = %id, remaining, "standby copy handed over");
        (!tail.of.backend.is_durable()).then(|| tail.into_copy())
    }
}

fn note(tail: &mut Tail<'_>) {
    if let Err(error) = tail.note() {
        tracing::warn!(store = %tail.of.id, %error, "a standby copy's place is not noted");
    }
}

/// Whether it is time, and if so from now on again.
fn due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// What the group has committed of the copies' sources.
fn committed(
    client: &BaseConsumer<Quiet>,
    tails: &[Tail<'_>],
) -> Result<HashMap<TopicPartition, Position>, KafkaError> {
    let sources: HashSet<_> = tails.iter().map(|tail| tail.of.source.clone()).collect();
    let committed = kafka::committed(client, sources, ASK)?;
    Ok(committed.into_iter().map(|(id, group)| (id, Position::committed(group.next, &group.metadata))).collect())
}
