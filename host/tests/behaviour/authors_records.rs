//! What an author writes into files of records is what a plugin gets, and what it gives is
//! compared as it stands.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::author::{author, command, path, text, told};
use crate::support::plugin;

fn component(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(format!("{name}.wasm"));
    fs::write(&file, plugin(name)).expect("written");
    file
}

/// `gregor plugin <words>`, with `input` for its standard input.
fn fed(words: &[&str], input: &str) -> Output {
    let mut command = command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It may end before it has read all.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("its end")
}

fn lines(output: &Output) -> Vec<String> {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn numbers_of_thirty_digits_compare_as_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let echo = component(folder.path(), "echo");
    let (records, expect) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    fs::write(&records, "a:{\"n\":123456789012345678901234567890,\"p\":1.0}\n").expect("written");
    let compared = |line: &str, more: &[&str], code: i32| {
        fs::write(&expect, line).expect("written");
        let words = ["test", path(&echo), "--records", path(&records), "--expect", path(&expect)];
        told(&author(&[&words[..], more].concat()), code)
    };
    let same = r#"{"value":{"p":1.0,"n":123456789012345678901234567890},"key":"a"}"#;
    compared(same, &[], 0);
    compared(&format!("\u{feff}{same}\r\n"), &[], 0);
    let shown = compared(&same.replace("901234567890", "901234567891"), &[], 1);
    assert!(shown.contains("+ {\"key\":\"a\",\"value\":{\"n\":123456789012345678901234567890,\"p\":1.0}}"), "{shown}");
    compared(&same.replace("1.0", "1"), &[], 1);
    compared(&same.replace("1.0", "1"), &["--tolerance", "0"], 0);
    compared(&same.replace("901234567890", "901234567891"), &["--tolerance", "0.5"], 1);
}

#[test]
fn records_come_as_written_from_standard_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let echo = component(folder.path(), "echo");
    let value = r#"{"price":1.10,"n":1E5,"id":18446744073709551616,"a":2,"a":3}"#;
    let input = [
        format!("\u{feff}{{\"key\":\"a\",\"value\":{value}}}"),
        "b: {\"half\":\"\\ud800\"} ".to_owned(),
        r#"{"key":"c","value":{"half" : "\ud800"}}"#.to_owned(),
        r#"{"key":"d","value":1.10,"timestamp":-1}"#.to_owned(),
        r#"{"key":"e","value":"text","timestamp":9223372036854775807}"#.to_owned(),
        r#"{"key":"f","timestamp":"2026-01-01T00:00:00.5+01:00"}"#.to_owned(),
    ]
    .join("\r\n");
    let output = fed(&["test", path(&echo), "--records", "-"], &input);
    let expected = [
        format!("{{\"key\":\"a\",\"value\":{value}}}"),
        // No JSON to a reader: half of a character. Shown byte for byte, as text.
        r#"{"key":"b","value":" {\"half\":\"\\ud800\"} "}"#.to_owned(),
        r#"{"key":"c","value":"{\"half\" : \"\\ud800\"}"}"#.to_owned(),
        r#"{"key":"d","value":"1.10"}"#.to_owned(),
        r#"{"key":"e","value":"text"}"#.to_owned(),
        r#"{"key":"f","value":null}"#.to_owned(),
    ];
    assert_eq!(lines(&output), expected);
    assert!(text(&output.stderr).contains("standard input: 6 records, 6 outputs, 0 failed"));
    for (line, problem) in [
        ("{\"timestamp\":1.5}", "line 1 has 1.5 for a time: write whole milliseconds"),
        ("{\"timestamp\":9223372036854775808}", "line 1 has 9223372036854775808 for a time"),
        ("a:1\n\u{feff}b:2", "line 2 begins with a byte order mark"),
    ] {
        let said = told(&fed(&["test", path(&echo), "--records", "-"], line), 2);
        assert!(said.contains(problem) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn a_large_rejected_record_is_shown_and_the_next_tried() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plugin = component(folder.path(), "last-location");
    let large = "x".repeat(1_100_000);
    let input = format!("7:{large}\n7:{{\"patientId\": \"7\", \"lat\": 1.0, \"lon\": 2.0}}\n");
    let shown = lines(&fed(&["test", path(&plugin), "--records", "-"], &input));
    let shown: Vec<Value> = shown.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&shown[0]["failed"], &shown[0]["key"]), (&"reject".into(), &"7".into()), "{shown:?}");
    assert!(shown[0]["reason"].as_str().is_some_and(|reason| reason.contains("not JSON")), "{shown:?}");
    assert_eq!((shown.len(), &shown[1]["value"]["patientId"]), (2, &"7".into()), "{shown:?}");
}

#[test]
fn check_looks_at_what_follows_an_unreadable_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (absent, bad) = (folder.path().join("absent.wasm"), component(folder.path(), "no-processor"));
    let fine = component(folder.path(), "echo");
    let output = author(&["check", path(&absent), path(&bad), path(&fine), "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let documents: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let found: Vec<_> = documents.iter().map(|it| it["fine"].clone()).collect();
    assert_eq!(found, [false, false, true], "{said}");
    assert!(documents[0]["problem"].as_str().is_some_and(|problem| problem.contains("cannot be read")), "{said}");
}

#[test]
fn a_plugin_is_tried_by_name_without_a_project() {
    let input = "7:{\"ward\":\"north\"}\n{\"key\":\"8\",\"value\":{}}\n";
    let output = fed(&["try", "key-by", "--config", "field=ward"], input);
    let shown = lines(&output);
    assert_eq!(shown[0], r#"{"key":"north","value":{"ward":"north"}}"#);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[1].contains("\"failed\":\"reject\""), "{shown:?}");
    assert!(text(&output.stderr).contains("2 records, 1 outputs, 1 failed"), "{}", text(&output.stderr));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let echo = component(folder.path(), "echo");
    assert_eq!(lines(&fed(&["try", path(&echo)], "a:1\n")), [r#"{"key":"a","value":"1"}"#]);
    assert_eq!(lines(&fed(&["try", "echo", "--plugins", path(folder.path())], "a:1\n")).len(), 1);
    let unknown = told(&fed(&["try", "ehco", "--plugins", path(folder.path())], ""), 2);
    assert!(unknown.contains("echo") && unknown.contains("key-by"), "{unknown}");
    let refused = told(&fed(&["try", path(&component(folder.path(), "init-rejects"))], ""), 4);
    assert!(refused.contains("could not be started"), "{refused}");
}
