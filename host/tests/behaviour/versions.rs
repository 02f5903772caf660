//! The versions of a plugin: deployed through the API, kept, brought back.

use std::fs;
use std::process::{Command, Output};

use gregor::plugin::Digest;
use serde_json::Value;

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Host, Setup, eventually, plugin, until};

const NAME: &str = "versioned";
const TOKEN: &str = "s3cret";

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn setup(topics: &Topics, lines: &str) -> Setup {
    Setup::new().workers(1).plugin(NAME, &plugin("version-a")).pipeline(topics.pipeline().stage(stage(NAME, lines)))
}

/// A host with an admin token, its plugin version a.
fn spawn(setup: &Setup) -> Host {
    Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)])
}

fn started(lines: &str) -> Line {
    started_with(lines, |setup| setup)
}

fn started_with(lines: &str, more: impl FnOnce(Setup) -> Setup) -> Line {
    let topics = Topics::new(1);
    let setup = more(setup(&topics, lines));
    let host = spawn(&setup);
    host.wait_until_ready();
    Line::of(topics, setup, host)
}

fn deploy(line: &Line, bytes: &[u8]) -> (u16, Value) {
    line.host.post(&format!("/api/v1/plugins/{NAME}"), TOKEN, bytes)
}

fn runs(line: &Line, bytes: &[u8]) -> bool {
    line.plugin(NAME)["digest"] == digest(bytes).as_str()
}

/// The host ends and comes back.
fn restart(line: &mut Line) {
    assert_eq!(line.host.term(), Some(0));
    line.host = spawn(&line.setup);
    line.host.wait_until_ready();
}

/// `gregor plugin …` for the host of `line`.
fn command(line: &Line, arguments: &[&str], code: i32) -> String {
    let admin = eventually("an admin server", || line.host.admin());
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .arg("plugin")
        .args(arguments)
        .args(["--admin", &admin])
        .env("GREGOR_ADMIN_TOKEN", TOKEN)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "gregor plugin {arguments:?}: {said}");
    said
}

/// The audit log of the host, as action, outcome, who and new digest.
fn audited(line: &Line) -> Vec<[String; 4]> {
    let text = fs::read_to_string(line.setup.data("one").join("audit.log")).expect("an audit log");
    let word = |value: &Value| value.as_str().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned();
    let read = |text: &str| {
        let line: Value = serde_json::from_str(text).expect("a line of JSON");
        assert_eq!(line["plugin"], NAME);
        ["action", "outcome", "who", "new"].map(|key| word(&line[key]))
    };
    text.lines().map(read).collect()
}

fn audit_line(action: &str, outcome: &str, who: &str, bytes: &[u8]) -> [String; 4] {
    [action.to_owned(), outcome.to_owned(), who.to_owned(), digest(bytes)]
}

/// An upload that does not say how long it is.
fn unannounced(line: &Line, mut bytes: &[u8]) -> (u16, String) {
    let address = eventually("an admin server", || line.host.admin());
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let request = agent
        .post(format!("http://{address}/api/v1/plugins/{NAME}"))
        .header("authorization", format!("Bearer {TOKEN}"));
    let mut answer = request.send(ureq::SendBody::from_reader(&mut bytes)).expect("the admin API answers");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a body"))
}

