//! The demo's cluster and the records that go into it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

pub const SOURCE: &str = "locations";
pub const SINK: &str = "locations-enriched";
pub const DEAD_LETTER: &str = "locations-dead-letter";
pub const PARTITIONS: i32 = 6;

/// librdkafka's mock cluster: groups, offsets and fetching, in this process.
pub struct Cluster {
    /// Before the cluster, so that it goes first: it would report that brokers are gone.
    producer: Arc<ThreadedProducer<DefaultProducerContext>>,
    mock: MockCluster<'static, DefaultProducerContext>,
}

impl Cluster {
    pub fn start() -> anyhow::Result<Cluster> {
        let mock = MockCluster::new(1).context("the mock cluster does not start")?;
        for topic in [SOURCE, SINK, DEAD_LETTER] {
            mock.create_topic(topic, PARTITIONS, 1)?;
        }
        let producer: ThreadedProducer<_> = ClientConfig::new()
            .set("bootstrap.servers", mock.bootstrap_servers())
            // As Kafka's console producer, and every Java producer.
            .set("partitioner", "murmur2_random")
            .create()?;
        Ok(Cluster { producer: Arc::new(producer), mock })
    }

    pub fn bootstrap(&self) -> String {
        self.mock.bootstrap_servers()
    }

    /// As [`produce`].
    pub fn produce_line(&self, line: &str) -> anyhow::Result<()> {
        produce(&self.producer, line)
    }

    /// For a thread of its own; the cluster itself stays with one.
    pub fn producer(&self) -> Arc<ThreadedProducer<DefaultProducerContext>> {
        self.producer.clone()
    }

    /// Records in each partition of the source, once all are delivered.
    pub fn ends(&self) -> anyhow::Result<Vec<i64>> {
        self.producer.flush(super::PATIENCE)?;
        let consumer = self.consumer()?;
        (0..PARTITIONS).map(|partition| Ok(consumer.fetch_watermarks(SOURCE, partition, super::PATIENCE)?.1)).collect()
    }

    /// A consumer outside of any group.
    pub fn consumer(&self) -> anyhow::Result<BaseConsumer> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("group.id", "gregor-demo-ledger")
            .set("enable.auto.commit", "false")
            .create()?)
    }
}

/// Produces a `key:value` line, as the console producer reads it.
pub fn produce(producer: &ThreadedProducer<DefaultProducerContext>, line: &str) -> anyhow::Result<()> {
    let (key, value) = line.split_once(':').context("a line is key:value")?;
    let mut record = BaseRecord::to(SOURCE).key(key).payload(value);
    while let Err((error, unsent)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(1));
        record = unsent;
    }
    Ok(())
}

/// Patients who walk about Lisbon. The same walk in every run.
pub struct Patients {
    places: Vec<(f64, f64)>,
    /// Milliseconds since the Unix epoch: some patient moves every second.
    clock: u64,
    state: u64,
}

impl Patients {
    const COUNT: usize = 100;

    pub fn new() -> Patients {
        let mut patients = Patients { places: Vec::new(), clock: 1_795_000_000_000, state: 1 };
        for _ in 0..Self::COUNT {
            let place = (38.70 + patients.fraction() * 0.1, -9.20 + patients.fraction() * 0.1);
            patients.places.push(place);
        }
        patients
    }

    /// The next position of some patient, as a `key:value` line.
    pub fn next_line(&mut self) -> String {
        let patient = (self.fraction() * Self::COUNT as f64) as usize % Self::COUNT;
        let (north, east) = (self.fraction() - 0.5, self.fraction() - 0.5);
        let (lat, lon) = &mut self.places[patient];
        *lat += north * 0.001;
        *lon += east * 0.001;
        self.clock += 1_000;
        let (id, ts) = (1_000 + patient, self.clock);
        format!(r#"{id}:{{"patientId": "{id}", "lat": {lat:.4}, "lon": {lon:.4}, "ts": {ts}}}"#)
    }

    /// 0 to 1, by a linear congruential generator with Knuth's MMIX constants.
    fn fraction(&mut self) -> f64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }
}
