//! Calls that failed, kept in files and made again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::extra::{Line, told};
use crate::support::plugin;

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
    line.send(0, "filler", &"f".repeat(1_500));
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
