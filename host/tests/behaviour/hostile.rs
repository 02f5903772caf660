//! Components made to do harm: one for each limit, and generated ones. They run
//! here in the test's own process, on an engine as a host has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gregor::config::{Isolation, Limits};
use gregor::plan::{CacheLimits, Scope};
use gregor::plugin::{Emitted, Engine, Failure, Instance, Refusals, Soft, Version};
use gregor::record::Record;
use gregor::state::{Cache, MemoryStore};

use crate::support::{Settings, component, plugin};

pub const MIB: u64 = 1 << 20;

/// What a host's configuration gives by default, and less time.
pub fn scope(timeout: Duration) -> Arc<Scope> {
    Arc::new(Scope {
        pipeline: "pipeline".into(),
        stage: "stage".into(),
        plugin: "plugin".into(),
        limits: Limits {
            timeout,
            memory: 64 * MIB,
            outputs: 1_000,
            output_bytes: 8 * MIB,
            log_lines: 100,
            call_memory: 64 * MIB,
        },
        cache: CacheLimits { bytes: MIB, value: MIB / 4, call: 64 * MIB },
        isolation: Isolation::Task,
        log: None,
        config: BTreeMap::new(),
    })
}

fn engine() -> Engine {
    Engine::new(8, 64 * MIB).expect("an engine")
}

pub fn compiled(engine: &Engine, bytes: &[u8]) -> Version {
    Version::compile(engine, "plugin", bytes, 64 * MIB).expect("a version")
}

/// A stage of a task: its instance and its cache.
pub struct Runs {
    instance: Instance,
    cache: Box<Cache>,
    offset: i64,
}

impl Runs {
    pub fn start(engine: &Engine, version: &Version, scope: &Arc<Scope>) -> Result<Runs, Failure> {
        let cache = Cache::new(Box::new(MemoryStore::default()), scope.cache, false);
        Ok(Runs { instance: Instance::new(engine, version, scope)?, cache: Box::new(cache), offset: 0 })
    }

    /// Makes the instance anew; the cache stays.
    pub fn restart(&mut self, engine: &Engine, version: &Version, scope: &Arc<Scope>) {
        self.instance = Instance::new(engine, version, scope).expect("it starts as it did before");
    }

    /// The soft limits that it met since this was last asked.
    pub fn refusals(&mut self) -> Refusals {
        self.instance.take_refusals()
    }

    /// Processes a record and undoes what it wrote where that fails.
    pub fn give(&mut self, record: &Record<'_>) -> Result<Vec<Emitted>, Failure> {
        self.cache.begin(1_000, record.key);
        let outcome = self.instance.process(record, None, 1_000, &mut self.cache);
        if outcome.is_ok() {
            self.cache.keep()
        } else {
            self.cache.undo()
        }
        outcome
    }

    /// As [`Runs::give`]; the outputs' values.
    pub fn ask(&mut self, value: &[u8]) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let headers = [("name".to_owned(), Some(b"header".to_vec())), ("null".to_owned(), None)];
        let (key, value, headers) = (Some(&b"key"[..]), Some(value), &headers[..]);
        let record =
            Record { topic: "source", partition: 0, offset: self.offset, timestamp: 1_000, key, value, headers };
        self.offset += 1;
        Ok(self.give(&record)?.into_iter().map(|output| output.value).collect())
    }

    #[track_caller]
    fn echoes(&mut self) {
        assert_eq!(self.ask(b"good"), Ok(vec![Some(b"good".to_vec())]));
    }
}

/// Guests of `tests/guests` with the record that makes them misbehave, the kind
/// of failure that it comes to, and what the host says of it.
const MISBEHAVE: [(&str, &str, &str, &str); 11] = [
    ("loops", "loop", "timeout", "the call passed its limit of 1s"),
    ("traps", "panic", "trap", "the plugin trapped: unreachable code, as after a panic"),
    ("eats-memory", "eat", "memory-limit", "bytes of memory, the limit is 67108864"),
    ("recurses", "recurse", "stack-overflow", "the plugin exhausted its stack of 524288 bytes"),
    ("outputs", "bytes:20000000", "host-call-limit", "the call passed more than 10741760 bytes to the host at once"),
    ("tables", "!", "table-limit", "the plugin asked for a table of 20001 elements, the limit is 20000"),
    ("hoards", "!", "handle-limit", "the plugin asked for one more handle of a resource, the limit is 1000 at once"),
    ("gambles", "!", "host-call-limit", "2097152 bytes of randomness in one host call, the limit is 1048576"),
    ("shouts", "!", "host-call-limit", "100000 bytes of print in one host call, the limit is 65536"),
    ("gathers", "!", "host-call-limit", "8400000 bytes of values of get-many in one host call, the limit is 8388608"),
    ("bombards", "!", "host-call-limit", "the call passed more than 10741760 bytes to the host at once"),
];

#[test]
fn each_limit_ends_the_call_with_its_name_and_numbers_and_harms_nobody_else() {
    let (engine, scope) = (engine(), scope(Duration::from_secs(1)));
    let mut neighbour = Runs::start(&engine, &compiled(&engine, &plugin("echo")), &scope).expect("echo runs");
    for (name, poison, kind, words) in MISBEHAVE {
        let version = compiled(&engine, &plugin(name));
        for _ in 0..2 {
            let mut runs = Runs::start(&engine, &version, &scope).expect(name);
            runs.echoes();
            let failure = runs.ask(poison.as_bytes()).expect_err(name);
            assert_eq!(failure.kind(), kind, "{name}: {failure}");
            assert!(failure.to_string().contains(words), "{name}: {failure}");
            assert!(failure.is_breach() && failure.spoils_instance(), "{name}");
            neighbour.echoes();
        }
    }
}

