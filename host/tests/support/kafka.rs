//! The broker: topics, records in and out, offsets.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::names::unique;
use super::record::{Received, Record};
use super::wait::{PATIENCE, eventually, until};

/// As the broker has it for topics that do not say.
const REPLICAS: TopicReplication<'_> = TopicReplication::Fixed(-1);
/// Of one question to the broker.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

static KAFKA: LazyLock<Kafka> = LazyLock::new(|| {
    Kafka::connect(&std::env::var("KAFKA_BOOTSTRAP").expect(
        "these tests need a broker: run `cargo xtask test`, \
         or `cargo xtask kafka start` and set KAFKA_BOOTSTRAP",
    ))
});

/// The broker of this run.
///
/// # Panics
/// Without KAFKA_BOOTSTRAP.
pub fn kafka() -> &'static Kafka {
    &KAFKA
}

pub struct Kafka {
    bootstrap: String,
    pub(super) admin: AdminClient<DefaultClientContext>,
    /// Asks for metadata, ends and groups; reads nothing. Transactions that are
    /// open do not hide what comes after them.
    pub(super) asking: BaseConsumer,
}

impl Kafka {
    /// Clients of the broker at `bootstrap`.
    pub fn connect(bootstrap: &str) -> Kafka {
        let mut config = config(bootstrap);
        let admin = config.create().expect("an admin client");
        let asking = config.set("isolation.level", "read_uncommitted").create().expect("a client");
        Kafka { bootstrap: bootstrap.to_owned(), admin, asking }
    }

    /// Where the broker is.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A client's configuration, with the broker's address in it.
    pub fn config(&self) -> ClientConfig {
        config(&self.bootstrap)
    }

    /// Changes topics, groups and records.
    pub fn admin(&self) -> &AdminClient<DefaultClientContext> {
        &self.admin
    }

    /// Creates a topic that no other test has; its name.
    pub fn topic(&self, partitions: i32) -> String {
        self.topic_with(partitions, &[])
    }

