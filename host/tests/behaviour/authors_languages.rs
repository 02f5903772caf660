//! From nothing to a plugin that is tested, in every language but Rust (`authors`), with
//! the tools that `cargo xtask languages` has installed.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::{env, fs};

use serde_json::{Value, json};

use crate::support::author::{command, path, told};
use crate::support::languages::tools;

/// What its author types, up to a component that a host takes.
fn from_nothing_to_a_component(lang: &str, language: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // As `npm install` leaves it in a folder above, and as an active venv is found.
    symlink(tools().join("npm/node_modules"), folder.path().join("node_modules")).expect("linked");
    // Of another project, above this one.
    fs::write(folder.path().join("go.work"), "go 1.25\n").expect("written");
    let others = env::split_paths(&env::var_os("PATH").expect("a path")).collect::<Vec<_>>();
    let programs = env::join_paths([tools().join("pip/venv/bin")].iter().chain(&others)).expect("a path");
    let author =
        |words: &[&str]| -> Output { command(words).env("PATH", &programs).output().expect("the binary runs") };

    let dir = folder.path().join("ward-watch");
    let project = path(&dir);
    told(&author(&["new", "ward-watch", "--lang", lang, "--dir", project]), 0);
    let hard = add_hard_records(&dir.join("cases"));
    let passed = told(&author(&["test", project]), 0);
    let expected = format!("{} records, 4 outputs, {} failed, as expected", 6 + hard, 1 + hard);
    assert!(passed.contains(&expected), "{passed}");

    let output = author(&["build", project, "--json"]);
    told(&output, 0);
    let built: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&built["plugin"], &built["language"]), (&"ward-watch".into(), &language.into()), "{built}");
    assert_eq!((&built["world"], &built["exports"]), (&"plugin".into(), &json!(["processor"])), "{built}");
    if language != "python" {
        let again = author(&["build", project, "--json"]);
        let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
        assert_eq!(again["digest"], built["digest"], "the same sources");
    }

    let output = author(&["check", path(&dir.join("ward-watch.wasm")), "--json"]);
    told(&output, 0);
    let checked: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&checked["fine"], &checked["digest"]), (&true.into(), &built["digest"]), "{checked}");
}

/// Adds records to the project's case that are no location, or whose patient neither UTF-8
/// nor the cache can carry, and a large one that is one; how many are to be rejected.
fn add_hard_records(cases: &Path) -> usize {
    let with =
        |id: &str, lat: &str, more: &str| format!("1:{{\"patientId\":\"{id}\",\"lat\":{lat},\"lon\":2{more}}}\n");
    let bad = [
        with("\\ud800", "1", ""),
        with("", "1", ""),
        with(&"1".repeat(600), "1", ""),
        with("1", "NaN", ""),
        with("1", "-Infinity", ""),
        with("1", "1e999", ""),
        with("1", "91", ""),
        // {"patientId":"<0xff>","lat":1,"lon":2}
        "{\"key\":\"1\",\"valueBase64\":\"eyJwYXRpZW50SWQiOiL/IiwibGF0IjoxLCJsb24iOjJ9\"}\n".to_owned(),
    ];
    let large = with("1", "1.5", &format!(",\"notes\":\"{}\"", "seen in the ward ".repeat(60_000)));
    append(&cases.join("sightings.records.jsonl"), &(bad.concat() + &large));
    let reason = "not a location: patientId, lat and lon are needed";
    let rejected = json!({ "failed": "reject", "key": "1", "reason": reason, "stage": "ward-watch" });
    let sighting = json!({ "key": "1", "value": "Patient 1, sighting 1, at (1.5, 2)" });
    append(
        &cases.join("sightings.expected.jsonl"),
        &(format!("{rejected}\n").repeat(bad.len()) + &sighting.to_string()),
    );
    bad.len()
}

fn append(file: &Path, text: &str) {
    let before = fs::read_to_string(file).expect("read");
    fs::write(file, before + text).expect("written");
}

#[test]
fn a_new_project_in_javascript_is_tested_built_and_checked() {
    from_nothing_to_a_component("js", "javascript");
}

#[test]
fn a_new_project_in_typescript_is_tested_built_and_checked() {
    from_nothing_to_a_component("ts", "typescript");
}

#[test]
fn a_new_project_in_python_is_tested_built_and_checked() {
    from_nothing_to_a_component("python", "python");
}

#[test]
fn a_new_project_in_go_is_tested_built_and_checked() {
    from_nothing_to_a_component("go", "go");
}

#[test]
fn a_new_project_in_c_is_tested_built_and_checked() {
    from_nothing_to_a_component("c", "c");
}
