//! From nothing to a plugin that is tested, in every language but Rust (`authors`), with
//! the tools that `cargo xtask languages` has installed.

use std::env;
use std::os::unix::fs::symlink;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::author::{command, path, told};
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