    /// Creates a topic with properties such as `max.message.bytes`; its name.
    pub fn topic_with(&self, partitions: i32, properties: &[(&str, &str)]) -> String {
        let name = unique();
        let mut topic = NewTopic::new(&name, partitions, REPLICAS);
        for (property, value) in properties {
            topic = topic.set(property, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        eventually("the topic is created", || {
            let created = block_on(self.admin.create_topics([&topic], &options)).expect("topics can be created");
            match created.into_iter().next().expect("an answer") {
                Ok(_) => Some(()),
                // A broker that got no time for its heartbeats has to come back first.
                Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) => None,
                Err(error) => panic!("the topic is new: {error:?}"),
            }
        });
        until("the broker knows the topic", || self.partitions(&name) == partitions);
        name
    }

    /// Partitions of `topic`; 0 where it does not exist.
    pub fn partitions(&self, topic: &str) -> i32 {
        let metadata = answer("metadata", || self.asking.fetch_metadata(Some(topic), ANSWER));
        metadata.topics().first().map_or(0, |topic| topic.partitions().len() as i32)
    }

    /// Produces `records` in order and waits until all are acknowledged.
    pub fn produce(&self, topic: &str, records: impl IntoIterator<Item = Record>) {
        let producer = self.producer(&[]);
        records.into_iter().for_each(|record| send(&producer, topic, &record));
        producer.flush(PATIENCE).expect("every record is acknowledged");
    }

    /// As [`Kafka::produce`], in one transaction that ends as `commit` says.
    pub fn produce_transaction(&self, topic: &str, commit: bool, records: impl IntoIterator<Item = Record>) {
        let producer = self.producer(&[("transactional.id", &unique())]);
        producer.init_transactions(PATIENCE).expect("a transactional producer");
        producer.begin_transaction().expect("a transaction");
        records.into_iter().for_each(|record| send(&producer, topic, &record));
        producer.flush(PATIENCE).expect("every record is acknowledged");
        let ended = if commit { producer.commit_transaction(PATIENCE) } else { producer.abort_transaction(PATIENCE) };
        ended.expect("the transaction ends");
    }

    /// A producer that chooses partitions as Java's does.
    pub fn producer(&self, properties: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.config();
        config.set("partitioner", "murmur2_random").set("enable.idempotence", "true").set("linger.ms", "2");
        config.set("message.max.bytes", "16000000");
        for (property, value) in properties {
            config.set(*property, *value);
        }
        config.create().expect("a producer")
    }

    /// Waits for `count` records of `topic`, from its beginning.
    #[track_caller]
    pub fn consume(&self, topic: &str, count: usize) -> Vec<Received> {
        let consumer = self.reader(topic, "read_committed");
        let deadline = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        while records.len() < count {
            assert!(Instant::now() < deadline, "{} of {count} records in {topic} within {PATIENCE:?}", records.len());
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => records.push(Received::of(&record)),
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) => panic!("reading {topic}: {error}"),
            }
        }
        records
    }

    /// All committed records that `topic` holds now, each partition in order.
    #[track_caller]
    pub fn read(&self, topic: &str) -> Vec<Received> {
        let mut records = Vec::new();
        self.read_each(topic, |record| records.push(record));
        records
    }

    /// Gives `take` all committed records that `topic` holds now, each partition in order.
    #[track_caller]
    pub fn read_each(&self, topic: &str, take: impl FnMut(Received)) {
        self.read_with("read_committed", topic, take);
    }

    #[track_caller]
    fn read_with(&self, isolation: &str, topic: &str, mut take: impl FnMut(Received)) {
        let consumer = self.reader(topic, isolation);
        let mut open = self.partitions(topic);
        let mut deadline = Instant::now() + PATIENCE;
        while open > 0 {
            assert!(Instant::now() < deadline, "the end of {topic} was not reached");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => {
                    take(Received::of(&record));
                    deadline = Instant::now() + PATIENCE;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => panic!("reading {topic}: {error}"),
                None => {}
            }
        }
    }

    /// As [`Kafka::read_each`], committed or not.
    #[track_caller]
    pub fn read_uncommitted(&self, topic: &str) -> Vec<Received> {
        let mut records = Vec::new();
        self.read_with("read_uncommitted", topic, |record| records.push(record));
        records
    }

    fn reader(&self, topic: &str, isolation: &str) -> BaseConsumer {
        let mut config = self.config();
        config
            .set("group.id", "readers-without-a-group")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .set("fetch.wait.max.ms", "50")
            .set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut partitions = TopicPartitionList::new();
        for partition in 0..self.partitions(topic) {
            partitions.add_partition_offset(topic, partition, Offset::Beginning).expect("a position");
        }
        consumer.assign(&partitions).expect("an assignment");
        consumer
    }

    /// The end of each partition of `topic`: the offset that comes next.
    pub fn ends(&self, topic: &str) -> Vec<i64> {
        let end = |partition| answer("watermarks", || self.asking.fetch_watermarks(topic, partition, ANSWER)).1;
        (0..self.partitions(topic)).map(end).collect()
    }

    /// What `group` has committed for each partition of `topic`.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let asking: BaseConsumer = self.config().set("group.id", group).create().expect("a client");
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(topic, 0, self.partitions(topic) - 1);
        let committed = answer("the group's offsets", || asking.committed_offsets(partitions.clone(), ANSWER));
        let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        committed.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// A group's name whose coordinator is the broker of that number.
    pub fn coordinated_by(&self, broker: i32) -> String {
        const OFFSETS: &str = "__consumer_offsets";
        let name = unique();
        // Asked for a coordinator, the brokers create the topic that decides on it.
        self.committed(&name, &self.topic(1));
        let leaders = eventually("every group has a coordinator", || {
            let metadata = self.asking.fetch_metadata(Some(OFFSETS), ANSWER).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            let leaders: Vec<i32> = partitions.iter().map(|partition| partition.leader()).collect();
            (!leaders.is_empty() && !leaders.contains(&-1)).then_some(leaders)
        });
        // As the group coordinator does it: Java's hash of the name.
        let hash = |name: &str| name.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let names = (0..).map(|nth| format!("{name}-{nth}"));
        let mut its = names.filter(|name| leaders[(hash(name) & i32::MAX) as usize % leaders.len()] == broker);
        its.next().expect("it coordinates some groups")
    }

    /// Whether `group` has committed all that `topic` holds.
    pub fn is_settled(&self, group: &str, topic: &str) -> bool {
        let (committed, ends) = (self.committed(group, topic), self.ends(topic));
        committed.iter().zip(&ends).all(|(committed, end)| committed.unwrap_or(0) == *end)
    }
}

/// What a broker answers, which may have to come back first.
#[track_caller]
pub(super) fn answer<T>(what: &str, mut ask: impl FnMut() -> KafkaResult<T>) -> T {
    eventually(&format!("the broker's answer: {what}"), || ask().ok())
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("allow.auto.create.topics", "false");
    // A test that stops its broker does not wait for the default of 10 s.
    config.set("reconnect.backoff.max.ms", "500");
    config
}

/// Hands `record` to `producer`, waiting while its queue is full.
pub fn send(producer: &BaseProducer, topic: &str, record: &Record) {
    let mut sending = BaseRecord::<[u8], [u8]>::to(topic);
    sending.key = record.key.as_deref();
    sending.payload = record.value.as_deref();
    sending.partition = record.partition;
    sending.timestamp = record.timestamp;
    if !record.headers.is_empty() {
        let list = OwnedHeaders::new_with_capacity(record.headers.len());
        sending.headers = Some(
            record
                .headers
                .iter()
                .fold(list, |list, (name, value)| list.insert(Header { key: name, value: value.as_deref() })),
        );
    }
    while let Err((error, unsent)) = producer.send(sending) {
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "producing to {topic}: {error}");
        producer.poll(Duration::from_millis(5));
        sending = unsent;
    }
    producer.poll(Duration::ZERO);
}
