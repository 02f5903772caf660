//! `cargo xtask bench`: the hospital's job, native and through plugins, beside
//! each other in one run against a real broker (`KAFKA_BOOTSTRAP`).
//!
//! Each case is a process of its own, so that its CPU time and memory are its
//! own. CPU is user plus system time. The steady state's is what the process
//! uses from the moment half of the outputs are in the sink to its end, over
//! the records of that half; the whole run's has start-up and compilation in
//! it, over all records.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, thread};

use anyhow::{Context, Result, ensure};
use futures_executor::block_on;
use gregor::config::Config;
use gregor::kafka::topics::{Topic, Topics};
use gregor::kafka::{self, Sender};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::ClockId;
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

const PARTITIONS: i32 = 6;
const PATIENTS: usize = 10_000;
const WORKERS: usize = 2;
const SOURCE: &str = "bench-locations";
const SINK: &str = "bench-locations-enriched";

/// What is measured.
struct Case {
    name: &'static str,
    /// None: the job in plain Rust.
    plugin: Option<&'static str>,
    /// Exactly once, state on disk with a changelog, as Kafka Streams with
    /// RocksDB; else at least once, state in memory.
    durable: bool,
}

const CASES: [Case; 4] = [
    Case { name: "native", plugin: None, durable: false },
    Case { name: "patient-location", plugin: Some("patient-location"), durable: false },
    Case { name: "last-location", plugin: Some("last-location"), durable: false },
    Case { name: "last-location, exactly once, durable", plugin: Some("last-location"), durable: true },
];

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [mode, group, records] = args.as_slice()
        && mode == "native"
    {
        return native(group, records.parse()?);
    }
    let option = |name: &str, default: usize| -> Result<usize> {
        let at = args.iter().position(|arg| arg == name);
        at.map_or(Ok(default), |at| Ok(args.get(at + 1).context("a number after the option")?.parse()?))
    };
    let (records, runs) = (option("--records", 2_000_000)?, option("--runs", 3)?);
    let bench = Bench::new(records)?;
    bench.load()?;
    let mut results: Vec<Measured> = Vec::new();
    for run in 1..=runs {
        for case in &CASES {
            let measured = bench.measure(case, run)?;
            eprintln!(
                "run {run}: {:<40} {:>6.2} µs CPU a record, {:>6.2} with the start, {:>9.0} records/s, {:>4} MiB",
                case.name,
                measured.cpu_us_per_record,
                measured.whole_run_cpu_us_per_record,
                measured.records_per_second,
                measured.rss_mib
            );
            results.push(measured);
        }
    }
    report(&results)
}

#[derive(Clone, Serialize)]
struct Measured {
    name: String,
    records: usize,
    /// In steady state.
    cpu_us_per_record: f64,
    whole_run_cpu_us_per_record: f64,
    /// From start to end.
    records_per_second: f64,
    rss_mib: u64,
}

/// The median run of each case, as a table and as `target/bench/latest.json`.
fn report(results: &[Measured]) -> Result<()> {
    let mut medians: Vec<Measured> = Vec::new();
    for case in &CASES {
        let mut runs: Vec<_> = results.iter().filter(|measured| measured.name == case.name).cloned().collect();
        runs.sort_by(|a, b| a.cpu_us_per_record.total_cmp(&b.cpu_us_per_record));
        medians.push(runs.swap_remove(runs.len() / 2));
    }
    let native = medians[0].cpu_us_per_record;
    let mut table = comfy_table::Table::new();
    table.set_header(["median of runs", "CPU µs a record", "× native", "whole run", "records/s", "memory MiB"]);
    for measured in &medians {
        table.add_row([
            measured.name.clone(),
            format!("{:.2}", measured.cpu_us_per_record),
            format!("{:.2}", measured.cpu_us_per_record / native),
            format!("{:.2}", measured.whole_run_cpu_us_per_record),
            format!("{:.0}", measured.records_per_second),
            measured.rss_mib.to_string(),
        ]);
    }
    println!("{table}");
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("latest.json"), serde_json::to_vec_pretty(&medians)?)?;
    println!("also in target/bench/latest.json");
    Ok(())
}

