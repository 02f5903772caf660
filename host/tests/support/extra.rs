//! One pipeline of one source, its topics and its host: what most tests need.

use std::process::Output;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use rdkafka::producer::{BaseProducer, Producer};
use serde_json::Value;

use super::{Host, PATIENCE, Pipeline, Received, Record, Setup, Stage, eventually, kafka, send, until};

/// A source, a sink and a dead-letter topic that no other test has. Sink and
/// dead letters have one partition, so that they keep the order of each source
/// partition.
pub struct Topics {
    pub source: String,
    pub sink: String,
    pub dead: String,
}

/// A broker looks for what is too old at any moment; tests write old timestamps.
const KEPT: (&str, &str) = ("retention.ms", "-1");

impl Topics {
    pub fn new(partitions: i32) -> Topics {
        Topics::with_dead_letters(partitions, &[])
    }

    /// With properties of the dead-letter topic.
    pub fn with_dead_letters(partitions: i32, properties: &[(&str, &str)]) -> Topics {
        Topics {
            source: kafka().topic_with(partitions, &[KEPT]),
            sink: kafka().topic_with(1, &[KEPT]),
            dead: kafka().topic_with(1, &[&[KEPT], properties].concat()),
        }
    }

    /// From source to sink, outputs naming their source record; no stage yet.
    pub fn pipeline(&self) -> Pipeline {
        self.without_dead_letters().dead_letter(&self.dead)
    }

    /// As [`Topics::pipeline`], naming no topic for dead letters.
    pub fn without_dead_letters(&self) -> Pipeline {
        Pipeline::named("line", &self.source).sink(&self.sink).provenance()
    }
}

/// A stage that runs `plugin`, with further lines of its configuration.
pub fn stage(plugin: &str, lines: &str) -> Stage {
    let keys = lines.lines().filter_map(|line| line.trim().split_once(" = "));
    keys.fold(Stage::new(plugin), |stage, (key, value)| stage.set(key, value))
}

/// The component as another version: the same code and a digest of its own.
pub fn revised(component: &[u8]) -> Vec<u8> {
    // A custom section: its id, the length of what follows, its name.
    [component, &[0, 2, 1, b'x']].concat()
}

/// A running host, what goes in and what came out.
pub struct Line {
    pub topics: Topics,
    /// Before its setup, which takes the folder with the log away.
    pub host: Host,
    pub setup: Setup,
    producer: BaseProducer,
    /// Records sent to each partition of the source.
    sent: Vec<AtomicI64>,
}

impl Line {
    /// A host of one pipeline whose one stage runs `plugin`; `lines` as [`stage`] takes them.
    pub fn start(partitions: i32, plugin: &str, lines: &str) -> Line {
        let topics = Topics::new(partitions);
        let setup = Setup::new().pipeline(topics.pipeline().stage(stage(plugin, lines)));
        Line::run(topics, setup)
    }

    /// A host of `setup`, which reads the source of `topics`.
    pub fn run(topics: Topics, setup: Setup) -> Line {
        let host = setup.spawn_as("one", &[]);
        Line::of(topics, setup, host)
    }

    pub fn of(topics: Topics, setup: Setup, host: Host) -> Line {
        let sent = (0..kafka().partitions(&topics.source)).map(|_| AtomicI64::new(0)).collect();
        Line { topics, host, setup, producer: kafka().producer(&[]), sent }
    }

    /// Hands a record to the producer; the offset it will have.
    pub fn send(&self, partition: i32, key: &str, value: &str) -> i64 {
        self.send_record(Record::new(key, value).partition(partition))
    }

    /// As [`Line::send`], for a record that names its partition.
    pub fn send_record(&self, record: Record) -> i64 {
        send(&self.producer, &self.topics.source, &record);
        self.sent[record.partition.expect("a partition") as usize].fetch_add(1, Relaxed)
    }

    /// Waits until the broker has all that was sent.
    pub fn flush(&self) {
        self.producer.flush(PATIENCE).expect("every record is acknowledged");
    }

