//! Reads what the host produced, as any consumer would, and keeps the books:
//! every record of the source must come out once, in order for its patient.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use super::cluster::{Cluster, PARTITIONS, SINK};

/// What the books say in the end.
#[derive(Debug)]
pub struct Verdict {
    /// Records of the source that came out at least once.
    pub enriched: usize,
    pub lost: usize,
    pub repeated: usize,
    pub patients: usize,
    /// Patients that more than one worker saw.
    pub wanderers: usize,
    /// Records whose count is not one more than their patient's before.
    pub disordered: usize,
    pub versions: usize,
    /// Partitions in which an older version processed a record after a newer one.
    pub went_back: usize,
}

impl Verdict {
    pub fn is_clean(&self, produced: usize) -> bool {
        let faults = self.lost + self.repeated + self.wanderers + self.disordered + self.went_back;
        faults == 0 && self.enriched == produced
    }
}

#[derive(Default)]
struct Books {
    /// How often each source partition and offset came out, and by which version.
    seen: HashMap<(i32, i64), (usize, String)>,
    /// Workers that saw a patient, and the patient's last count.
    patients: HashMap<String, (HashSet<String>, u64)>,
    disordered: usize,
    lines: Vec<String>,
}

/// Follows the sink in a thread of its own until dropped.
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ledger {
    pub fn follow(cluster: &Cluster) -> anyhow::Result<Ledger> {
        let consumer = cluster.consumer()?;
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(SINK, partition, Offset::Beginning)?;
        }
        consumer.assign(&all)?;
        let (books, stop) = (Arc::<Mutex<Books>>::default(), Arc::new(AtomicBool::new(false)));
        let (writing, stopped) = (books.clone(), stop.clone());
        let follow = move || read(&consumer, &writing, &stopped);
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(follow)?;
        Ok(Ledger { books, stop, thread: Some(thread) })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records of the source that have come out so far.
    pub fn distinct(&self) -> usize {
        self.books().seen.len()
    }

    /// The latest enriched records, `key  value`.
    pub fn latest(&self, count: usize) -> Vec<String> {
        let books = self.books();
        books.lines[books.lines.len().saturating_sub(count)..].to_vec()
    }

    /// Compares with what the source holds: `ends` is each partition's number of records.
    pub fn settle(&self, ends: &[i64]) -> Verdict {
        let books = self.books();
        let held = |partition: i32| ends.get(partition as usize).copied().unwrap_or(0);
        let all = (0..PARTITIONS).flat_map(|partition| (0..held(partition)).map(move |offset| (partition, offset)));
        let versions: HashSet<&String> = books.seen.values().map(|(_, version)| version).collect();
        let went_back = |partition: &i32| {
            // In order of offsets a version's records are one run.
            let in_order = (0..held(*partition)).filter_map(|offset| books.seen.get(&(*partition, offset)));
            let mut runs: Vec<&String> = in_order.map(|(_, version)| version).collect();
            runs.dedup();
            runs.len() > runs.iter().collect::<HashSet<_>>().len()
        };
        Verdict {
            enriched: books.seen.len(),
            lost: all.filter(|record| !books.seen.contains_key(record)).count(),
            repeated: books.seen.values().map(|(times, _)| times - 1).sum(),
            patients: books.patients.len(),
            wanderers: books.patients.values().filter(|(workers, _)| workers.len() > 1).count(),
            disordered: books.disordered,
            versions: versions.len(),
            went_back: (0..PARTITIONS).filter(went_back).count(),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only reads; how it ended changes nothing here.
            let _ = thread.join();
        }
    }
}

fn read(consumer: &BaseConsumer, books: &Mutex<Books>, stopped: &AtomicBool) {
    while !stopped.load(Ordering::Relaxed) {
        let Some(Ok(polled)) = consumer.poll(Duration::from_millis(50)) else { continue };
        let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = books.enter(&polled) {
            // Not in the books, so it counts as lost.
            tracing::error!(%error, "an enriched record cannot be read");
        }
    }
}

#[derive(Deserialize)]
struct Enriched {
    count: u64,
}

impl Books {
    fn enter(&mut self, polled: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let header = |name: &str| -> anyhow::Result<String> {
            let headers = polled.headers().context("no lineage headers")?;
            let header = headers.iter().find(|header| header.key == name).with_context(|| format!("no {name}"))?;
            Ok(String::from_utf8(header.value.unwrap_or_default().to_vec())?)
        };
        let source = (header("gregor-partition")?.parse()?, header("gregor-offset")?.parse()?);
        let key = String::from_utf8(polled.key().context("no key")?.to_vec())?;
        let value = std::str::from_utf8(polled.payload().context("no value")?)?;
        let enriched: Enriched = serde_json::from_str(value)?;
        let times = self.seen.entry(source).or_insert_with(|| (0, String::new()));
        *times = (times.0 + 1, header("gregor-versions")?);
        let (workers, count) = self.patients.entry(key.clone()).or_default();
        workers.insert(header("gregor-worker")?);
        if enriched.count != *count + 1 {
            self.disordered += 1;
        }
        *count = enriched.count;
        self.lines.push(format!("{key}  {value}"));
        Ok(())
    }
}
