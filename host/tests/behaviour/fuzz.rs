//! What may cross the boundary between host and plugin, and what may stand in a
//! configuration file: anything, and never does the host panic. Each test goes
//! on for as many seconds as there are rounds.

use std::path::Path;
use std::time::{Duration, Instant};

use gregor::config::Config;
use gregor::plugin::Engine;
use gregor::record::{Header, Record};

use super::hostile::{MIB, Runs, compiled, scope};
use crate::support::{Chance, Settings, plugin};

/// Runs `case` for as long as the settings say; how often.
fn fuzz(mut case: impl FnMut(&mut Chance)) -> u64 {
    // This thread alone gives way: others test what has deadlines, on few cores.
    rustix::process::nice(19).expect("a thread may give way");
    let settings = Settings::or(0, 20);
    let (mut chance, since, mut cases) = (settings.chance(), Instant::now(), 0);
    while since.elapsed() < Duration::from_secs(settings.rounds) {
        case(&mut chance);
        cases += 1;
    }
    println!("{cases} cases");
    cases
}

/// Mostly a few bytes, at times many; of some alphabets.
fn bytes(chance: &mut Chance) -> Vec<u8> {
    let len = match chance.below(10) {
        0 => 0,
        1 => chance.below(5_000),
        _ => chance.below(40),
    };
    let alphabet = chance.below(3);
    let byte = |chance: &mut Chance| match alphabet {
        0 => b'a' + chance.below(4) as u8,
        1 => chance.below(256) as u8,
        _ => *[0, 1, 0x7f, 0x80, 0xbf, 0xc0, 0xe0, 0xed, 0xf0, 0xff, b'/', b'\n']
            .get(chance.below(12) as usize)
            .unwrap_or(&0),
    };
    (0..len).map(|_| byte(chance)).collect()
}

fn text(chance: &mut Chance) -> String {
    String::from_utf8_lossy(&bytes(chance)).into_owned()
}

fn optional(chance: &mut Chance) -> Option<Vec<u8>> {
    (!chance.one_in(4)).then(|| bytes(chance))
}

#[test]
fn any_record_reaches_the_plugin_and_comes_back_as_it_was() {
    let (engine, scope) = (Engine::new(2, 64 * MIB).expect("an engine"), scope(Duration::from_secs(5)));
    let mut runs = Runs::start(&engine, &compiled(&engine, &plugin("echo")), &scope).expect("echo runs");
    let number = |chance: &mut Chance| (chance.below(1 << 32) << 32 | chance.below(1 << 32)) as i64;
    fuzz(|chance| {
        let headers: Vec<Header> = (0..chance.below(6)).map(|_| (text(chance), optional(chance))).collect();
        let (topic, key, value) = (text(chance), optional(chance), optional(chance));
        let record = Record {
            topic: &topic,
            partition: number(chance) as i32,
            offset: number(chance),
            timestamp: number(chance),
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        };
        let outputs = runs.give(&record).expect("it is echoed");
        let [output] = &outputs[..] else { panic!("{} outputs", outputs.len()) };
        assert_eq!((&output.key, &output.value), (&key, &value));
        let came: Vec<Header> =
            output.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
        assert_eq!(came, headers);
    });
}

#[test]
fn any_memory_that_a_plugin_calls_its_result_is_outputs_or_a_failure() {
    let (engine, scope) = (Engine::new(2, 64 * MIB).expect("an engine"), scope(Duration::from_secs(5)));
    let version = compiled(&engine, &plugin("babbles"));
    let mut runs = Runs::start(&engine, &version, &scope).expect("babbles runs");
    let (mut taken, mut failed) = (0, 0);
    fuzz(|chance| {
        // Words that are lengths, addresses near by, cases, or anything.
        let word = |chance: &mut Chance| match chance.below(6) {
            0 => 0,
            1 => 1,
            2 => chance.below(8) as u32,
            3 => chance.below(65_536) as u32,
            4 => 131_072 - chance.below(200) as u32,
            _ => chance.below(1 << 32) as u32,
        };
        let words = 3 + chance.below(120);
        let mut memory: Vec<u8> = (0..words).flat_map(|_| word(chance).to_le_bytes()).collect();
        if chance.one_in(2) {
            // An Ok with a list that stands in what follows.
            memory[..12].copy_from_slice(&[0, 0, 0, 0, 16, 0, 0, 0, chance.below(6) as u8, 0, 0, 0]);
        }
        match runs.ask(&memory) {
            Ok(_) => taken += 1,
            Err(failure) => {
                failed += 1;
                assert!(!failure.to_string().is_empty());
                if failure.spoils_instance() {
                    runs.restart(&engine, &version, &scope);
                }
            }
        }
    });
    assert!(taken > 0 && failed > 0, "{taken} were outputs, {failed} failures");
}