#[test]
fn a_version_is_deployed_listed_and_rolled_back_by_commands() {
    let line = started_with("", |setup| setup.workers(2));
    let [a, b] = ["version-a", "version-b"].map(plugin);
    let file = line.setup.path().join("b.wasm");
    fs::write(&file, &b).expect("written");
    let path = file.to_str().expect("a plain path");
    let said = command(&line, &["deploy", path, "--plugin", NAME], 0);
    assert!(said.contains(&format!("{NAME}: version {} runs on every worker", Digest::of(&b).short())), "{said}");
    assert!(runs(&line, &b));
    assert_eq!(line.ask(0, "x"), "x");
    assert!(command(&line, &["deploy", path, "--plugin", NAME], 0).contains("runs already"));
    assert!(command(&line, &["list"], 0).contains(&Digest::of(&b).short()));
    let history = command(&line, &["history", NAME], 0);
    let (first, second) = (history.find(&Digest::of(&b).short()), history.find(&Digest::of(&a).short()));
    assert!(first.is_some() && first < second && history.contains("in force"), "{history}");
    let said = command(&line, &["rollback", NAME], 0);
    assert!(said.contains(&Digest::of(&a).short()), "{said}");
    assert!(runs(&line, &a));
    assert!(command(&line, &["history", NAME], 0).contains("rolled back"));
    assert!(command(&line, &["rollback", NAME], 4).contains("have to be named with `--to`"));
    let shown: Value =
        serde_json::from_str(&command(&line, &["rollback", NAME, "--to", &digest(&b)[..8], "--json"], 0))
            .expect("JSON");
    assert_eq!((&shown["outcome"], &shown["digest"]), (&"activated".into(), &digest(&b).as_str().into()));
    assert!(runs(&line, &b));
    assert!(command(&line, &["deploy", path], 1).contains("no stage runs such a plugin"));
    assert_eq!(
        audited(&line),
        [
            audit_line("deploy", "activated", "folder", &a),
            audit_line("deploy", "activated", "api", &b),
            audit_line("rollback", "activated", "api", &a),
            ["rollback".to_owned(), "refused".to_owned(), "api".to_owned(), String::new()],
            audit_line("rollback", "activated", "api", &b),
        ]
    );
}

#[test]
fn a_version_that_was_rolled_back_does_not_come_back_by_itself() {
    let mut line = started("");
    let [a, b] = ["version-a", "version-b"].map(plugin);
    line.setup.put(NAME, &b);
    until("version b runs", || runs(&line, &b));
    command(&line, &["rollback", NAME], 0);
    assert!(runs(&line, &a));
    restart(&mut line);
    line.host.wait_for_log("stays out of force");
    assert!(runs(&line, &a), "the folder still holds version b");
    assert_eq!(line.ask(0, "x"), "x");
    // Another file is another deploy, and then the first one is too.
    let c = revised(&b);
    for version in [&c, &b] {
        line.setup.put(NAME, version);
        until("the version runs", || runs(&line, version));
    }
}

#[test]
fn a_version_deployed_through_the_api_outlives_a_restart() {
    let mut line = started("");
    let b = plugin("version-b");
    assert_eq!(deploy(&line, &b).0, 200);
    restart(&mut line);
    assert!(runs(&line, &b), "the folder still holds version a");
    fs::remove_file(line.setup.plugin_file(NAME)).expect("removed");
    restart(&mut line);
    assert!(runs(&line, &b), "the folder holds none");
    assert!(line.plugin(NAME)["refused"].as_str().is_some_and(|why| why.contains("does not exist")));
    assert_eq!(line.host.term(), Some(0));
    // Not while it runs: it would be told then too.
    // A module, whole: no beginning of a component that somebody still writes.
    line.setup.put(NAME, b"\0asm\x01\0\0\0");
    line.host = spawn(&line.setup);
    line.host.wait_until_ready();
    assert!(runs(&line, &b), "the folder holds no version");
    assert!(line.plugin(NAME)["refused"].is_string());
    let refused = audited(&line).iter().filter(|line| line[1] == "refused").count();
    assert_eq!(refused, 1, "the file that is no version is told once");
}

#[test]
fn more_imports_than_before_need_an_approval() {
    let line = started("");
    let script = plugin("script");
    let words = "it imports `gregor:plugin/cache`, which the version before does not";
    line.setup.put(NAME, &script);
    until("the folder's file is refused", || {
        line.plugin(NAME)["refused"].as_str().is_some_and(|why| why.contains(words) && why.contains("--approve"))
    });
    let (status, answer) = deploy(&line, &script);
    assert_eq!(status, 422);
    assert!(answer["error"].as_str().is_some_and(|error| error.contains(words)), "{answer}");
    assert!(runs(&line, &plugin("version-a")));
    let file = line.setup.plugin_file(NAME);
    command(&line, &["deploy", file.to_str().expect("a plain path"), "--approve"], 0);
    assert!(runs(&line, &script));
    assert_eq!(line.ask(0, "increment n 1"), "1");
    let log = fs::read_to_string(line.setup.data("one").join("audit.log")).expect("an audit log");
    let last: Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["approved"], serde_json::json!(["gregor:plugin/cache"]));
    // Less needs none, and the same as before not either.
    line.setup.put(NAME, &plugin("version-b"));
    until("version b runs", || runs(&line, &plugin("version-b")));
}

