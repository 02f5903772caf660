//! last-location under faults: six partitions of patients' records that keep
//! coming, and an oracle's word on what came out and what is kept.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::host::Host;
use super::kafka::{Kafka, kafka};
use super::oracle::Oracle;
use super::patients::{PATIENTS, Patients, Produced, Stream};
use super::redis::{Redis, redis_url};
use super::settings::Settings;
use super::setup::{Pipeline, Setup, Stage};
use super::wait::{PATIENCE, until};

const PARTITIONS: i32 = 6;
/// Of so many records one becomes a dead letter.
const POISON: u64 = 1_000;

/// Where the state is kept so that it survives its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Memory,
    Disk,
    Redis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

impl Backend {
    /// A stage's `state`, as TOML.
    pub fn state(self) -> &'static str {
        match self {
            Backend::Memory => r#"{ backend = "memory", changelog = true }"#,
            Backend::Disk => r#"{ backend = "disk", changelog = true }"#,
            Backend::Redis => r#"{ backend = "redis" }"#,
        }
    }
}

impl Guarantee {
    /// `guarantee`, as TOML.
    pub fn toml(self) -> &'static str {
        match self {
            Guarantee::AtLeastOnce => "\"at-least-once\"",
            Guarantee::ExactlyOnce => "\"exactly-once\"",
        }
    }
}

pub struct Trial {
    pub kafka: &'static Kafka,
    pub setup: Setup,
    pub source: String,
    pub sink: String,
    dead: String,
    pub settings: Settings,
    /// Its URL.
    redis: String,
    backend: Backend,
    guarantee: Guarantee,
    started: Instant,
}

impl Trial {
    pub fn new(backend: Backend, guarantee: Guarantee, settings: Settings) -> Trial {
        Trial::at(kafka(), backend, guarantee, settings)
    }

    /// With a stage's `state`, as TOML, that differs from the backend's own.
    pub fn with_state(backend: Backend, guarantee: Guarantee, settings: Settings, state: &str) -> Trial {
        Trial::of(kafka(), backend, guarantee, settings, state)
    }

    /// On a broker of the test's own.
    pub fn at(kafka: &'static Kafka, backend: Backend, guarantee: Guarantee, settings: Settings) -> Trial {
        Trial::of(kafka, backend, guarantee, settings, backend.state())
    }

    fn of(kafka: &'static Kafka, backend: Backend, guarantee: Guarantee, settings: Settings, state: &str) -> Trial {
        // The sink tells when an output was appended: when the record was processed.
        let appended = [("message.timestamp.type", "LogAppendTime")];
        let (source, sink) = (kafka.topic(PARTITIONS), kafka.topic_with(PARTITIONS, &appended));
        let dead = kafka.topic(1);
        let stage = Stage::new("last-location").set("state", state);
        let setup = Setup::new()
            .bootstrap(kafka.bootstrap())
            .kafka("session.timeout.ms", &kafka.shortest_session().to_string())
            .delivery("guarantee", guarantee.toml())
            .delivery("commit-interval", "\"100ms\"")
            .pipeline(Pipeline::new(&source).sink(&sink).dead_letter(&dead).provenance().stage(stage));
        let trial = Trial {
            kafka,
            setup,
            source,
            sink,
            dead,
            settings,
            redis: String::new(),
            backend,
            guarantee,
            started: Instant::now(),
        };
        if backend == Backend::Redis { trial.with_redis(&redis_url()) } else { trial }
    }

    /// With its state in the Redis at `url`.
    pub fn with_redis(self, url: &str) -> Trial {
        Trial { redis: url.to_owned(), ..self.with_setup(|setup| setup.redis(url)) }
    }

    /// With a setup that differs.
    pub fn with_setup(self, change: impl FnOnce(Setup) -> Setup) -> Trial {
        Trial { setup: change(self.setup), ..self }
    }

    /// Records that keep coming, so many that they last for all rounds of
    /// `seconds_a_round`.
    pub fn stream(&self, seconds_a_round: u64) -> Stream {
        let Settings { records, seed, .. } = self.settings;
        let producer = self.kafka.producer(&[("linger.ms", "20")]);
        let patients = Patients::new(seed).with_poison(POISON);
        Stream::start(producer, &self.source, patients, self.settings.pace(seconds_a_round), records)
    }

    /// Starts a host without waiting for it.
    pub fn spawn(&self, id: &str) -> Host {
        self.setup.spawn_as(id, &[])
    }

