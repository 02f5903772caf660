//! Whether the workers live, and whether they can do their work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest time between two beats of a worker that is taken to live. A worker
/// beats between records, so a record whose calls take longer looks like a
/// worker that hangs.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a commit may wait for brokers or a state store before its host is
/// no longer ready.
const STALL: Duration = Duration::from_secs(2);

/// How often in turn every worker is to say that no rebalance is under way:
/// what one said may be older than the rebalance that another is in.
const CALM: u64 = 2;

/// What each worker last said of itself.
#[derive(Debug)]
pub struct Health {
    workers: Vec<Worker>,
    /// Of each worker that holds partitions as `state-mismatch`: how many, and
    /// the first of them. Touched where one is held or let go.
    mismatched: Mutex<BTreeMap<usize, (usize, String)>>,
    /// Why brokers do not let this host in, as far as they say so.
    obstacle: Mutex<Option<&'static str>>,
}

/// On a cache line of its own: each worker writes here at every record.
#[derive(Debug)]
#[repr(align(64))]
struct Worker {
    /// Milliseconds since the Unix epoch.
    beat_ms: AtomicU64,
    joined: AtomicBool,
    brokers: AtomicBool,
    /// Since when a commit waits, in milliseconds since the Unix epoch; 0: none does.
    waits_ms: AtomicU64,
    /// Its partitions whose work is taken back again and again.
    stuck: AtomicU64,
    /// How often it was settled since someone was not.
    settled: AtomicU64,
}