struct Bench {
    bootstrap: String,
    records: usize,
    dir: tempfile::TempDir,
    /// Asks for the sink's ends.
    reader: BaseConsumer,
}

/// What a process used.
struct Used {
    /// Outputs in the sink when half of them were first seen there.
    half: usize,
    cpu_at_half: Duration,
    /// From start to end.
    cpu: Duration,
    /// At its peak.
    rss_mib: u64,
}

impl Bench {
    fn new(records: usize) -> Result<Bench> {
        let bootstrap = env::var("KAFKA_BOOTSTRAP").context("KAFKA_BOOTSTRAP is not set: run `cargo xtask bench`")?;
        let dir = tempfile::tempdir()?;
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins)?;
        for (name, component) in gregor::demo_plugins() {
            fs::write(plugins.join(format!("{name}.wasm")), component)?;
        }
        let reader = client(&bootstrap).create()?;
        Ok(Bench { bootstrap, records, dir, reader })
    }

    fn client(&self) -> ClientConfig {
        client(&self.bootstrap)
    }

    /// Records as the peers' loader makes them: keyed JSON of about 79 bytes.
    fn load(&self) -> Result<()> {
        self.recreate(SOURCE)?;
        let producer: BaseProducer = self
            .client()
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "20")
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "200000")
            .set("delivery.report.only.error", "true")
            .create()?;
        let mut random = Random(42);
        let mut places: Vec<(i64, i64)> = (0..PATIENTS)
            .map(|_| (50_000_000 + random.below(3_000_000), 4_000_000 + random.below(3_000_000)))
            .collect();
        let mut ts = 1_700_000_000_000_i64;
        let mut value = String::new();
        for _ in 0..self.records {
            let patient = random.below(PATIENTS as i64) as usize;
            let (lat, lon) = &mut places[patient];
            *lat += random.below(2001) - 1000;
            *lon += random.below(2001) - 1000;
            ts += random.below(3);
            let key = format!("patient-{patient:05}");
            value.clear();
            write!(
                value,
                r#"{{"patientId":"{key}","lat":{},"lon":{},"ts":{ts}}}"#,
                *lat as f64 / 1e6,
                *lon as f64 / 1e6
            )?;
            let mut record = BaseRecord::to(SOURCE).key(&key).payload(&value);
            while let Err((error, unsent)) = producer.send(record) {
                ensure!(error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
                producer.poll(Duration::from_millis(5));
                record = unsent;
            }
        }
        producer.flush(Duration::from_secs(120))?;
        eprintln!("loaded {} records into {SOURCE}", self.records);
        Ok(())
    }

    fn recreate(&self, topic: &str) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        block_on(admin.delete_topics(&[topic], &options))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let created = block_on(
                admin.create_topics(&[NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1))], &options),
            )?;
            // Still being deleted.
            if created.iter().all(Result::is_ok) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "topic {topic} cannot be created");
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn measure(&self, case: &Case, run: usize) -> Result<Measured> {
        self.recreate(SINK)?;
        let group = format!("bench-{run}-{}", SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis());
        let mut command = match case.plugin {
            None => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["native", &group, &self.records.to_string()]);
                command
            }
            Some(plugin) => {
                let config = self.dir.path().join(format!("{group}.toml"));
                fs::write(&config, config_of(&group, &self.bootstrap, plugin, case.durable, self.dir.path()))?;
                let mut command = Command::new(env!("CARGO_BIN_EXE_gregor"));
                command.args(["run", "--bounded", "--log", "warn", "--config"]).arg(config);
                command
            }
        };
        let started = Instant::now();
        let used = self.watch(command.spawn()?)?;
        let took = started.elapsed();
        // Markers of transactions take offsets too.
        let (produced, exact) = (self.produced()?, !case.durable);
        let whole = produced == self.records || (produced > self.records && !exact);
        ensure!(whole, "{} did not produce one output for each record", case.name);
        let us_per_record = |cpu: Duration, records: usize| cpu.as_secs_f64() * 1e6 / records as f64;
        Ok(Measured {
            name: case.name.to_owned(),
            records: self.records,
            cpu_us_per_record: us_per_record(used.cpu - used.cpu_at_half, self.records - used.half),
            whole_run_cpu_us_per_record: us_per_record(used.cpu, self.records),
            records_per_second: self.records as f64 / took.as_secs_f64(),
            rss_mib: used.rss_mib,
        })
    }

    /// Waits for `child`, looking at it and at the sink every 50 ms.
    fn watch(&self, mut child: Child) -> Result<Used> {
        let clock = cpu_clock(&child)?;
        let before = children_cpu()?;
        let (mut rss_mib, mut at_half) = (0, None);
        loop {
            rss_mib = rss_mib.max(peak_memory(&child).unwrap_or(0));
            if at_half.is_none() {
                let produced = self.produced()?;
                // Its clock goes with the process, which may have ended just now.
                if let Some(cpu) = clock.now().ok().filter(|_| produced >= self.records / 2) {
                    at_half = Some((produced, cpu.into()));
                }
            }
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the process ended with {status}");
                let (half, cpu_at_half) = at_half
                    .filter(|(half, _)| *half < self.records)
                    .context("the run was over too soon to see its second half: ask for more --records")?;
                return Ok(Used { half, cpu_at_half, cpu: children_cpu()? - before, rss_mib });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Records in the sink.
    fn produced(&self) -> Result<usize> {
        let ends = (0..PARTITIONS)
            .map(|partition| Ok(self.reader.fetch_watermarks(SINK, partition, Duration::from_secs(10))?.1));
        Ok(usize::try_from(ends.sum::<Result<i64>>()?)?)
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap);
    client
}

fn config_of(group: &str, bootstrap: &str, plugin: &str, durable: bool, dir: &Path) -> String {
    let dir = dir.display();
    let (guarantee, state) = match durable {
        true => ("exactly-once", r#"{ backend = "disk", changelog = true }"#),
        false => ("at-least-once", r#"{ backend = "memory" }"#),
    };
    format!(
        r#"
app = "{group}"
[kafka]
"bootstrap.servers" = "{bootstrap}"
[host]
workers = {WORKERS}
admin = "off"
data-dir = "{dir}/data-{group}"
[delivery]
guarantee = "{guarantee}"
commit-interval = "200ms"
[plugins]
dir = "{dir}/plugins"
[[pipeline]]
name = "bench"
source = "{SOURCE}"
sink = "{SINK}"
[[pipeline.stage]]
plugin = "{plugin}"
state = {state}
"#
    )
}

/// CPU of all children that have ended.
fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

/// The clock of the CPU that `child` uses, threads that have ended included.
fn cpu_clock(child: &Child) -> Result<ClockId> {
    Ok(ClockId::pid_cpu_clock_id(Pid::from_raw(child.id().try_into()?))?)
}

/// Peak resident memory of `child` in MiB.
fn peak_memory(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same records in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.unsigned_abs()).cast_signed()
    }
}

#[derive(Deserialize)]
struct Location<'a> {
    #[serde(rename = "patientId")]
    patient: &'a str,
    lat: f64,
    lon: f64,
    ts: u64,
}