    /// Outputs in the sink, committed or not.
    pub fn written(&self) -> i64 {
        self.kafka.ends(&self.sink).into_iter().sum()
    }

    /// Waits until so many further outputs are in the sink.
    #[track_caller]
    pub fn wait_for_outputs(&self, count: i64) {
        self.wait_for_outputs_past(self.written() + count);
    }

    /// Waits until more outputs than `written` are in the sink.
    #[track_caller]
    pub fn wait_for_outputs_past(&self, written: i64) {
        until("records flow", || self.written() > written);
    }

    /// Waits until everything that was sent is processed and committed.
    #[track_caller]
    pub fn settle(&self) {
        // A stream goes on for as long as the faults take: what counts is what was sent.
        let sent: i64 = self.kafka.ends(&self.source).into_iter().sum();
        let patience = PATIENCE + Duration::from_millis(sent as u64);
        let deadline = Instant::now() + patience;
        while !self.kafka.is_settled(&self.setup.app, &self.source) {
            assert!(
                Instant::now() < deadline,
                "not within {patience:?}: everything is committed; committed are {:?} of {:?}",
                self.kafka.committed(&self.setup.app, &self.source),
                self.kafka.ends(&self.source)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Outputs and state are what the oracle says of the records of each
    /// patient, and the others are dead letters. Outputs may repeat under at
    /// least once, each time as they were the first time; how many did.
    #[track_caller]
    pub fn verify(&self, produced: &Produced) -> u64 {
        self.kafka.wait_until_decided(&self.sink);
        let mut oracle = Oracle::new(self.settings.seed);
        let mut counts = vec![0; PATIENTS];
        let mut partitions = vec![0; PATIENTS];
        let mut repeated = 0;
        self.kafka.read_each(&self.sink, |output| {
            let nth = oracle.check(&output);
            let (count, place) = (&mut counts[nth.patient], (output.partition, output.offset));
            if self.guarantee == Guarantee::AtLeastOnce && nth.n <= *count {
                repeated += 1;
            } else {
                *count += 1;
                assert_eq!(nth.n, *count, "patient {}, at {place:?} of the sink", nth.patient);
            }
            // Source and sink place a key alike.
            partitions[nth.patient] = output.partition;
        });
        assert_eq!(counts, produced.counts, "outputs of each patient");
        let kept = self.kept(&mut oracle, &partitions);
        assert_eq!(kept, produced.counts, "records that the state counts of each patient");
        repeated + self.verify_dead_letters(&produced.poison)
    }

    /// How many of the dead letters repeat.
    #[track_caller]
    fn verify_dead_letters(&self, poison: &BTreeSet<String>) -> u64 {
        self.kafka.wait_until_decided(&self.dead);
        let letters = self.kafka.read(&self.dead);
        let keys: BTreeSet<String> = letters.iter().map(|letter| letter.key().to_owned()).collect();
        assert_eq!(keys, *poison, "dead letters");
        let repeated = letters.len() - keys.len();
        assert!(repeated == 0 || self.guarantee == Guarantee::AtLeastOnce, "{repeated} dead letters repeat");
        repeated as u64
    }

    /// How many records the state counts of each patient.
    fn kept(&self, oracle: &mut Oracle, partitions: &[i32]) -> Vec<u64> {
        let app = &self.setup.app;
        let mut counts = vec![0; PATIENTS];
        let mut take = |key: &str, entry: &[u8]| {
            let nth = oracle.check_entry(key, entry);
            counts[nth.patient] = nth.n;
        };
        if self.backend == Backend::Redis {
            let mut redis = Redis::connect(&self.redis);
            for (patient, partition) in partitions.iter().enumerate() {
                let entry = redis.get(&format!("{app}:main:last-location:{partition}:{patient}"));
                entry.iter().for_each(|entry| take(&patient.to_string(), entry));
            }
        } else {
            let changelog = format!("{app}-main-last-location-changelog");
            self.kafka.wait_until_decided(&changelog);
            self.kafka.last_values(&changelog).iter().for_each(|(key, entry)| take(key, entry));
        }
        counts
    }

    /// Prints what a full run is asked for.
    pub fn report(&self, produced: &Produced, figures: &str) {
        let (records, seconds) = (produced.records, self.started.elapsed().as_secs_f64());
        let Trial { backend, guarantee, .. } = self;
        println!("{backend:?}, {guarantee:?}: {records} records in {seconds:.1} s, {figures}");
    }
}