impl Health {
    /// `workers` that count as having beaten now, have not joined the group
    /// yet, and whose brokers answer until [`Health::brokers`] says otherwise.
    pub fn new(workers: usize) -> Health {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = since_epoch.as_millis() as u64;
        let worker = |_| Worker {
            beat_ms: AtomicU64::new(now_ms),
            joined: AtomicBool::new(false),
            brokers: AtomicBool::new(true),
            waits_ms: AtomicU64::new(0),
            stuck: AtomicU64::new(0),
            settled: AtomicU64::new(0),
        };
        Health { workers: (0..workers).map(worker).collect(), mismatched: Mutex::default(), obstacle: Mutex::default() }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// `worker` goes round its loop, at `now_ms` milliseconds since the Unix epoch.
    pub fn beat(&self, worker: usize, now_ms: u64) {
        if let Some(worker) = self.workers.get(worker) {
            worker.beat_ms.store(now_ms, Relaxed);
        }
    }

    /// `worker` is a member of the group: it has had its first assignment, be
    /// it an empty one.
    pub fn joined(&self, worker: usize) {
        if let Some(worker) = self.workers.get(worker) {
            worker.joined.store(true, Relaxed);
        }
    }

    /// Whether every worker has been a member of the group.
    pub fn joined_all(&self) -> bool {
        self.workers.iter().all(|worker| worker.joined.load(Relaxed))
    }

    /// Whether any broker answers `worker`.
    pub fn brokers(&self, worker: usize, answering: bool) {
        if let Some(worker) = self.workers.get(worker) {
            worker.brokers.store(answering, Relaxed);
        }
    }

    /// Whether a broker answers every worker.
    pub fn reaches_brokers(&self) -> bool {
        self.cut_off().is_none()
    }

    /// Why brokers do not let this host in; told while they answer no worker.
    pub fn obstacle(&self, why: Option<&'static str>) {
        *self.obstacle.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn cut_off(&self) -> Option<usize> {
        self.workers.iter().position(|worker| !worker.brokers.load(Relaxed))
    }

    /// A commit of `worker` has waited for brokers or a state store since
    /// `since_ms`, in milliseconds since the Unix epoch, or does no longer.
    pub fn waits(&self, worker: usize, since_ms: Option<u64>) {
        if let Some(worker) = self.workers.get(worker) {
            worker.waits_ms.store(since_ms.unwrap_or(0), Relaxed);
        }
    }

    /// How many partitions `worker` holds as `state-mismatch`, and the first of
    /// them; none where it holds none.
    pub fn mismatched(&self, worker: usize, held: Option<(usize, String)>) {
        let mut mismatched = self.mismatched.lock().unwrap_or_else(PoisonError::into_inner);
        match held {
            Some(held) => mismatched.insert(worker, held),
            None => mismatched.remove(&worker),
        };
    }

    /// So many partitions of `worker` make no progress: their work was taken back
    /// several times in turn.
    pub fn stuck(&self, worker: usize, partitions: u64) {
        if let Some(worker) = self.workers.get(worker) {
            worker.stuck.store(partitions, Relaxed);
        }
    }

    /// Whether `worker` has its share of partitions and no rebalance is under way.
    pub fn settle(&self, worker: usize, settled: bool) {
        if let Some(worker) = self.workers.get(worker) {
            if settled {
                worker.settled.fetch_add(1, Relaxed);
            } else {
                self.unsettle();
            }
        }
    }

    /// Forgets what workers said of rebalances: they are to say it anew.
    pub fn unsettle(&self) {
        self.workers.iter().for_each(|worker| worker.settled.store(0, Relaxed));
    }

    /// Whether no worker takes part in a rebalance, as of their last commits.
    pub fn settled(&self) -> bool {
        self.workers.iter().all(|worker| worker.settled.load(Relaxed) >= CALM)
    }

    /// Whether every worker has beaten within the 60 s before `now_ms`.
    pub fn alive(&self, now_ms: u64) -> bool {
        self.silent(now_ms).is_none()
    }

    /// Whether every worker lives, is a member of the group, reaches its brokers
    /// and can commit.
    ///
    /// # Errors
    /// One sentence that says what is missing and what to do.
    pub fn ready(&self, now_ms: u64) -> Result<(), String> {
        if let Some((worker, silence)) = self.silent(now_ms) {
            return Err(format!(
                "worker {worker} has not answered for {} s: restart this host if it does not recover",
                silence.as_secs()
            ));
        }
        if let Some(worker) = self.cut_off() {
            if let Some(why) = *self.obstacle.lock().unwrap_or_else(PoisonError::into_inner) {
                return Err(format!("{why}. This host's log says more"));
            }
            return Err(format!(
                "no broker answers worker {worker}: check that Kafka runs and that `bootstrap.servers` in [kafka] names it"
            ));
        }
        if let Some(worker) = self.workers.iter().position(|worker| !worker.joined.load(Relaxed)) {
            return Err(format!(
                "worker {worker} is not a member of its consumer group yet: wait, or see this host's log if it stays so"
            ));
        }
        let stalled = |worker: &Worker| {
            let since = worker.waits_ms.load(Relaxed);
            Some(Duration::from_millis(now_ms.saturating_sub(since))).filter(|waits| since > 0 && *waits > STALL)
        };
        let stalled = self.workers.iter().enumerate().find_map(|(index, worker)| Some((index, stalled(worker)?)));
        if let Some((worker, waits)) = stalled {
            return Err(format!(
                "worker {worker} has been unable to commit for {} s: this host's log says what does not answer, \
                 brokers or a state store",
                waits.as_secs()
            ));
        }
        Ok(())
    }

    /// Whether every partition's work is kept.
    ///
    /// # Errors
    /// As [`Health::ready`].
    pub fn progresses(&self) -> Result<(), String> {
        let stuck = |worker: &Worker| Some(worker.stuck.load(Relaxed)).filter(|partitions| *partitions > 0);
        if let Some((worker, partitions)) =
            self.workers.iter().enumerate().find_map(|(index, worker)| Some((index, stuck(worker)?)))
        {
            return Err(format!(
                "{partitions} partitions of worker {worker} make no progress: their work was taken back several times in \
                 turn; `gregor status` names them, this host's log says why"
            ));
        }
        Ok(())
    }

    /// What the workers wait for that only a person can give, if anything: they
    /// are ready all the same, as no restart would help.
    pub fn waiting(&self) -> Option<String> {
        let mismatched = self.mismatched.lock().unwrap_or_else(PoisonError::into_inner);
        let count: usize = mismatched.values().map(|(count, _)| count).sum();
        let (_, first) = mismatched.values().next()?;
        Some(format!(
            "waiting for what only a person can give: {count} partitions are held as state-mismatch, the first is \
             {first}: see `gregor status` or this host's log, then run `gregor state keep`, `reset` or `restore`"
        ))
    }

    /// The first worker that is taken for dead, and how long it has been silent.
    fn silent(&self, now_ms: u64) -> Option<(usize, Duration)> {
        self.workers.iter().enumerate().find_map(|(index, worker)| {
            let silence = Duration::from_millis(now_ms.saturating_sub(worker.beat_ms.load(Relaxed)));
            (silence > SILENCE).then_some((index, silence))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn beating(workers: usize) -> Health {
        let health = Health::new(workers);
        (0..workers).for_each(|worker| health.beat(worker, NOW));
        health
    }

    #[test]
    fn a_worker_lives_for_60_seconds_after_its_last_beat() {
        let health = beating(2);
        assert!(health.alive(NOW + 60_000));
        health.beat(0, NOW + 30_000);
        assert!(!health.alive(NOW + 60_001), "worker 1 is silent");
        health.beat(1, NOW + 60_001);
        assert!(health.alive(NOW + 60_001));
    }

    #[test]
    fn a_worker_that_never_beats_is_found_dead_and_a_new_one_is_not() {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let health = Health::new(1);
        assert!(health.alive(started));
        assert!(!health.alive(started + 120_000));
    }

    #[test]
    fn a_clock_set_back_kills_nobody() {
        assert!(beating(1).alive(NOW - 3_600_000));
    }

    #[test]
    fn a_host_is_ready_once_every_worker_has_joined() {
        let health = beating(2);
        health.joined(0);
        assert!(health.ready(NOW).unwrap_err().contains("worker 1 is not a member"));
        health.joined(1);
        assert_eq!(health.ready(NOW), Ok(()));
    }

    #[test]
    fn brokers_that_do_not_answer_take_readiness_but_not_life() {
        let health = beating(1);
        health.joined(0);
        health.brokers(0, false);
        assert!(health.ready(NOW).unwrap_err().contains("no broker answers worker 0"));
        assert!(health.alive(NOW));
        health.obstacle(Some("the brokers refuse the login"));
        assert!(health.ready(NOW).unwrap_err().starts_with("the brokers refuse the login. This host's log"));
        health.brokers(0, true);
        assert_eq!(health.ready(NOW), Ok(()));
    }

    #[test]
    fn a_group_is_settled_when_every_worker_has_said_so_twice() {
        let health = beating(2);
        let say = |worker, settled| {
            health.settle(worker, settled);
            health.settled()
        };
        assert_eq!([say(0, true), say(0, true), say(1, true), say(1, true)], [false, false, false, true]);
        assert_eq!([say(0, false), say(0, true), say(0, true), say(1, true)], [false; 4]);
        assert!(say(1, true));
        health.unsettle();
        assert!(!health.settled());
    }

    #[test]
    fn a_held_state_mismatch_is_told_by_a_ready_host() {
        let health = beating(2);
        (0..2).for_each(|worker| health.joined(worker));
        assert_eq!(health.waiting(), None);
        health.mismatched(1, Some((2, "t-0".to_owned())));
        let reason = health.waiting().unwrap();
        assert!(reason.contains("only a person can give: 2 partitions") && reason.contains("t-0"), "{reason}");
        assert_eq!(health.ready(NOW), Ok(()));
        health.mismatched(1, None);
        assert_eq!(health.waiting(), None);
    }

    #[test]
    fn a_silent_worker_takes_readiness() {
        let health = beating(1);
        health.joined(0);
        assert!(health.ready(NOW + 61_000).unwrap_err().contains("worker 0 has not answered for 61 s"));
    }

    #[test]
    fn partitions_without_progress_take_readiness_but_not_life() {
        let health = beating(1);
        health.joined(0);
        health.stuck(0, 2);
        assert!(health.progresses().unwrap_err().contains("2 partitions of worker 0 make no progress"));
        assert!(health.alive(NOW));
        health.stuck(0, 0);
        assert_eq!(health.progresses(), Ok(()));
    }

    #[test]
    fn a_worker_that_does_not_exist_changes_nothing() {
        let health = beating(1);
        health.beat(7, 0);
        health.joined(7);
        health.brokers(7, false);
        assert!(health.alive(NOW));
    }
}
