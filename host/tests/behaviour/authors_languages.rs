//! From nothing to a plugin that is tested, in every language but Rust (`authors`), with
//! the tools that `cargo xtask languages` has installed.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::{env, fs};

use serde_json::{Value, json};

use crate::support::author::{command, path, text, told};
use crate::support::languages::tools;

/// What its author types, up to a component that a host takes.
fn from_nothing_to_a_component(lang: &str, language: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // As `npm install` leaves it in a folder above, and as an active venv is found.
    symlink(tools().join("npm/node_modules"), folder.path().join("node_modules")).expect("linked");
    let others = env::split_paths(&env::var_os("PATH").expect("a path")).collect::<Vec<_>>();
    let programs = env::join_paths([tools().join("pip/venv/bin")].iter().chain(&others)).expect("a path");
    let author =
        |words: &[&str]| -> Output { command(words).env("PATH", &programs).output().expect("the binary runs") };

    let dir = folder.path().join("ward-watch");
    let project = path(&dir);
    told(&author(&["new", "ward-watch", "--lang", lang, "--dir", project]), 0);
    let passed = told(&author(&["test", project]), 0);
    assert!(passed.contains("5 records, 3 outputs, 1 failed, as expected"), "{passed}");

    rejects_what_it_cannot_keep(&author, &dir);

    let output = author(&["build", project, "--json"]);
    told(&output, 0);
    let built: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&built["plugin"], &built["language"]), (&"ward-watch".into(), &language.into()), "{built}");
    assert_eq!((&built["world"], &built["exports"]), (&"plugin".into(), &json!(["processor"])), "{built}");

    let output = author(&["check", path(&dir.join("ward-watch.wasm")), "--json"]);
    told(&output, 0);
    let checked: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&checked["fine"], &checked["digest"]), (&true.into(), &built["digest"]), "{checked}");
}

/// Records that are no location, or whose patient neither UTF-8 nor the cache can carry, and
/// a large one that is one. After each failure a fresh instance would serve: a trap is told.
fn rejects_what_it_cannot_keep(author: &dyn Fn(&[&str]) -> Output, dir: &Path) {
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
        format!("1:{}\n", "[".repeat(100_000)),
    ];
    let large = with("1", "1.5", &format!(",\"notes\":\"{}\"", "seen in the ward ".repeat(60_000)));
    let records = dir.join("hard.jsonl");
    fs::write(&records, bad.concat() + &large).expect("written");
    let output = author(&["test", path(dir), "--records", path(&records)]);
    told(&output, 0);
    let shown: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (nth, line) in shown[..bad.len()].iter().enumerate() {
        assert_eq!(line["failed"], "reject", "record {nth}: {line}");
    }
    assert_eq!(shown[bad.len()]["value"], "Patient 1, sighting 1, at (1.5, 2)", "{shown:?}");
    fs::remove_file(records).expect("removed");
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
