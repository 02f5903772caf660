//! Partitions of a worker take turns, by time: none waits for the records of
//! another longer than a turn and the call in work.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::kafka::Member;
use crate::kafka::{Polled, Queue};
use crate::record::TopicPartition;

/// How long a partition's records are processed while others have some too.
const TURN: Duration = Duration::from_millis(50);

/// The queues of a worker's partitions, and whose turn it is.
pub struct Turns {
    /// The member's own queue.
    events: Option<Queue>,
    partitions: Vec<Partition>,
    /// The one whose turn it is.
    current: Cell<usize>,
    /// When that turn ends.
    until: Cell<Instant>,
    wake: Sender<()>,
    woken: Receiver<()>,
}

struct Partition {
    id: TopicPartition,
    queue: Queue,
    /// There may be more in the queue: it was not found empty since it rang.
    ready: Cell<bool>,
}

impl Turns {
    pub fn new(member: &Member) -> Turns {
        let (wake, woken) = crossbeam_channel::bounded(1);
        Turns {
            events: Queue::of_member(member.consumer(), &wake),
            partitions: Vec::new(),
            current: Cell::new(0),
            until: Cell::new(Instant::now()),
            wake,
            woken,
        }
    }

    /// Whether the member has more to say: rebalances, statistics, errors.
    pub fn has_events(&self) -> bool {
        self.events.as_ref().is_some_and(|events| events.has_some())
    }

    /// Sleeps until a queue has something, or for `patience`.
    pub fn sleep(&self, patience: Duration) {
        // It cannot hang up: the other end is here.
        let _ = self.woken.recv_timeout(patience);
    }

    /// A partition that `member` is assigned to next; its records come from here.
    pub fn add(&mut self, member: &Member, id: &TopicPartition) {
        self.remove(id);
        if let Some(queue) = Queue::of_partition(member.consumer(), id, &self.wake) {
            self.partitions.push(Partition { id: id.clone(), queue, ready: Cell::new(true) });
        }
    }

    /// Lets a partition go; what was fetched of it is the client library's to drop.
    pub fn remove(&mut self, id: &TopicPartition) {
        self.partitions.retain(|partition| partition.id != *id);
        self.current.set(0);
    }

    /// The next record, end or error, of the partition whose turn it is at `now`,
    /// or of the next one that has any.
    pub fn poll(&self, now: Instant) -> Option<(&TopicPartition, Polled<'_>)> {
        if now >= self.until.get() {
            self.pass_on(now);
        }
        for _ in 0..self.partitions.len() {
            let partition = self.partitions.get(self.current.get())?;
            if let Some(polled) = partition.poll() {
                return Some((&partition.id, polled));
            }
            self.pass_on(now);
        }
        None
    }

    /// The turn of the partition after the current one begins.
    fn pass_on(&self, now: Instant) {
        let next = self.current.get() + 1;
        self.current.set(if next < self.partitions.len() { next } else { 0 });
        self.until.set(now + TURN);
    }
}

impl Partition {
    fn poll(&self) -> Option<Polled<'_>> {
        if !self.ready.get() && !self.queue.has_rung() {
            return None;
        }
        let polled = self.queue.poll();
        self.ready.set(polled.is_some());
        polled
    }
}