    /// Waits until each of the two workers owns partitions and the group rests:
    /// from then on no partition moves.
    #[track_caller]
    pub fn wait_until_spread(&self) {
        until("the partitions are spread over both workers", || {
            let owners: Vec<Option<u64>> =
                (0..self.sent.len()).map(|partition| self.view(partition as i32)["worker"].as_u64()).collect();
            let spread = [Some(0), Some(1)].iter().all(|worker| owners.contains(worker)) && !owners.contains(&None);
            spread && kafka().is_stable(&self.setup.app, 2)
        });
    }

    /// Sends a record and waits for its output; the output's text.
    #[track_caller]
    pub fn ask(&self, partition: i32, value: &str) -> String {
        self.answer(Record::new("key", value).partition(partition))
    }

    /// As [`Line::ask`], by a record with a timestamp, milliseconds since the Unix epoch.
    #[track_caller]
    pub fn ask_at(&self, partition: i32, timestamp: i64, value: &str) -> String {
        self.answer(Record::new("key", value).partition(partition).timestamp(timestamp))
    }

    #[track_caller]
    fn answer(&self, record: Record) -> String {
        let partition = record.partition.expect("a partition");
        let offset = self.send_record(record).to_string();
        self.flush();
        let answer = eventually(&format!("the output of record {offset} of partition {partition}"), || {
            let from_it = |output: &Received| {
                output.header("gregor-partition") == Some(&partition.to_string())
                    && output.header("gregor-offset") == Some(&offset)
            };
            self.outputs().into_iter().find(from_it)
        });
        answer.text().to_owned()
    }

    /// Waits until everything that the source holds is processed and committed.
    #[track_caller]
    pub fn settle(&self) {
        self.flush();
        let ends = kafka().ends(&self.topics.source);
        until("everything is committed", || {
            let views = ends.iter().zip(0..).map(|(end, partition)| (end, self.view(partition)));
            views.into_iter().all(|(end, view)| view["state"] == "running" && view["committed"] == *end)
        });
    }

    /// All that the sink holds.
    pub fn outputs(&self) -> Vec<Received> {
        kafka().read(&self.topics.sink)
    }

    /// All that the sink holds, by partition of the source.
    pub fn outputs_by_partition(&self) -> Vec<Vec<Received>> {
        let mut by_partition = vec![Vec::new(); self.sent.len()];
        for output in self.outputs() {
            let partition = output.header("gregor-partition").and_then(|partition| partition.parse::<usize>().ok());
            by_partition[partition.expect("outputs name their source")].push(output);
        }
        by_partition
    }

    /// All that the dead-letter topic holds.
    pub fn dead(&self) -> Vec<Received> {
        kafka().read(&self.topics.dead)
    }

    /// A partition of the source as the API shows it; null while it is not assigned.
    pub fn view(&self, partition: i32) -> Value {
        let of_source = |view: &Value| view["topic"] == self.topics.source.as_str() && view["partition"] == partition;
        self.host.partitions().into_iter().find(of_source).unwrap_or_default()
    }

    /// A plugin as the API shows it; null where no stage runs it.
    pub fn plugin(&self, name: &str) -> Value {
        let plugins = self.host.document("plugins");
        let listed = plugins.as_array().expect("a list");
        listed.iter().find(|plugin| plugin["plugin"] == name).cloned().unwrap_or_default()
    }

    /// Deploys a version that may import more than the running one, at a host with this token.
    #[track_caller]
    pub fn approve(&self, plugin: &str, token: &str, component: &[u8]) {
        let (status, said) = self.host.post(&format!("/api/v1/plugins/{plugin}?approve=true"), token, component);
        assert_eq!(status, 200, "{said}");
    }

    /// Waits until the sum over the metrics `name` with `labels` is `value`.
    #[track_caller]
    pub fn expect_metric(&self, name: &str, labels: &[&str], value: f64) {
        until(&format!("{name}{labels:?} is {value}"), || self.host.metric(name, labels) == value);
    }
}

/// What a command said, which ended with `code`.
#[track_caller]
pub fn told(output: &Output, code: Option<i32>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), code, "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}