#[test]
fn a_version_that_fails_in_its_probation_is_rolled_back_by_itself() {
    let line = started_with(r#"on-failure = "skip""#, |setup| setup.plugins("max-failure-rate", "\"20%\""));
    let a = plugin("version-a");
    let bad = plugin("fails");
    for _ in 0..50 {
        line.send(0, "key", "reject");
    }
    line.settle();
    line.setup.put(NAME, &bad);
    until("the new version runs", || runs(&line, &bad));
    for _ in 0..150 {
        line.send(0, "key", "reject");
    }
    line.flush();
    until("the version before is back", || runs(&line, &a));
    let refused = line.plugin(NAME)["refused"].clone();
    let why = refused.as_str().expect("it says why");
    assert!(why.contains("was rolled back") && why.contains("`plugins.max-failure-rate` (20%)"), "{why}");
    assert_eq!(audited(&line).last(), Some(&audit_line("rollback", "activated", "automatic", &a)));
    line.settle();
    assert_eq!(line.ask(0, "good"), "good");
}

#[test]
fn an_audit_log_that_is_a_link_is_refused() {
    let topics = Topics::new(1);
    let setup = setup(&topics, "");
    fs::create_dir_all(setup.data("one")).expect("a folder");
    std::os::unix::fs::symlink("/dev/full", setup.data("one").join("audit.log")).expect("a link");
    let (code, log) = setup.run_refused();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("audit.log: it is a link, and the host makes none here"), "{log}");
}

#[test]
fn without_room_for_the_audit_log_nothing_is_deployed() {
    let topics = Topics::new(1);
    let setup = setup(&topics, "");
    fs::create_dir_all(setup.data("one")).expect("a folder");
    // It is larger than the host may make a file: every write to it fails, as on a full disk.
    let audit = fs::File::create(setup.data("one").join("audit.log")).expect("a file");
    audit.set_len(2 << 30).expect("a file with a hole");
    let mut host = Host::spawn_on_disk_of(&setup.write(), "one", 1 << 30);
    assert_eq!(host.wait_exit(), Some(4), "{}", host.log());
    let log = host.log();
    assert!(log.contains("the audit log cannot be written, and nothing is changed without it"), "{log}");
}

#[test]
fn bad_uploads_are_refused_in_one_line_and_the_running_version_goes_on() {
    let line = started_with("", |setup| setup.plugins("max-size", "\"8MiB\""));
    let good = plugin("version-b");
    let native = wasmtime::Engine::default().precompile_component(&good).expect("wasmtime compiles it");
    let vast = vec![0; 200 << 20];
    assert_eq!(line.ask(0, "before"), "before");
    let bad: [(&[u8], &str); 9] = [
        (&good[..good.len() / 2], "it is damaged"),
        (b"", "it is empty"),
        (b"\x7fELF", "it is no WebAssembly"),
        (&native, "it is precompiled code"),
        (&plugin("no-processor"), "it exports no `gregor:plugin/processor@1`"),
        (&plugin("unknown-import"), "which this host does not offer"),
        (&plugin("init-rejects"), "could not be started"),
        (&plugin("init-traps"), "could not be started"),
        (&vast, "more than `plugins.max-size` (8388608)"),
    ];
    for (bytes, words) in &bad {
        let (status, answer) = line.host.post(&format!("/api/v1/plugins/{NAME}?approve=true"), TOKEN, bytes);
        assert_eq!(status, 422, "{words}: {answer}");
        let error = answer["error"].as_str().expect("an error");
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
        assert_eq!(line.plugin(NAME)["refused"], error);
    }
    let (status, answer) = unannounced(&line, &vast[..(8 << 20) + 1]);
    assert_eq!(status, 422, "{answer}");
    assert!(answer.contains("more than `plugins.max-size` (8388608)"), "{answer}");
    assert!(runs(&line, &plugin("version-a")));
    assert_eq!(line.ask(0, "after"), "after");
    line.expect_metric("gregor_plugin_swaps_total", &[r#"outcome="refused""#], bad.len() as f64 + 1.0);
    let refused = audited(&line).iter().filter(|line| line[1] == "refused").count();
    assert_eq!(refused, bad.len() + 1);
}
