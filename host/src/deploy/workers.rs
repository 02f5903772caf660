//! Versions handed to every worker, which swap between two records of their own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::observe::Who;
use crate::plugin::Version;
use crate::state::Decision;
use crate::task::InForce;
use crate::worker::{Agreement, Command, Pause, SetBack, SetBackTo, Settle, Swap, Swapped};

/// How long a worker may take to pause.
const PATIENCE: Duration = Duration::from_secs(10);

/// The command channel of every worker. Cheap to clone.
#[derive(Clone)]
pub struct Workers {
    channels: Vec<Sender<Command>>,
    /// One version is handed over at a time: workers that wait for each other
    /// about two would wait for ever.
    turn: Arc<Mutex<()>>,
}

impl Workers {
    pub fn new(channels: Vec<Sender<Command>>) -> Workers {
        Workers { channels, turn: Arc::default() }
    }

    /// Every worker swaps by itself. Those that have not answered after
    /// `patience` will before their next record.
    pub fn hand_over(&self, to: &InForce, patience: Duration) -> Vec<Swapped> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, answers) = crossbeam_channel::unbounded();
        for worker in &self.channels {
            // A worker that has ended takes no more commands; the host is ending too.
            drop(worker.send(Command::Swap(Swap { to: to.clone(), agreement: None, answer: answer.clone() })));
        }
        drop(answer);
        self.gather(&to.version, &answers, patience)
    }

    /// Every worker swaps and migrates its partitions' state, or none does.
    ///
    /// # Errors
    /// Why all are back on the version and the state of before.
    pub fn hand_over_with_state(&self, to: &InForce, patience: Duration) -> Result<Vec<Swapped>, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, answers) = crossbeam_channel::unbounded();
        let (ready, readies) = crossbeam_channel::unbounded();
        let mut decisions = Vec::with_capacity(self.channels.len());
        for worker in &self.channels {
            let (decide, go) = crossbeam_channel::bounded(1);
            let agreement = Some(Agreement { ready: ready.clone(), go });
            drop(worker.send(Command::Swap(Swap { to: to.clone(), agreement, answer: answer.clone() })));
            decisions.push(decide);
        }
        drop((answer, ready));
        let agreed = self.agreed(&readies, patience);
        for decide in decisions {
            // A worker that has refused does not listen.
            let _ = decide.send(agreed.is_ok());
        }
        let swapped = self.gather(&to.version, &answers, patience);
        agreed.map(|()| swapped)
    }

    /// Pauses partitions of `topic` on every worker, or resumes them; waits for
    /// a while until it is done.
    pub fn pause(&self, topic: &Arc<str>, partitions: &[i32], paused: bool) {
        let (answer, answers) = crossbeam_channel::unbounded();
        for worker in &self.channels {
            let (topic, partitions) = (topic.clone(), partitions.to_vec());
            drop(worker.send(Command::Pause(Pause { topic, partitions, paused, answer: answer.clone() })));
        }
        drop(answer);
        let deadline = Instant::now() + PATIENCE;
        while answers.recv_deadline(deadline).is_ok() {}
    }

    /// Sets event time of a pipeline back on every worker; waits for a while for what
    /// they say of their partitions.
    pub fn set_watermark_back(
        &self,
        pipeline: &str,
        topic: &Arc<str>,
        partition: Option<i32>,
        to: u64,
    ) -> Vec<SetBackTo> {
        let (answer, answers) = crossbeam_channel::unbounded();
        for worker in &self.channels {
            let (pipeline, topic, answer) = (pipeline.into(), topic.clone(), answer.clone());
            drop(worker.send(Command::SetWatermarkBack(SetBack { pipeline, topic, partition, to, answer })));
        }
        drop(answer);
        let deadline = Instant::now() + PATIENCE;
        let mut set = Vec::new();
        while let Ok(mut of_worker) = answers.recv_deadline(deadline) {
            set.append(&mut of_worker);
        }
        set.sort_unstable_by_key(|set| set.partition);
        set
    }

    /// Has every worker open those of `partitions` that it holds as
    /// `state-mismatch`, as was decided; those that are held, in order.
    pub fn settle(&self, topic: &Arc<str>, partitions: &[i32], decision: Decision, who: Who) -> Vec<i32> {
        let (answer, answers) = crossbeam_channel::unbounded();
        for worker in &self.channels {
            let (topic, partitions) = (topic.clone(), partitions.to_vec());
            let settle = Settle { topic, partitions, decision, who, answer: answer.clone() };
            drop(worker.send(Command::Settle(settle)));
        }
        drop(answer);
        let deadline = Instant::now() + PATIENCE;
        let mut settled = Vec::new();
        while let Ok(partition) = answers.recv_deadline(deadline) {
            settled.push(partition);
        }
        settled.sort_unstable();
        settled
    }

    /// Whether every worker is ready, within `patience`.
    fn agreed(&self, readies: &Receiver<Option<String>>, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        for _ in &self.channels {
            match readies.recv_deadline(deadline) {
                Ok(None) => {}
                Ok(Some(refused)) => return Err(refused),
                Err(_) => return Err(format!("not every worker was ready within {patience:?}")),
            }
        }
        Ok(())
    }

    fn gather(&self, version: &Version, answers: &Receiver<Swapped>, patience: Duration) -> Vec<Swapped> {
        let deadline = Instant::now() + patience;
        let mut swapped = Vec::with_capacity(self.channels.len());
        while let Ok(answer) = answers.recv_deadline(deadline) {
            swapped.push(answer);
        }
        if swapped.len() < self.channels.len() {
            let late = self.channels.len() - swapped.len();
            tracing::warn!(
                plugin = version.plugin(),
                late,
                "workers have not swapped yet; they will before their next record"
            );
        }
        swapped
    }
}