#[test]
fn no_more_instances_are_made_than_the_host_has_room_for() {
    let engine = Engine::new(2, 64 * MIB).expect("an engine");
    let (scope, version) = (scope(Duration::from_secs(1)), compiled(&engine, &plugin("echo")));
    let start = || Runs::start(&engine, &version, &scope);
    let (mut one, other) = (start().expect("the first"), start().expect("the second"));
    let refused = start().err().expect("there is room for two");
    assert_eq!(refused.kind(), "no-free-instance");
    assert!(refused.to_string().contains("limit of 2"), "{refused}");
    one.echoes();
    drop(other);
    start().expect("room again").echoes();
}

#[test]
fn a_limit_that_a_plugin_is_told_of_is_counted_and_known_with_the_failure_that_follows() {
    let (engine, scope) = (engine(), scope(Duration::from_secs(1)));
    let mut runs = Runs::start(&engine, &compiled(&engine, &plugin("script")), &scope).expect("script runs");
    let long = "x".repeat(300_000);
    assert_eq!(runs.ask(format!("set k {long}").as_bytes()), Ok(vec![Some(b"error value-too-large 262144".to_vec())]));
    assert_eq!(runs.instance.refused(), Some((Soft::ValueBytes, 262_144)));
    runs.ask(b"get k").expect("read");
    assert_eq!(runs.instance.refused(), None, "that was an earlier call");
    let quarter = "x".repeat(250_000);
    let five: Vec<String> = (0..5).map(|nth| format!("set k{nth} {quarter}")).collect();
    let failure = runs.ask(format!("{}\nreject", five.join("\n")).as_bytes()).expect_err("it rejects");
    assert_eq!(failure.kind(), "reject");
    assert_eq!(runs.instance.refused(), Some((Soft::CacheBytes, 1_048_576)));
    let met: Vec<_> = runs.instance.take_refusals().met().collect();
    assert_eq!(met, [(Soft::CacheBytes, 1), (Soft::ValueBytes, 1)]);
    assert_eq!(runs.instance.take_refusals().met().count(), 0, "they are handed over once");
}

#[test]
fn an_instance_finds_nothing_of_the_one_whose_place_it_takes() {
    // Room for one: each takes the place of the one before.
    let engine = Engine::new(1, 64 * MIB).expect("an engine");
    let scope = scope(Duration::from_secs(20));
    let [fills, peeks] = ["fills", "peeks"].map(|name| compiled(&engine, &plugin(name)));
    for _ in 0..3 {
        let mut filling = Runs::start(&engine, &fills, &scope).expect("fills runs");
        assert!(filling.ask(b"! CANARY#1").is_ok());
        drop(filling);
        let mut peeking = Runs::start(&engine, &peeks, &scope).expect("peeks runs");
        assert_eq!(peeking.ask(b"!").map(|outputs| outputs.len()), Ok(1), "it found the other's memory");
    }
    let mut peeking = Runs::start(&engine, &peeks, &scope).expect("peeks runs");
    assert_eq!(peeking.ask(b"! CANARY#1").map_err(|failure| failure.kind()), Err("trap"), "it finds what is there");
}

/// How the generated components ended, by kind.
#[derive(Default)]
struct Ends(BTreeMap<String, u64>);

impl Ends {
    fn count(&mut self, end: impl Into<String>) {
        *self.0.entry(end.into()).or_default() += 1;
    }
}

/// Compiles a component and gives it a few records; every way in which that can
/// end is fine but a panic of the host's.
fn expose(engine: &Engine, scope: &Arc<Scope>, bytes: &[u8], ends: &mut Ends) {
    let version = match Version::compile(engine, "generated", bytes, 64 * MIB) {
        Ok(version) => version,
        Err(refused) => {
            let text = refused.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "a refusal is one line: {text:?}");
            return ends.count("refused");
        }
    };
    let mut runs = None;
    for value in [&b"value"[..], b"", &[0xff; 4_096]] {
        let outcome = match &mut runs {
            Some(runs) => Runs::ask(runs, value),
            none => match Runs::start(engine, &version, scope) {
                Ok(started) => none.insert(started).ask(value),
                Err(failure) => Err(failure),
            },
        };
        match outcome {
            Ok(_) => ends.count("outputs"),
            Err(failure) => {
                ends.count(failure.kind());
                if failure.spoils_instance() {
                    runs = None;
                }
            }
        }
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

#[test]
fn generated_components_are_refused_or_contained() {
    let settings = Settings::or(0, 200);
    let (engine, scope) = (engine(), scope(Duration::from_millis(20)));
    let mut neighbour = Runs::start(&engine, &compiled(&engine, &plugin("echo")), &scope).expect("echo runs");
    let (mut ends, mut chance) = (Ends::default(), settings.chance());
    let mut early = 0;
    for round in 0..settings.rounds {
        // Most are plugins by their shape; some are any component, and some are damaged.
        let mut bytes = match chance.below(8) {
            0 => component::any(&mut chance),
            _ => component::generated(&mut chance),
        };
        if chance.one_in(8) {
            let at = chance.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << chance.below(8);
        }
        expose(&engine, &scope, &bytes, &mut ends);
        neighbour.echoes();
        if round == settings.rounds / 4 {
            early = resident();
        }
    }
    let (grown, ends) = (resident().saturating_sub(early), ends.0);
    println!("{} components: {ends:?}; {} KiB more resident than after a quarter", settings.rounds, grown >> 10);
    if settings.rounds >= 1_000 {
        // In the full form this test has its process to itself.
        assert!(grown < 64 * MIB, "{grown} bytes more are resident than after a quarter");
    }
    let reached = |kind: &str| ends.contains_key(kind);
    assert!(reached("refused") && reached("trap") && reached("timeout"), "they are of all kinds: {ends:?}");
}
