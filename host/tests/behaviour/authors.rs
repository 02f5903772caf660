//! From nothing to a plugin that is tested: what its author types.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::author::{author, edit, path, rust_project, text, told};
use crate::support::{Pipeline, Setup, Stage, plugin};

/// A component of a plugin that comes with the host, or of a guest.
fn component(folder: &Path, name: &str) -> String {
    let file = folder.join(format!("{name}.wasm"));
    fs::write(&file, plugin(name)).expect("written");
    path(&file).to_owned()
}

fn records(folder: &Path, lines: &str) -> String {
    let file = folder.join("records.jsonl");
    fs::write(&file, lines).expect("written");
    path(&file).to_owned()
}

#[test]
fn a_new_project_is_built_tested_and_changed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = rust_project(folder.path(), "ward-watch");
    let project = path(&dir);
    let refused = told(&author(&["new", "ward-watch", "--lang", "rust", "--dir", project]), 2);
    assert!(refused.contains("already and not empty"), "{refused}");

    let built: Value = serde_json::from_slice(&author(&["build", project, "--json"]).stdout).expect("JSON");
    assert_eq!((&built["plugin"], &built["world"]), (&"ward-watch".into(), &"plugin".into()), "{built}");
    assert_eq!(built["exports"], json!(["processor"]));
    assert!(dir.join("ward-watch.wasm").is_file() && dir.join(".gregor/.gitignore").is_file());

    let passed = told(&author(&["test", project]), 0);
    assert!(passed.contains("5 records, 3 outputs, 1 failed, as expected"), "{passed}");

    edit(&dir.join("src/lib.rs"), "sighting {times}", "seen {times} times");
    let shown = told(&author(&["test", project]), 1);
    assert!(shown.contains("- {\"key\":\"456\",\"value\":\"Patient 456, sighting 1"), "{shown}");
    assert!(shown.contains("+ {\"key\":\"456\",\"value\":\"Patient 456, seen 1 times"), "{shown}");
    told(&author(&["test", project, "--update"]), 0);
    told(&author(&["test", project]), 0);

    // A mistake is told by the compiler, and costs the component nothing.
    let before = fs::read(dir.join("ward-watch.wasm")).expect("built");
    edit(&dir.join("src/lib.rs"), "struct Sightings;", "struct Sightings");
    let failed = told(&author(&["build", project]), 1);
    assert!(failed.contains("`cargo build` failed"), "{failed}");
    assert_eq!(fs::read(dir.join("ward-watch.wasm")).expect("still there"), before);
}

