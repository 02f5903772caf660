//! The commands, as a user types them.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::{Pipeline, Record, Setup, Stage, gregor, kafka, plugin, until};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn a_command_whose_reader_has_seen_enough_ends_without_a_word() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .current_dir(folder.path())
        .args(["plugin", "new", "patients", "--lang", "c"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // As `head` does, ahead of the first line.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()));
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in [
        "",
        "demo",
        "run",
        "config check",
        "plugin new",
        "plugin build",
        "plugin check",
        "plugin test",
        "plugin dev",
        "plugin keygen",
        "plugin sign",
        "plugin verify",
        "plugin list",
        "plugin deploy",
        "plugin history",
        "plugin rollback",
        "state get",
        "state scan",
        "state export",
        "state import",
        "dead-letter list",
        "dead-letter show",
        "dead-letter redrive",
        "status",
    ]
    .map(|words| words.split_whitespace().collect::<Vec<_>>())
    {
        let help = succeeds(&gregor(&[&command[..], &["--help"]].concat()));
        let example = format!("gregor {}", command.join(" "));
        assert!(help.contains("Example"), "no example in the help of {command:?}:\n{help}");
        let shown = help.lines().filter(|line| !line.starts_with("Usage:"));
        assert!(shown.into_iter().any(|line| line.contains(example.trim())), "{help}");
    }
}

#[test]
fn an_unknown_command_is_refused_with_a_suggestion() {
    let output = gregor(&["runn"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("'run'"), "{}", text(&output.stderr));
}

#[test]
fn the_version_is_told() {
    assert_eq!(succeeds(&gregor(&["--version"])).trim(), format!("gregor {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn config_check_needs_no_broker_and_shows_each_pipeline() {
    let setup = Setup::new()
        .bootstrap("127.0.0.1:1")
        .pipeline(Pipeline::named("one", "in").sink("out").stage(Stage::new("echo")).stage(Stage::new("version-a")))
        .pipeline(Pipeline::named("two", "in").stage(Stage::new("echo").set("topics", "[\"other\"]")));
    let path = setup.write();
    let shown = succeeds(&gregor(&["config", "check", "--config", path.to_str().expect("a plain path")]));
    assert!(shown.contains("gregor.toml is fine"), "{shown}");
    assert!(shown.contains("one: in -> echo -> version-a -> out"), "{shown}");
    assert!(shown.contains("two: in -> echo"), "{shown}");
}

#[test]
fn config_check_tells_every_mistake() {
    let setup = Setup::new().pipeline(Pipeline::named("BAD", "in").sink("in").stage(Stage::new("echo")));
    let path = setup.write();
    let output = gregor(&["config", "check", "--config", path.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("\"BAD\" is not a name"), "{error}");
    assert!(error.contains("is the source \"in\""), "{error}");
    assert!(error.contains("2 problems"), "{error}");
}

#[test]
fn plugin_check_takes_what_a_host_takes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, code, told) in [
        ("last-location", 0, "fine, digest"),
        ("echo", 0, "fine, digest"),
        ("no-processor", 4, "it exports no `gregor:plugin/processor@1`"),
        ("unknown-import", 4, "it imports `gregor:plugin-test/absent`"),
    ] {
        let path = folder.path().join(format!("{name}.wasm"));
        fs::write(&path, plugin(name)).expect("the folder takes a file");
        let output = gregor(&["plugin", "check", path.to_str().expect("a plain path")]);
        assert_eq!(output.status.code(), Some(code), "{name}");
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(told), "{name}: {said}");
    }
}

#[test]
fn plugin_check_names_a_file_that_is_not_there() {
    let output = gregor(&["plugin", "check", "no/such.wasm"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot read no/such.wasm"), "{}", text(&output.stderr));
}

#[test]
fn status_shows_a_running_host() {
    let (source, sink) = (kafka().topic(3), kafka().topic(1));
    let setup = Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
    kafka().produce(&source, (0..30).map(|n| Record::new(n.to_string(), "x")));
    let host = setup.start();
    until("all is committed", || kafka().is_settled(&setup.app, &source));
    let admin = format!("http://{}", host.admin().expect("an admin server"));
    until("the host shows all partitions and no lag", || {
        let partitions = host.partitions();
        partitions.len() == 3 && partitions.iter().all(|view| view["lag"] == 0)
    });

    let shown: Value =
        serde_json::from_str(&succeeds(&gregor(&["status", "--json", "--admin", &admin]))).expect("JSON");
    assert_eq!(shown["status"]["app"], *setup.app, "{shown}");
    assert_eq!(shown["partitions"].as_array().map(Vec::len), Some(3));
    assert_eq!(shown["plugins"][0]["plugin"], "echo");
    let committed: i64 = (0..3).filter_map(|index| shown["partitions"][index]["committed"].as_i64()).sum();
    assert_eq!(committed, 30);

    let table = succeeds(&gregor(&["status", "--admin", &admin]));
    for part in [&*setup.app, "lag 0", &source, "running", "echo"] {
        assert!(table.contains(part), "no {part:?} in\n{table}");
    }
    assert_eq!(succeeds(&gregor(&["status", "--quiet", "--admin", &admin])), "");
}

#[test]
fn status_of_a_host_that_does_not_run_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let admin = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let output = gregor(&["status", "--admin", &admin]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains(&format!("no host answers at {admin}")), "{}", text(&output.stderr));
}