#[derive(Serialize)]
struct Enriched<'a> {
    #[serde(rename = "patientId")]
    patient: &'a str,
    lat: f64,
    lon: f64,
    ts: u64,
    count: u64,
    #[serde(rename = "movedM")]
    moved: f64,
    #[serde(rename = "totalM")]
    total: f64,
}

#[derive(Clone, Copy)]
struct Last {
    lat: f64,
    lon: f64,
    count: u64,
    total: f64,
}

/// The same job in plain Rust: the same clients and settings, as many
/// consumers, no plugin, state in a map.
fn native(group: &str, records: u64) -> Result<()> {
    let bootstrap = env::var("KAFKA_BOOTSTRAP")?;
    let text = config_of(group, &bootstrap, "last-location", false, Path::new("."));
    let config = Config::parse(&text, "bench", Path::new("."), [], &kafka::check_property)?;
    let done = std::sync::atomic::AtomicU64::new(0);
    thread::scope(|scope| {
        let (config, done) = (&config, &done);
        let threads: Vec<_> =
            (0..WORKERS).map(|index| scope.spawn(move || native_member(config, index, records, done))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })
}

fn native_member(config: &Config, index: usize, records: u64, done: &std::sync::atomic::AtomicU64) -> Result<()> {
    use std::sync::atomic::Ordering::Relaxed;
    let topics: Topics = [Topic::new(SINK, PARTITIONS, 1_048_588)].into_iter().collect();
    // One queue for all of its partitions, and no end is looked for.
    let mut settings = kafka::member_config(config, index, 1);
    let member: BaseConsumer = settings.set("enable.partition.eof", "false").create()?;
    let sender = kafka::new_sender(&kafka::sender_config(config, index, &topics))?;
    // Shares fixed by hand: a loop this plain would count records twice in a rebalance.
    let mut share = TopicPartitionList::new();
    for partition in (0..PARTITIONS).filter(|partition| *partition as usize % WORKERS == index) {
        share.add_partition_offset(SOURCE, partition, Offset::Beginning)?;
    }
    member.assign(&share)?;
    let mut last: HashMap<String, Last> = HashMap::new();
    let mut positions: HashMap<i32, i64> = HashMap::new();
    let mut committed = Instant::now();
    while done.load(Relaxed) < records {
        if let Some(polled) = member.poll(Duration::from_millis(50)) {
            let polled = polled?;
            let location: Location<'_> = serde_json::from_slice(polled.payload().context("a value")?)?;
            let before = last.get(location.patient).copied();
            let moved = before.map_or(0.0, |before| haversine(before.lat, before.lon, location.lat, location.lon));
            let now = Last {
                lat: location.lat,
                lon: location.lon,
                count: before.map_or(0, |before| before.count) + 1,
                total: before.map_or(0.0, |before| before.total) + moved,
            };
            match last.get_mut(location.patient) {
                Some(stood) => *stood = now,
                None => drop(last.insert(location.patient.to_owned(), now)),
            }
            let enriched = Enriched {
                patient: location.patient,
                lat: location.lat,
                lon: location.lon,
                ts: location.ts,
                count: now.count,
                moved,
                total: now.total,
            };
            let value = serde_json::to_vec(&enriched)?;
            let mut record = BaseRecord::with_opaque_to(SINK, 0).key(location.patient).payload(&value);
            while let Err((_, unsent)) = sender.send(record) {
                thread::sleep(Duration::from_millis(1));
                record = unsent;
            }
            positions.insert(polled.partition(), polled.offset() + 1);
            done.fetch_add(1, Relaxed);
        }
        if committed.elapsed() >= config.delivery.commit_interval {
            commit(&member, &sender, &mut positions)?;
            committed = Instant::now();
        }
    }
    commit(&member, &sender, &mut positions)
}

fn commit(member: &BaseConsumer, sender: &Sender, positions: &mut HashMap<i32, i64>) -> Result<()> {
    ensure!(kafka::flush(sender, Duration::from_secs(60)), "the brokers do not acknowledge");
    let mut offsets = TopicPartitionList::new();
    for (partition, position) in positions.drain() {
        offsets.add_partition_offset(SOURCE, partition, Offset::Offset(position))?;
    }
    if offsets.count() > 0 {
        member.commit(&offsets, CommitMode::Sync)?;
    }
    Ok(())
}

fn haversine(lat1: f64, lon1: f64, lat2: f64, lon2: f64) -> f64 {
    let (p1, p2) = (lat1.to_radians(), lat2.to_radians());
    let (dp, dl) = ((lat2 - lat1).to_radians(), (lon2 - lon1).to_radians());
    let a = (dp / 2.0).sin().powi(2) + p1.cos() * p2.cos() * (dl / 2.0).sin().powi(2);
    2.0 * 6_371_000.0 * a.sqrt().min(1.0).asin()
}