#[test]
fn records_go_through_the_stages_as_in_a_host() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, second) = (component(folder.path(), "last-location"), component(folder.path(), "patient-location"));
    let lines = concat!(
        "7:{\"patientId\": \"7\", \"lat\": 1.0, \"lon\": 2.0}\n",
        "{\"case\": \"a tombstone\", \"key\": \"7\", \"value\": null, \"headers\": {\"trace\": \"1\"}}\n",
        "7:nonsense\n",
    );
    let output = author(&["test", &first, &second, "--records", &records(folder.path(), lines)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(shown[0]["value"], "Patient 7 at location (1, 2)", "{shown:?}");
    assert_eq!((&shown[1]["key"], &shown[1]["value"]), (&"7".into(), &Value::Null), "{shown:?}");
    assert_eq!((&shown[2]["failed"], &shown[2]["stage"]), (&"reject".into(), &"last-location".into()), "{shown:?}");
    assert!(shown[2]["reason"].as_str().is_some_and(|reason| reason.contains("JSON")), "the plugin's words: {shown:?}");
}

/// Five minutes each, ten seconds out of order.
#[test]
fn windows_close_as_the_records_move_event_time_on_and_by_the_clock_in_silence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plugin = component(folder.path(), "average-location");
    let location = |at: &str, lat: f64| {
        format!(
            "{{\"key\": \"7\", \"timestamp\": \"2026-01-01T{at}Z\", \"value\": {{\"patientId\": \"7\", \"lat\": {lat}, \"lon\": 2.0}}}}\n"
        )
    };
    let lines = location("08:00:00", 1.0)
        + &location("08:05:01", 9.0)
        // Back in the first window, which is open still.
        + &location("08:04:55", 3.0)
        + &location("08:05:10", 9.0)
        + "{\"advanceTo\": \"2026-01-01T08:30:00Z\"}\n";
    let records = records(folder.path(), &lines);
    let words = ["test", &plugin, "--records", &records, "--max-out-of-orderness", "10s"];
    let shown = |more: &[&str]| -> Vec<Value> {
        let output = author(&[&words[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let told = |line: &Value| (line["value"]["count"].clone(), line["value"]["meanLat"].clone());

    let without = shown(&[]);
    assert_eq!(without.iter().map(told).collect::<Vec<_>>(), [(2.into(), 2.0.into())], "{without:?}");
    let windows = shown(&["--idle-timeout", "1m"]);
    assert_eq!(windows.iter().map(told).collect::<Vec<_>>(), [(2.into(), 2.0.into()), (2.into(), 9.0.into())]);
    assert_eq!(windows[1]["timestamp"], 1_767_255_000_000_i64 - 1, "of the window, not of a record: {windows:?}");
}

/// What comes out of `lines` through the guest that plays timers.
fn timed(lines: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let output = author(&["test", &component(folder.path(), "timed"), "--records", &records(folder.path(), &lines)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn commands(timestamp: u64, commands: &[&str]) -> Value {
    json!({ "key": "patient", "timestamp": timestamp, "value": commands.join("\n") })
}

#[test]
fn a_timer_that_fails_is_shown_by_its_name_and_the_next_one_fires() {
    for (command, reason) in
        [("reject", "the script says so"), ("retry", "the script says so"), ("trap", "unreachable code")]
    {
        let on_bad = format!("on bad {command}");
        let shown = timed(&[
            commands(1_000, &["event bad 5000", "event good 5001", "clock bad 7000", &on_bad]),
            commands(6_000, &["watermark"]),
            json!({ "advanceTo": 7_000 }),
            json!({ "advanceTo": 9_000 }),
        ]);
        let [scheduled, bad, good, record, by_clock] = &shown[..] else { panic!("{command}: {shown:?}") };
        assert_eq!(scheduled["value"], "ok\nok\nok\nok");
        for (failed, at) in [(bad, "ahead of the record"), (by_clock, "by the clock, once")] {
            assert_eq!((&failed["failed"], &failed["timer"]), (&command.into(), &"bad".into()), "{at}: {shown:?}");
            assert_eq!((&failed["key"], &failed["stage"]), (&"patient".into(), &"timed".into()), "{at}: {shown:?}");
            assert!(failed["reason"].as_str().is_some_and(|text| text.contains(reason)), "{at}: {shown:?}");
        }
        assert_eq!((&good["key"], &good["value"]), (&"good".into(), &"event 5001".into()), "{shown:?}");
        assert_eq!(record["value"], "6000", "{shown:?}");
    }
}

#[test]
fn timers_of_the_clock_fire_each_at_its_own_time_and_no_sooner() {
    let shown = timed(&[
        commands(1_000, &["clock one 2000", "clock two 2000", "on one soon next 300", "soon first 500"]),
        json!({ "advanceTo": 1_499 }),
        commands(1_500, &["ok"]),
        json!({ "advanceTo": "1970-01-01T00:00:10Z" }),
        // The clock has passed: at once, behind the record.
        commands(2_000, &["clock past 1000", "clock far 20000"]),
        commands(12_000, &["cancel clock far"]),
        json!({ "advanceTo": 30_000 }),
    ]);
    let told: Vec<_> = shown.iter().map(|line| (line["key"].as_str(), line["value"].as_str())).collect();
    let expected = [
        ("patient", "ok\nok\nok\nok"),
        ("first", "clock 1500"),
        ("patient", "ok"),
        ("one", "clock 2000 ok"),
        ("two", "clock 2000"),
        ("next", "clock 2300"),
        ("patient", "ok\nok"),
        ("past", "clock 1000"),
        ("patient", "true"),
    ];
    assert_eq!(told, expected.map(|(key, value)| (Some(key), Some(value))), "{shown:?}");
}

#[test]
fn failures_of_every_kind_are_shown_and_the_next_record_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = author(&[
        "test",
        &component(folder.path(), "traps"),
        "--records",
        &records(folder.path(), "a:panic\nb:fine\n"),
        "--json",
    ]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let lines = &document["cases"][0]["lines"];
    assert_eq!(lines[0]["failed"], "trap", "{document}");
    assert!(lines[1].get("failed").is_none() && lines[1]["key"] == "b", "{document}");
    assert_eq!(document["cases"][0]["failed"], 1);
}

#[test]
fn the_stages_may_be_those_of_a_configuration() {
    let setup = Setup::new().bootstrap("127.0.0.1:1").pipeline(
        Pipeline::named("re-key", "in").sink("out").stage(Stage::new("key-by").set("config", "{ field = \"ward\" }")),
    );
    let config = setup.write();
    let records = records(setup.path(), "7:{\"ward\": \"north\"}\n8:{}\n");
    let output = author(&["test", "--config", path(&config), "--pipeline", "re-key", "--records", &records]);
    let said = told(&output, 0);
    let first: Value = serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["key"], "north", "{said}");
    let missing = author(&["test", "--config", path(&config), "--pipeline", "other", "--records", &records]);
    assert!(told(&missing, 2).contains("has no pipeline \"other\""));
}

#[test]
fn what_a_test_cannot_use_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (echo, refuses) = (component(folder.path(), "echo"), component(folder.path(), "init-rejects"));
    let lines = records(folder.path(), "a:1\n");
    let bad = folder.path().join("bad.jsonl");
    fs::write(&bad, "no record").expect("written");
    let absent = folder.path().join("absent.jsonl");
    for (words, code, told_of) in [
        (vec!["test", path(folder.path())], 2, "has no file NAME.records.jsonl"),
        (vec!["build", path(folder.path())], 2, "is no plugin's project"),
        (vec!["test", &echo], 2, "--records"),
        (vec!["test", &echo, "--records", path(&bad)], 2, "line 1 is neither"),
        (vec!["test", &echo, "--records", path(&absent)], 2, "does not exist"),
        (vec!["test", &echo, "--records", &lines, "--expect", path(&absent)], 2, "--update writes"),
        (vec!["test", path(&bad), "--records", &lines], 4, "is refused"),
        (vec!["test", &refuses, "--records", &lines], 4, "could not be started"),
        (vec!["new", "Bad_Name", "--lang", "go"], 2, "is not a plugin's name"),
    ] {
        let output = author(&words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(told_of) && said.lines().count() == 1, "{words:?}: {said}");
    }
}

#[test]
fn check_tells_what_a_component_is_and_may_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = component(folder.path(), "last-location");
    let shown = told(&author(&["check", &file]), 0);
    for part in ["world plugin of gregor:plugin@1.0.0", "compiled in", "entries of its own stage", "no variable"] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    let document: Value = serde_json::from_slice(&author(&["check", &file, "--json"]).stdout).expect("JSON");
    assert_eq!((&document["fine"], &document["keepsState"]), (&true.into(), &true.into()), "{document}");
    assert!(document["imports"].as_array().is_some_and(|imports| imports.iter().all(|it| it["gives"] != "")));
    let bad = component(folder.path(), "no-processor");
    let both = author(&["check", &bad, &file, "--json"]);
    assert_eq!(both.status.code(), Some(4), "{}", text(&both.stderr));
    let said = text(&both.stdout);
    let fine = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["fine"].clone());
    let fine: Vec<Value> = fine.collect();
    assert_eq!(fine, [false, true], "the others are looked at too");
}
