//! `gregor state`: entries from a running host, from where a stopped one left
//! them, and carried to another number of partitions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{
    Backend, Guarantee, Host, Patients, Pipeline, Record, Settings, Setup, Stage, Trial, kafka, redis_url, until,
};

const FOUND: Option<i32> = Some(0);
const NONE: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);
const NO_STATE: Option<i32> = Some(5);
const TOKEN: &str = "s3cret-of-the-ward";

/// The script plugin, its source, and the command line of its host's machine.
struct Script {
    setup: Setup,
    source: String,
    sink: String,
}

impl Script {
    fn new(partitions: i32, state: &str) -> Script {
        Script::with(partitions, state, |setup| setup)
    }

    fn with(partitions: i32, state: &str, more: impl FnOnce(Setup) -> Setup) -> Script {
        let (source, sink) = (kafka().topic(partitions), kafka().topic(1));
        let stage = Stage::new("script").set("state", state);
        let setup = more(Setup::new().workers(2)).pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
        let setup = if state.contains("redis") { setup.redis(&redis_url()) } else { setup };
        Script { setup, source, sink }
    }

    /// Sends commands, placed as Java's default partitioner places `key`.
    fn send(&self, key: &str, commands: &str) {
        kafka().produce(&self.source, [Record::new(key, commands)]);
    }

    /// Waits until everything that was sent is processed and committed.
    #[track_caller]
    fn settle(&self) {
        until("everything is committed", || kafka().is_settled(&self.setup.app, &self.source));
    }

    fn changelog(&self) -> String {
        format!("{}-main-script-changelog", self.setup.app)
    }

    /// `gregor state <command> main script <words>`, on the machine of host `one`.
    fn state(&self, command: &str, words: &[&str]) -> Output {
        state(&self.setup, command, "script", words)
    }

    #[track_caller]
    fn succeeds(&self, command: &str, words: &[&str]) -> String {
        succeeded(&self.state(command, words))
    }

    #[track_caller]
    fn refused(&self, command: &str, words: &[&str], code: Option<i32>, part: &str) {
        refused(&self.state(command, words), code, part);
    }
}

fn state(setup: &Setup, command: &str, stage: &str, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["state", command, "main", stage, "--config"])
        .arg(setup.write())
        .args(words)
        .env_remove("GREGOR_CONFIG")
        .env_remove("GREGOR_LOG")
        .env("GREGOR__HOST__DATA_DIR", "data-one")
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert_eq!(output.status.code(), FOUND, "{}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn refused(output: &Output, code: Option<i32>, part: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), code, "{error}");
    assert!(error.contains(part), "no {part:?} in {error}");
    assert!(output.stdout.is_empty(), "nothing is shown");
}

#[track_caller]
fn entries(document: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(document).expect("a JSON document");
    document["entries"].as_array().expect("a list").clone()
}

fn keys(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["key"].as_str().expect("a key")).collect()
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("a plain path")
}

fn admin(host: &Host) -> String {
    host.admin().expect("the host is ready")
}