#[test]
fn any_bytes_that_a_plugin_calls_a_key_are_taken_or_refused() {
    let (engine, scope) = (Engine::new(2, 64 * MIB).expect("an engine"), scope(Duration::from_secs(5)));
    let version = compiled(&engine, &plugin("keys"));
    let mut runs = Runs::start(&engine, &version, &scope).expect("keys runs");
    let (mut taken, mut failed) = (0, 0);
    fuzz(|chance| match runs.ask(&bytes(chance)) {
        Ok(_) => taken += 1,
        Err(failure) => {
            failed += 1;
            assert_eq!(failure.kind(), "trap", "{failure}");
            runs.restart(&engine, &version, &scope);
        }
    });
    assert!(taken > 0 && failed > 0, "{taken} were taken, {failed} refused");
}

const DOCUMENT: &str = r#"
app = "patients"
[kafka]
"bootstrap.servers" = "localhost:9092"
"sasl.password" = "secret"
[host]
id = "ward-3"
workers = 2
admin = "127.0.0.1:9640"
max-instances = 100
[delivery]
guarantee = "exactly-once"
commit-interval = "200ms"
[plugins]
dir = "plugins"
max-size = "64MiB"
trusted-keys = []
[redis]
url = "redis://user:password@localhost:6379/0"
timeout = "1s"
[[pipeline]]
name = "locations"
source = "locations"
start = "latest"
sink = "enriched"
dead-letter = "dead"
provenance = true
[[pipeline.stage]]
plugin = "last-location"
name = "last"
topics = ["a", "b"]
timeout = "1s"
memory = "64MiB"
outputs = 10
log = "info"
capsules = 5
isolation = "record"
on-failure = "hold"
retry = { attempts = 5, backoff = "100ms", max-backoff = "10s" }
state = { backend = "disk", changelog = true, max-bytes = "1GiB", max-value = "1MiB", replication-factor = 3 }
config = { unit = "m", many = 1.5, on = true }
"#;

/// What takes the place of a word.
const WORDS: [&str; 24] = [
    "",
    "\"",
    "=",
    "[",
    "]]",
    "{",
    "}",
    "-1",
    "0",
    "1e400",
    "99999999999999999999",
    "true",
    "1979-05-27",
    "\"off\"",
    "\"18446744073709551616MiB\"",
    "\"1h\"",
    "\"é\"",
    "\"\\u0000\"",
    "'''",
    "[[pipeline]]",
    "[kafka.x]",
    "#",
    "\n",
    "name",
];

#[test]
fn any_text_is_a_configuration_or_told_what_is_wrong() {
    let (mut taken, mut refused) = (0, 0);
    fuzz(|chance| {
        let mut document = DOCUMENT.to_owned();
        for _ in 0..chance.below(4) {
            let at = document.floor_char_boundary(chance.below(document.len() as u64 + 1) as usize);
            let end = document.floor_char_boundary((at + chance.below(12) as usize).min(document.len()));
            match chance.below(4) {
                0 => document.replace_range(at..end, ""),
                1 => document.replace_range(at..end, WORDS[chance.below(24) as usize]),
                2 => document.insert_str(at, &text(chance)),
                _ => {
                    let lines: Vec<&str> = DOCUMENT.lines().collect();
                    let line = format!("\n{}\n", lines[chance.below(lines.len() as u64) as usize]);
                    document.insert_str(at, &line);
                }
            }
        }
        let variables = ["GREGOR__HOST__WORKERS", "GREGOR__PIPELINE__0__STAGE__0__TOPICS", "GREGOR__X__Y", "GREGOR__"];
        let variable = (variables[chance.below(4) as usize].to_owned(), text(chance));
        let env = chance.one_in(3).then_some(variable);
        match Config::parse(&document, "gregor.toml", Path::new("."), env, &|_, _| Ok(())) {
            Ok(config) => {
                taken += 1;
                assert!(!format!("{:?}", config.redis).contains("password"), "a secret shows");
            }
            Err(errors) => {
                refused += 1;
                assert!(!errors.to_string().is_empty());
            }
        }
    });
    assert!(taken > 0 && refused > 0, "{taken} were taken, {refused} refused");
}
