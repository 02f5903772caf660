//! A record's way through a task, without Kafka: what a change of it costs or
//! saves, where the clients and the machine would hide it.
//!
//! Prints the best of several rounds, in the thread's own CPU time. A plugin
//! (one that comes with the host, or a file) and a number of records as
//! arguments give one round, to count instructions in: see CONTRIBUTING.md.

use std::collections::HashMap;
use std::env;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use gregor::clock::Clock;
use gregor::config::Config;
use gregor::kafka;
use gregor::kafka::topics::Topic;
use gregor::plan::{CacheLimits, Plan};
use gregor::plugin::{Engine, Version};
use gregor::position::Position;
use gregor::record::{Record, TopicPartition};
use gregor::state::{Cache, MemoryStore};
use gregor::task::{Context, InForce, Progress, Task};
use nix::time::ClockId;

const PATIENTS: usize = 1_000;
const ROUNDS: usize = 7;
const MEMORY: u64 = 64 << 20;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [plugin, records] = args.as_slice() {
        println!("{:.0} ns a record", round(plugin, records.parse()?)?);
        return Ok(());
    }
    for plugin in ["patient-location", "last-location"] {
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            best = best.min(round(plugin, 100_000)?);
        }
        println!("{plugin:<20} {best:>6.0} ns a record");
    }
    Ok(())
}

/// Nanoseconds that a record takes, on average of `records`.
fn round(plugin: &str, records: usize) -> Result<f64> {
    let config = Config::parse(CONFIG, "bench", Path::new("."), [], &kafka::check_property)?;
    let plan = Arc::new(Plan::new(&config, &config.pipelines[0]));
    let engine = Engine::new(1, MEMORY)?;
    let embedded = gregor::demo_plugins().into_iter().find(|(name, _)| *name == plugin);
    let component = embedded.map_or_else(|| std::fs::read(plugin), |(_, component)| Ok(component.to_vec()))?;
    let version = Arc::new(Version::compile(&engine, "measured", &component, u64::MAX)?);
    let sink = Topic::new("sink", 6, 1_048_588);
    let context = Context {
        engine,
        topics: Arc::new([sink].into_iter().collect()),
        worker: "bench/0".into(),
        exactly_once: false,
    };
    let limits = CacheLimits { bytes: u64::MAX, value: u64::MAX, call: u64::MAX };
    let cache = Cache::new(Box::new(MemoryStore::default()), limits, plan.stages[0].origins);
    let mut task = Task::new(
        TopicPartition::new("source", 0),
        &[plan],
        &HashMap::from([("measured".to_owned(), InForce::first(version))]),
        Position::at(0),
        true,
        vec![vec![cache]],
    );
    let values = values(records)?;
    let mut clock = Clock::start();
    let mut outputs = Vec::new();
    let started = cpu()?;
    for (offset, (key, value)) in values.iter().enumerate() {
        let record = Record {
            topic: "source",
            partition: 0,
            offset: i64::try_from(offset)?,
            timestamp: 1_700_000_000_000,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        let mut now = clock.tick();
        ensure!(task.process(&context, &record, &mut now, &mut outputs) == Progress::Done, "a record waits");
        ensure!(outputs.len() == 1, "not one output");
        outputs.clear();
    }
    Ok((cpu()? - started).as_nanos() as f64 / records as f64)
}

/// What this thread has used of the processor: other processes do not count.
fn cpu() -> Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

/// As the throughput benchmark has them.
fn values(records: usize) -> Result<Vec<(String, String)>> {
    let mut random = 42_u64;
    let mut below = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let mut places: Vec<(u64, u64)> =
        (0..PATIENTS).map(|_| (50_000_000 + below(3_000_000), 4_000_000 + below(3_000_000))).collect();
    let mut ts = 1_700_000_000_000_u64;
    let mut values = Vec::with_capacity(records);
    for _ in 0..records {
        let patient = below(PATIENTS as u64) as usize;
        let (lat, lon) = &mut places[patient];
        (*lat, *lon) = (*lat + below(2001) - 1000, *lon + below(2001) - 1000);
        ts += below(3);
        let key = format!("patient-{patient:05}");
        let mut value = String::new();
        write!(value, r#"{{"patientId":"{key}","lat":{},"lon":{},"ts":{ts}}}"#, *lat as f64 / 1e6, *lon as f64 / 1e6)?;
        values.push((key, value));
    }
    Ok(values)
}

const CONFIG: &str = r#"
app = "bench"
[kafka]
"bootstrap.servers" = "localhost:9092"
[[pipeline]]
name = "bench"
source = "source"
sink = "sink"
[[pipeline.stage]]
plugin = "measured"
"#;