#[test]
fn a_running_host_shows_its_state_to_who_has_the_token() {
    let token = format!("{TOKEN:?}");
    let script = Script::with(3, r#"{ backend = "memory" }"#, |setup| setup.host("admin-token", &token));
    let host = script.setup.start();
    kafka().produce(
        &script.source,
        [
            Record::new("x", "set a 1\nset b/1 x\nset b/2 y\nset gone z\ndelete gone").partition(0),
            Record::new("y", "set a 2\nset late z 3600000").partition(2),
        ],
    );
    script.settle();
    let admin = admin(&host);
    let ask = |command, words: &[&str]| script.state(command, &[words, &["--admin", &admin]].concat());

    assert_eq!(succeeded(&ask("get", &["b/1"])), "x\n");
    assert_eq!(succeeded(&ask("get", &["a"])), "partition 0: 1\npartition 2: 2\n");
    assert_eq!(succeeded(&ask("get", &["a", "--partition", "2"])), "2\n");
    refused(&ask("get", &["gone"]), NONE, "no such entry in partitions 0, 1, 2 of this host");
    refused(&ask("get", &["a", "--partition", "7"]), NO_STATE, "partition 7 is not on this host");

    let whole = succeeded(&ask("scan", &["--json"]));
    assert_eq!(keys(&entries(&whole)), ["a", "a", "b/1", "b/2", "late"]);
    let document: Value = serde_json::from_str(&whole).expect("a JSON document");
    assert_eq!((&document["from"], &document["partitions"]), (&json!("host"), &json!([0, 1, 2])));
    assert_eq!(entries(&whole)[0], json!({"partition": 0, "key": "a", "value": "1", "expiresAt": null}));
    assert!(entries(&whole)[4]["expiresAt"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{whole}");

    let page = succeeded(&ask("scan", &["--json", "--prefix", "b/", "--limit", "1"]));
    assert_eq!(keys(&entries(&page)), ["b/1"]);
    assert_eq!(keys(&entries(&succeeded(&ask("scan", &["--json", "--after", "b/1"])))), ["b/2", "late"]);
    refused(&ask("scan", &["--prefix", "nothing"]), NONE, "no entries");
    let table = succeeded(&ask("scan", &["--prefix", "b/"]));
    assert!(table.contains("b/2") && !table.contains("late"), "{table}");

    // Without the token, and with a wrong one.
    let route = "/api/v1/state/main/script?key=a";
    assert_eq!(host.ask(route).map(|(status, _)| status), Some(401));
    let wrong = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["state", "get", "main", "script", "a", "--admin", &admin, "--config"])
        .arg(script.setup.write())
        .env("GREGOR__HOST__ADMIN_TOKEN", "another-token-altogether")
        .output()
        .expect("the binary runs");
    refused(&wrong, USAGE, "wants a token");
    assert!(!host.log().contains("b/1"), "keys are not logged");
}

#[test]
fn a_host_without_a_token_shows_its_state_to_nobody() {
    let script = Script::new(1, r#"{ backend = "memory" }"#);
    let host = script.setup.start();
    script.send("x", "set a 1");
    script.settle();
    let (status, body) = host.ask("/api/v1/state/main/script?key=a").expect("an answer");
    assert_eq!(status, 403);
    assert!(body.contains("host.admin-token"), "{body}");
    script.refused("get", &["a", "--admin", &admin(&host)], NO_STATE, "`host.admin-token`");
}

#[test]
fn pages_from_many_partitions_hold_every_entry_once() {
    let token = format!("{TOKEN:?}");
    let script = Script::with(4, r#"{ backend = "memory" }"#, |setup| setup.host("admin-token", &token));
    let host = script.setup.start();
    let write =
        |from: usize| (from..1_500).step_by(4).map(|n| format!("set k/{n:04} x")).collect::<Vec<_>>().join("\n");
    kafka().produce(&script.source, (0..4).map(|n| Record::new("x", write(n as usize)).partition(n)));
    script.settle();
    let listed = script.succeeds("scan", &["--json", "--limit", "5000", "--admin", &admin(&host)]);
    let listed = entries(&listed);
    let expected: Vec<String> = (0..1_500).map(|n| format!("k/{n:04}")).collect();
    assert_eq!(keys(&listed), expected);
}

#[test]
fn a_stopped_hosts_state_is_read_from_its_changelog() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let script = Script::with(2, Backend::Memory.state(), |setup| setup.delivery("guarantee", guarantee.toml()));
        kafka().produce(
            &script.source,
            [
                Record::new("x", "set x 1\nset other 2\nset gone 3").partition(1),
                Record::new("x", "delete gone\nset short s 1\nset x 4").partition(1),
                Record::keyless("set keyless 5").partition(0),
            ],
        );
        script.setup.run_bounded();
        assert_eq!(script.succeeds("get", &["x"]), "4\n");
        script.refused("get", &["gone"], NONE, "no such entry in partitions 0, 1 of changelog");
        let listed = entries(&script.succeeds("scan", &["--json"]));
        let entry = |partition, key: &str, record_key: Value, value: &str| json!({"partition": partition, "key": key, "recordKey": record_key, "value": value, "expiresAt": null});
        let expected =
            [entry(0, "keyless", Value::Null, "5"), entry(1, "other", json!("x"), "2"), entry(1, "x", json!("x"), "4")];
        assert_eq!(listed, expected, "{guarantee:?}");
        script.refused("get", &["x", "--from", "disk"], USAGE, "does not keep its state there (--from disk)");
        script.refused("get", &["x", "--from", "host"], USAGE, "--admin");
    }
}

#[test]
fn memory_alone_has_nothing_to_show_once_its_host_is_stopped() {
    let script = Script::new(1, r#"{ backend = "memory" }"#);
    script.send("x", "set a 1");
    script.setup.run_bounded();
    script.refused("get", &["a"], NO_STATE, "it ends with its host");
    script.refused("export", &[], NO_STATE, "it ends with its host");
}

#[test]
fn a_stopped_hosts_state_is_read_from_its_disk() {
    let script = Script::new(2, r#"{ backend = "disk" }"#);
    kafka().produce(&script.source, [Record::new("x", "set a 1\nset b 2").partition(1)]);
    script.setup.run_bounded();
    assert_eq!(script.succeeds("get", &["a"]), "1\n");
    let listed = entries(&script.succeeds("scan", &["--json", "--from", "disk"]));
    assert_eq!(keys(&listed), ["a", "b"]);
    script.refused("get", &["a", "--from", "changelog"], USAGE, "does not keep its state there");
    // Looking took nothing away.
    kafka().produce(&script.source, [Record::new("x", "increment a 1").partition(1)]);
    script.setup.run_bounded();
    assert_eq!(script.succeeds("get", &["a"]), "2\n");
    // A running host has its folder to itself.
    let host = script.setup.start();
    script.refused("get", &["a"], NO_STATE, "in use by another process");
    drop(host);
}

#[test]
fn state_in_redis_is_read_once_its_hosts_are_stopped() {
    let script = Script::new(2, Backend::Redis.state());
    kafka().produce(&script.source, [Record::new("x", "set a 1\nset b 2").partition(0)]);
    let mut host = script.setup.start();
    script.settle();
    script.refused("get", &["a"], NO_STATE, "has members: stop all its hosts first");
    assert_eq!(host.term(), Some(0));
    assert_eq!(script.succeeds("get", &["a"]), "1\n");
    kafka().produce(&script.source, [Record::new("x", "increment a 1").partition(0)]);
    script.setup.run_bounded();
    assert_eq!(script.succeeds("get", &["a"]), "2\n");
}

#[test]
fn a_stage_that_does_not_exist_is_told_with_those_that_do() {
    let script = Script::new(1, r#"{ backend = "memory" }"#);
    refused(
        &state(&script.setup, "get", "scrpt", &["a"]),
        USAGE,
        "pipeline `main` has no stage `scrpt`: it has script",
    );
}

/// Exports to a file of the setup's folder.
#[track_caller]
fn exported(setup: &Setup, stage: &str) -> PathBuf {
    let file = setup.path().join("export.jsonl");
    succeeded(&state(setup, "export", stage, &["--output", path(&file), "--force"]));
    file
}

#[test]
fn an_export_is_its_owners_alone_and_replaces_nothing_unasked() {
    let script = Script::new(2, Backend::Memory.state());
    kafka().produce(
        &script.source,
        [
            Record::new("x", "set b 1\nset a 2\nset short s 1").partition(1),
            Record::keyless("set z 3 3600000").partition(0),
        ],
    );
    script.setup.run_bounded();
    let file = script.setup.path().join("export.jsonl");
    let words = ["--output", path(&file)];
    assert_eq!(script.succeeds("export", &words), "", "the summary goes to standard error");
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    let lines: Vec<Value> = fs::read_to_string(&file)
        .expect("the file")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let order: Vec<_> = lines.iter().map(|line| (line["partition"].as_i64(), line["key"].as_str())).collect();
    assert_eq!(order, [(Some(0), Some("z")), (Some(1), Some("a")), (Some(1), Some("b"))]);
    let expected = json!({
        "pipeline": "main", "stage": "script", "partition": 1, "key": "a",
        "recordKey": "x", "value": "2", "expiresAt": null,
    });
    assert_eq!(lines[1], expected);
    script.refused("export", &words, USAGE, "is there already");
    script.succeeds("export", &[&words[..], &["--force"]].concat());
    assert_eq!(script.succeeds("export", &[]), fs::read_to_string(&file).expect("the file"));
    let left: Vec<_> = fs::read_dir(script.setup.path()).expect("the folder").flatten().collect();
    assert!(!left.iter().any(|entry| entry.file_name().to_string_lossy().contains("gregor-export")), "{left:?}");
}

/// Each of some keys finds its own entry again after the source has grown.
#[track_caller]
fn moves_to_more_partitions(state: &str, replace: &[&str]) {
    const KEYS: usize = 40;
    let script = Script::new(2, state);
    let keys: Vec<String> = (0..KEYS).map(|n| format!("key-{n}")).collect();
    let write = |key: &String| Record::new(key.clone(), format!("set {key} of-{key}\nset {key}/n 1"));
    kafka().produce(&script.source, keys.iter().map(write));
    script.setup.run_bounded();
    let file = exported(&script.setup, "script");
    kafka().grow(&script.source, 5);
    if replace.is_empty() {
        kafka().delete(&script.changelog());
    }
    script.succeeds("import", &[&["--input", path(&file)], replace].concat());
    let ask = |key: &String| Record::new(key.clone(), format!("get {key}\nincrement {key}/n 1\nscan {key}/ - 9"));
    kafka().produce(&script.source, keys.iter().map(ask));
    script.setup.run_bounded();
    let answers = kafka().read(&script.sink);
    assert_eq!(answers.len(), 2 * KEYS);
    for answer in &answers[KEYS..] {
        let key = answer.key();
        assert_eq!(answer.text(), format!("of-{key}\n2\n{key}/n=2"));
    }
    let listed = entries(&script.succeeds("scan", &["--json", "--limit", "1000"]));
    assert_eq!(listed.len(), 2 * KEYS, "every entry stands in one partition only");
}

#[test]
fn state_with_a_changelog_moves_to_more_partitions() {
    moves_to_more_partitions(Backend::Memory.state(), &[]);
    moves_to_more_partitions(Backend::Disk.state(), &[]);
}

#[test]
fn state_on_disk_alone_moves_to_more_partitions() {
    moves_to_more_partitions(r#"{ backend = "disk" }"#, &["--replace"]);
}

#[test]
fn state_in_redis_moves_to_more_partitions() {
    moves_to_more_partitions(Backend::Redis.state(), &["--replace"]);
}

#[test]
fn a_source_grows_from_6_to_8_and_every_patients_count_goes_on() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let settings = Settings::or(4_000, 1);
        let trial = Trial::new(Backend::Memory, guarantee, settings);
        let changelog = format!("{}-main-last-location-changelog", trial.setup.app);
        let mut patients = Patients::new(settings.seed);
        let half = (settings.records / 2) as usize;
        trial.kafka.produce(&trial.source, patients.by_ref().take(half));
        let mut host = trial.setup.start();
        trial.settle();
        assert_eq!(host.term(), Some(0));

        let file = exported(&trial.setup, "last-location");
        trial.kafka.delete(&changelog);
        trial.kafka.grow(&trial.source, 8);
        let import = |words: &[&str]| {
            state(&trial.setup, "import", "last-location", &[&["--input", path(&file)], words].concat())
        };
        let rows = |table: &str| {
            let entries = |line: &str| line.split_whitespace().nth(1)?.parse::<usize>().ok();
            table.lines().filter_map(entries).collect::<Vec<_>>()
        };
        let planned = rows(&succeeded(&import(&["--dry-run"])));
        assert_eq!(trial.kafka.partitions(&changelog), 0, "a dry run writes nothing");
        let lines = fs::read_to_string(&file).expect("the file").lines().count();
        assert_eq!((planned.len(), planned.iter().sum::<usize>()), (8, lines));
        assert_eq!(rows(&succeeded(&import(&[]))), planned);
        assert_eq!(trial.kafka.partitions(&changelog), 8);
        refused(&import(&[]), NO_STATE, "--delete --topic");

        let mut host = trial.setup.start();
        trial.kafka.produce(&trial.source, patients.by_ref().take(half));
        trial.settle();
        refused(&import(&[]), NO_STATE, "has members: stop all its hosts first");
        assert_eq!(host.term(), Some(0));
        trial.verify(&patients.produced());
    }
}

#[test]
fn an_import_that_is_not_fit_writes_nothing() {
    let script = Script::new(2, Backend::Memory.state());
    script.send("x", "set a 1\nset b 2\nset c 3");
    script.setup.run_bounded();
    let file = exported(&script.setup, "script");
    kafka().delete(&script.changelog());
    let good = fs::read_to_string(&file).expect("the file");
    let import = ["--input", path(&file)];
    fs::write(&file, good.replace(r#""value":"3""#, r#""value":3"#)).expect("the file");
    script.refused("import", &import, NO_STATE, "export.jsonl:3: is no line of an export");
    fs::write(
        &file,
        good.replace(r#""recordKey":"x""#, r#""recordKey":null"#)
            .replace(r#""partition":1"#, r#""partition":4"#)
            .replace(r#""partition":0"#, r#""partition":4"#),
    )
    .expect("the file");
    script.refused("import", &import, NO_STATE, "3 entries were written by records without a key");
    assert_eq!(kafka().partitions(&script.changelog()), 0, "nothing was written");
    script.refused("import", &[&import[..], &["--replace"]].concat(), NO_STATE, "without a key");
    fs::write(&file, good).expect("the file");
    script.refused("import", &[&import[..], &["--replace"]].concat(), USAGE, "--replace is for disk and redis");
    script.succeeds("import", &import);
    assert_eq!(script.succeeds("get", &["c"]), "3\n");
}

#[test]
fn stores_that_hold_something_are_replaced_only_when_asked() {
    for backend in [r#"{ backend = "disk" }"#, Backend::Redis.state()] {
        let script = Script::new(2, backend);
        script.send("x", "set a 1");
        script.setup.run_bounded();
        let file = exported(&script.setup, "script");
        script.send("x", "set a 2\nset b 3");
        script.setup.run_bounded();
        let import = ["--input", path(&file)];
        script.refused("import", &import, NO_STATE, "--replace");
        assert_eq!(script.succeeds("get", &["a"]), "2\n");
        script.succeeds("import", &[&import[..], &["--replace"]].concat());
        assert_eq!(script.succeeds("get", &["a"]), "1\n");
        script.refused("get", &["b"], NONE, "no such entry");
    }
}
