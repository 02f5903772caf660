//! The plugins that need no code: as their pages show them, and through a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::author::{author, path, text};
use crate::support::examples::examples;
use crate::support::{PATIENCE, Pipeline, Received, Record, SHELF, Setup, Stage, kafka, plugin, until_within};

/// What the cookbook uses beside the shelf.
const OTHERS: [&str; 1] = ["key-by"];
/// So many examples run at a time.
const AT_ONCE: usize = 2;

/// One of these tests at a time: each compiles several components, and would keep the
/// hosts of the others from their turn.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A folder of plugins, as `plugins.dir` has them.
fn components() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in SHELF.iter().chain(&OTHERS) {
        fs::write(folder.path().join(format!("{name}.wasm")), plugin(name)).expect("written");
    }
    folder
}

/// Runs all of them, a few at a time; what is wrong.
fn each<T: Sync>(items: &[T], run: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let run = &run;
    let parts = items.chunks(items.len().div_ceil(AT_ONCE).max(1));
    std::thread::scope(|scope| {
        let threads: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().filter_map(|item| run(item).err()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

#[test]
fn every_readme_shows_what_comes_out() {
    let _alone = alone();
    let components = components();
    let mut shown = Vec::new();
    for name in SHELF {
        let page = fs::read_to_string(root().join("plugins").join(name).join("README.md")).expect("a README");
        let of_page = examples(&page);
        assert!(of_page.len() >= 3, "{name} has {} examples", of_page.len());
        shown.extend(of_page.into_iter().map(|example| (name, example)));
    }
    let wrong = each(&shown, |(name, example)| {
        example.run(Some(name), components.path()).map_err(|problem| format!("{name}: {problem}"))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recipe_of_the_cookbook_works() {
    let _alone = alone();
    let components = components();
    let page = fs::read_to_string(root().join("docs/cookbook.md")).expect("the cookbook");
    let recipes = examples(&page);
    assert_eq!(recipes.len(), page.matches("\n## ").count() - 1, "a recipe under each heading but the last");
    for recipe in &recipes {
        let lines = recipe.config.lines().count();
        assert!(lines < 15, "the recipe at line {} has {lines} lines of configuration", recipe.line);
    }
    let wrong = each(&recipes, |recipe| recipe.run(None, components.path()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_case_file_comes_out_as_expected() {
    let _alone = alone();
    let components = components();
    let wrong = each(&SHELF, |name| {
        let cases = root().join("plugins").join(name).join("cases");
        let file = |file: &str| path(&cases.join(file)).to_owned();
        let component = path(&components.path().join(format!("{name}.wasm"))).to_owned();
        let (config, records, expected) = (file("gregor.toml"), file("all.records.jsonl"), file("all.expected.jsonl"));
        let output = author(&["test", &component, "--config", &config, "--records", &records, "--expect", &expected]);
        match output.status.code() {
            Some(0) => Ok(()),
            _ => Err(format!("{name}: {}{}", text(&output.stdout), text(&output.stderr))),
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Key and value of each, text that is JSON as such.
fn told(outputs: &[Received]) -> Vec<(Option<String>, Value)> {
    let value = |output: &Received| serde_json::from_str(output.text()).unwrap_or_else(|_| output.text().into());
    outputs
        .iter()
        .map(|output| (output.key.clone().map(|key| String::from_utf8(key).expect("text")), value(output)))
        .collect()
}

fn to(key: &str, value: Value) -> (Option<String>, Value) {
    (Some(key.to_owned()), value)
}

/// A plugin, its configuration, records, and key and value of what comes of them.
type Line = (&'static str, String, Vec<Record>, Vec<(Option<String>, Value)>);

#[test]
fn each_plugin_works_in_a_host() {
    let _alone = alone();
    let of = |key: &str, value: &str, at: i64| Record::new(key, value).timestamp(at);
    // An hour that holds the whole test, whenever it runs.
    let ever = "100000h";
    let lines: [Line; SHELF.len()] = [
        (
            "absence",
            r#"{ after = "10s", time = "event" }"#.into(),
            vec![of("7", "x", 1_000), of("8", "x", 12_000)],
            vec![to("7", json!({"status": "absent", "lastSeen": 1000, "silentMs": 10_000, "alarms": 1}))],
        ),
        (
            "aggregate",
            r#"{ window = "10s", aggregates = "mean = mean /n" }"#.into(),
            vec![of("7", r#"{"n":1}"#, 1), of("7", r#"{"n":2}"#, 9_999), of("8", r#"{"n":9}"#, 10_000)],
            vec![to("7", json!({"windowStart": 0, "windowEnd": 10_000, "mean": 1.5}))],
        ),
        (
            "changes",
            r#"{ fields = "/ward", first = "skip" }"#.into(),
            vec![of("7", r#"{"ward":"A"}"#, 0), of("7", r#"{"ward":"A"}"#, 0), of("7", r#"{"ward":"B"}"#, 0)],
            vec![to("7", json!({"changes": [{"field": "/ward", "old": "A", "new": "B"}]}))],
        ),
        (
            "dedupe",
            format!("{{ within = {ever:?} }}"),
            vec![of("7", "a", 0), of("8", "a", 0), of("7", "b", 0)],
            vec![to("7", json!("a")), to("7", json!("b"))],
        ),
        (
            "mask",
            r#"{ steps = "remove name\nlast 1 @key" }"#.into(),
            vec![of("17", r#"{"name":"Ada","n":2}"#, 0)],
            vec![to("*7", json!({"n": 2}))],
        ),
        (
            "shape",
            r#"{ steps = "rename /id /patientId\nkey /patientId" }"#.into(),
            vec![of("x", r#"{"id":"7"}"#, 0)],
            vec![to("7", json!({"patientId": "7"}))],
        ),
        (
            "throttle",
            format!("{{ per = {ever:?} }}"),
            vec![of("7", "a", 0), of("7", "b", 0), of("8", "c", 0)],
            vec![to("7", json!("a")), to("8", json!("c"))],
        ),
    ];
    let mut setup = Setup::new().workers(1);
    let mut sinks = Vec::new();
    for (name, config, records, expected) in lines {
        let [source, sink, dead] = [(); 3].map(|()| kafka().topic(1));
        // Not at 0, which the client library takes for now.
        let bad = Record::new("bad", b"\xff{").timestamp(1);
        let is_bad = !matches!(name, "absence" | "dedupe" | "throttle");
        kafka().produce(&source, records.into_iter().chain(is_bad.then_some(bad)));
        let stage = Stage::new(name).set("config", &config);
        setup = setup.pipeline(Pipeline::named(name, &source).sink(&sink).dead_letter(&dead).stage(stage));
        sinks.push((name, sink, dead, expected, usize::from(is_bad)));
    }
    // It compiles seven plugins first.
    let mut host = setup.spawn_as("one", &["--bounded"]);
    assert_eq!(host.wait_exit_within(3 * PATIENCE), Some(0));
    for (name, sink, dead, expected, bad) in sinks {
        assert_eq!(told(&kafka().read(&sink)), expected, "{name}");
        assert_eq!(kafka().read(&dead).len(), bad, "{name}: what cannot be read is a dead letter");
    }
}

const PATIENTS: usize = 20;
const SENT: usize = 600;

/// Records of a ward, every second one a repeat; `canary` is in all that must not come out.
fn ward(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Record> {
    numbers.map(|number| {
        let patient = format!("canary-{}", number % PATIENTS);
        let id = number / (2 * PATIENTS) * PATIENTS + number % PATIENTS;
        let value = json!({
            "id": id, "patient": patient, "name": "canary-name", "phone": "canary-555", "lat": 38.123456, "born": "1970-12-31",
        });
        Record::new(patient, value.to_string()).header("patient", Some(b"canary-header"))
    })
}

/// Dedupe and mask in one pipeline, throttle in another; a host that is killed, and another
/// machine after it.
#[test]
fn a_kill_repeats_nothing_and_changes_no_token() {
    let _alone = alone();
    let source = kafka().topic(3);
    let [masked, thinned, dead] = [(); 3].map(|()| kafka().topic(1));
    let state = "{ changelog = true }";
    let dedupe = Stage::new("dedupe").set("config", r#"{ by = "/id", within = "100000h" }"#).set("state", state);
    let steps = r#"{ steps = "token patient, @key\nremove name, @header:patient\nlast 3 phone\ngrid 0.01 lat\nyear born", hmac-key = "sixteen bytes or more" }"#;
    let mask = Stage::new("mask").set("config", steps).set("state", state);
    let throttle = Stage::new("throttle").set("config", r#"{ per = "100000h", at-most = 2 }"#).set("state", state);
    let setup = Setup::new()
        .workers(2)
        .delivery("guarantee", "\"exactly-once\"")
        .delivery("commit-interval", "\"50ms\"")
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .pipeline(Pipeline::named("masked", &source).sink(&masked).dead_letter(&dead).stage(dedupe).stage(mask))
        .pipeline(Pipeline::named("thinned", &source).sink(&thinned).dead_letter(&dead).stage(throttle));
    let mut one = setup.spawn_as("one", &[]);
    kafka().produce(&source, ward(0..SENT / 2));
    // It compiles three plugins first.
    until_within(3 * PATIENCE, "some outputs are committed", || kafka().read(&masked).len() >= PATIENTS);
    kafka().produce(&source, ward(SENT / 2..SENT));
    one.kill9();
    setup.lose_data("one");
    let mut two = setup.spawn_as("two", &[]);
    until_within(3 * PATIENCE, "all records are committed", || kafka().is_settled(&setup.app, &source));
    let told_outside = two.log() + &two.metrics() + &one.log();
    assert_eq!(two.term(), Some(0));
    // A transaction that the killed host left open hides what came after it, until it times out.
    [&masked, &thinned, &dead].into_iter().for_each(|topic| kafka().wait_until_decided(topic));

    let outputs = kafka().read(&masked);
    let mut tokens = BTreeMap::<u64, BTreeSet<String>>::new();
    let mut ids = BTreeSet::new();
    for output in &outputs {
        let value = output.json();
        let id = value["id"].as_u64().expect("a number");
        assert!(ids.insert(id), "{id} came twice");
        assert_eq!(
            (&value["phone"], &value["lat"], &value["born"]),
            (&json!("*******555"), &json!(38.12), &json!("1970"))
        );
        assert_eq!(value["patient"].as_str(), Some(output.key()), "key and field have one token");
        tokens.entry(id % PATIENTS as u64).or_default().insert(output.key().to_owned());
        let all =
            format!("{:?}{:?}", output.headers, String::from_utf8_lossy(output.value.as_deref().unwrap_or_default()));
        assert!(!all.contains("canary"), "{all}");
    }
    assert_eq!(ids.len(), SENT / 2);
    assert!(tokens.values().all(|tokens| tokens.len() == 1), "{tokens:?}");
    assert_eq!(tokens.values().flatten().collect::<BTreeSet<_>>().len(), PATIENTS, "a token for each patient");
    assert_eq!(kafka().read(&thinned).len(), 2 * PATIENTS);
    assert!(kafka().read(&dead).is_empty());
    assert!(!told_outside.contains("canary"), "{told_outside}");
    let changelog = format!("{}-masked-mask-changelog", setup.app);
    kafka().wait_until_decided(&changelog);
    let kept: String = kafka()
        .read(&changelog)
        .iter()
        .map(|entry| format!("{:?}{:?}", bytes(&entry.key), bytes(&entry.value)))
        .collect();
    // The host keeps the key of the record with it, for a source that grows.
    assert!(kept.contains("token/") && !kept.contains("canary-name") && !kept.contains("canary-555"), "{kept}");
}

fn bytes(bytes: &Option<Vec<u8>>) -> String {
    String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
}
