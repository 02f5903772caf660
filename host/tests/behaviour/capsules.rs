//! Calls that failed, kept in files and made again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::extra::{Line, Topics, revised, stage, told};
use crate::support::{Record, Setup, plugin, until};

const SAME: Option<i32> = Some(0);
const OTHER: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

/// `gregor plugin test --capsule <file> <words>`.
fn again(file: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["plugin", "test", "--capsule"])
        .arg(file)
        .args(words)
        .env_remove("GREGOR_LOG")
        .output()
        .expect("the binary runs")
}

/// The files that the host `one` has kept.
fn kept(line: &Line) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(line.setup.path().join("data-one/capsules")) else { return Vec::new() };
    let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    // One that is being written is no capsule yet.
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    files
}

fn component(line: &Line, name: &str) -> String {
    let file = line.setup.path().join(format!("{name}.component"));
    fs::write(&file, plugin(name)).expect("written");
    file.to_str().expect("text").to_owned()
}

#[test]
fn a_call_that_failed_happens_again_byte_for_byte() {
    let state = r#"{ max-bytes = "4KiB" }"#;
    let line = Line::start(
        1,
        "confesses",
        &format!("capsules = 2\nisolation = \"record\"\nstate = {state}\nconfig = {{ unit = \"m\" }}"),
    );
    // Some 2,000 bytes, of which the call touches a part.
    for key in ["a", "b", "counted"] {
        line.send(0, key, if key == "counted" { "7" } else { "before" });
    }
    // Behind the others, as it stands in the words that are kept.
    line.send(0, "z", &"f".repeat(1_500));
    for _ in 0..3 {
        line.send(0, "key", "confess");
    }
    line.settle();
    let files = kept(&line);
    assert_eq!(files.len(), 2, "as many as were asked for: {files:?}");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!((mode(&files[0]), mode(files[0].parent().expect("a folder"))), (0o600, 0o700));

    let capsule: Value = serde_json::from_slice(&fs::read(&files[0]).expect("read")).expect("JSON");
    let words = capsule["outcome"]["guestText"].as_str().expect("the guest's words").to_owned();
    for part in ["written by the call", "8", "QuotaExceeded(4096)", "Some(\"m\")"] {
        let text = part.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        assert!(words.contains(part) || words.contains(&text), "{part} is not in {words}");
    }
    let same = component(&line, "confesses");
    let shown = told(&again(&files[0], &["--component", &same]), SAME);
    assert!(shown.contains("The call ended as it did then.") && shown.contains("the version that failed"), "{shown}");
    assert!(!shown.contains("QuotaExceeded"), "the plugin's words are told unasked: {shown}");
    let json: Value =
        serde_json::from_slice(&again(&files[0], &["--component", &same, "--words", "--json"]).stdout).expect("JSON");
    assert_eq!((&json["same"], &json["sameVersion"]), (&true.into(), &true.into()));
    assert_eq!(json["now"]["guestText"], words.as_str());

    // A clock of its own would change what the call sees.
    let mut other = capsule.clone();
    other["nowMs"] = (other["nowMs"].as_u64().expect("a number") + 1_000).into();
    let moved = files[0].with_file_name("moved.json");
    fs::write(&moved, other.to_string()).expect("written");
    assert!(told(&again(&moved, &["--component", &same]), OTHER).contains("The call ended otherwise"));

    let better = told(&again(&files[0], &["--component", &component(&line, "echo")]), OTHER);
    assert!(better.contains("ok: 1 outputs") && better.contains("another version"), "{better}");
}

#[test]
fn a_timer_that_failed_fires_again_byte_for_byte() {
    let line = Line::start(1, "timed", "capsules = 10");
    let at = |timestamp, commands: &str| {
        line.send_record(Record::new("patient", commands).partition(0).timestamp(timestamp));
    };
    // Two of one time, as windows of two patients have it, and one that each finds.
    at(1_000, "event ana-4711 5000\non ana-4711 confess\nevent rui-4712 5000\non rui-4712 confess\nevent other 9000");
    at(6_500, "ok");
    line.settle();
    assert_eq!(line.dead().len(), 2);
    let files = kept(&line);
    let names: Vec<_> = files.iter().map(|file| file.file_name().expect("a name").to_string_lossy()).collect();
    let expected = [1, 2].map(|nth| format!("line.timed.{}-0-event-time-5000-{nth}.json", line.topics.source));
    assert_eq!(names, expected, "as many as failed, and no timer's name in any");
    assert!(!line.host.log().contains("4711") && line.host.log().contains(&expected[0]));

    let same = component(&line, "timed");
    for (file, name) in [(&files[0], "ana-4711"), (&files[1], "rui-4712")] {
        let capsule: Value = serde_json::from_slice(&fs::read(file).expect("read")).expect("JSON");
        let words = capsule["outcome"]["guestText"].as_str().expect("the guest's words").to_owned();
        for part in ["true Ok(())", "Some(6500)", "on rui-4712"] {
            assert!(words.contains(part), "{part} is not in {words}");
        }
        let shown = told(&again(file, &["--component", &same]), SAME);
        let source = format!("{}-0 event-time timer of 1970-01-01T00:00:05.000Z", line.topics.source);
        assert!(shown.contains(&source) && shown.contains("The call ended as it did then."), "{shown}");
        assert!(!shown.contains(name), "a name that may hold a key is told unasked: {shown}");
        let json = again(file, &["--component", &same, "--words", "--json"]);
        let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
        assert_eq!(json["timer"], json!({ "domain": "event-time", "at": 5_000, "name": name }));
        assert_eq!((&json["same"], &json["now"]["guestText"]), (&true.into(), &words.as_str().into()));

        // Event time, the clock and what the random bytes are made of: each is seen.
        for (part, value) in [("watermark", json!(6_501)), ("nowMs", json!(7)), ("timer", capsule["timer"].clone())] {
            let mut other = capsule.clone();
            other[part] = value;
            if part == "timer" {
                other[part]["at"] = 5_001.into();
            }
            let moved = file.with_file_name("moved.json");
            fs::write(&moved, other.to_string()).expect("written");
            let shown = told(&again(&moved, &["--component", &same]), OTHER);
            assert!(shown.contains("The call ended otherwise"), "{part}: {shown}");
        }
    }
    let without = told(&again(&files[0], &["--component", &component(&line, "echo")]), OTHER);
    assert!(without.contains("it exports no timer-processor"), "{without}");
}

#[test]
fn a_record_that_came_out_of_a_timer_happens_again_in_the_stage_that_failed_on_it() {
    let topics = Topics::new(1);
    let pipeline = topics.pipeline().stage(stage("timed", "")).stage(stage("confesses", "capsules = 10"));
    let line = Line::run(topics, Setup::new().pipeline(pipeline));
    line.send_record(Record::new("patient", "clock ana 5\non ana give confess").partition(0));
    line.flush();
    until("the timer's output fails", || line.dead().len() == 1);
    let files = kept(&line);
    assert_eq!(files.len(), 1);
    let same = component(&line, "confesses");
    let shown = told(&again(&files[0], &["--component", &same]), SAME);
    assert!(shown.contains("processing-time timer of 1970-01-01T00:00:00.005Z"), "{shown}");
    assert!(shown.contains("confesses of line") && shown.contains("The call ended as it did then."), "{shown}");
    // Random bytes are the timer's.
    let mut other: Value = serde_json::from_slice(&fs::read(&files[0]).expect("read")).expect("JSON");
    other.as_object_mut().expect("an object").remove("timer");
    let moved = files[0].with_file_name("moved.json");
    fs::write(&moved, other.to_string()).expect("written");
    told(&again(&moved, &["--component", &same]), OTHER);
}

#[test]
fn a_held_timer_that_fails_once_more_leaves_one_capsule() {
    let line = Line::start(1, "timed", "capsules = 1\non-failure = \"hold\"");
    line.send_record(Record::new("patient", "clock bad 5\non bad reject").partition(0));
    line.flush();
    until("it is held", || line.view(0)["state"] == "held");
    let first = fs::read_to_string(&kept(&line)[0]).expect("read");
    line.setup.put("timed", &revised(&plugin("timed")));
    until("it is kept of the version that failed last", || {
        kept(&line).len() == 1 && fs::read_to_string(&kept(&line)[0]).expect("read") != first
    });
}

#[test]
fn traps_and_limits_happen_again_and_nothing_is_kept_unless_asked_for() {
    let line = Line::start(1, "loops", "timeout = \"100ms\"\ncapsules = 10");
    line.send(0, "key", "loop");
    line.settle();
    let files = kept(&line);
    assert_eq!(files.len(), 1);
    let shown = told(&again(&files[0], &["--component", &component(&line, "loops")]), SAME);
    assert!(shown.contains("timeout: the call passed its limit of 100ms"), "{shown}");

    let line = Line::start(1, "traps", "");
    line.send(0, "key", "panic");
    line.settle();
    assert!(kept(&line).is_empty() && line.dead().len() == 1);
}

#[test]
fn what_is_no_capsule_is_refused_in_one_line() {
    let line = Line::start(1, "traps", "capsules = 1");
    line.send(0, "key", "panic");
    line.settle();
    let file = kept(&line).remove(0);
    let whole = fs::read_to_string(&file).expect("read");
    let bad = file.with_file_name("bad.json");
    for text in ["", "{}", &whole[..whole.len() / 2], &whole.replace("\"format\": 1", "\"format\": 2"), "[1, 2]"] {
        fs::write(&bad, text).expect("written");
        let refusal = told(&again(&bad, &["--component", "any.wasm"]), USAGE);
        assert!(refusal.starts_with("error: ") && refusal.lines().count() == 1, "{refusal}");
    }
    told(&again(&file.with_file_name("missing.json"), &[]), USAGE);
    // The host keeps the versions that ran, next to the capsules.
    told(&again(&file, &[]), Some(0));
    let data = file.ancestors().nth(2).expect("the host's data");
    fs::remove_dir_all(data.join("versions")).expect("versions are kept there");
    assert!(told(&again(&file, &[]), USAGE).contains("name its component with --component"));
    fs::write(&bad, "no component").expect("written");
    told(&again(&file, &["--component", bad.to_str().expect("text")]), Some(4));
}
