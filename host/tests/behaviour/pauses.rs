//! Partitions that someone pauses and resumes.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::extra::{Line, Topics, stage};
use crate::support::{Host, Setup, eventually, plugin, until};

const TOKEN: &str = "s3cret";

fn started() -> Line {
    let topics = Topics::new(2);
    let setup = Setup::new().pipeline(topics.pipeline().stage(stage("echo", "")));
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    host.wait_until_ready();
    Line::of(topics, setup, host)
}

/// `gregor …` for the host of `line`, which ends with `code`; what it said.
fn gregor(line: &Line, arguments: &[&str], code: i32) -> String {
    let admin = eventually("an admin server", || line.host.admin());
    let output = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(arguments)
        .args(["--admin", &admin])
        .env("GREGOR_ADMIN_TOKEN", TOKEN)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "gregor {arguments:?}: {said}");
    said
}

#[test]
fn a_partition_that_is_paused_waits_and_the_others_go_on() {
    let line = started();
    (0..2).for_each(|partition| assert_eq!(line.ask(partition, "before"), "before"));
    let said = gregor(&line, &["pause", "line", "--partition", "1"], 0);
    assert!(said.contains("partition 1 of") && said.contains("paused on this host"), "{said}");
    assert_eq!((&line.view(0)["state"], &line.view(1)["state"]), (&"running".into(), &"paused".into()));
    line.expect_metric("gregor_partition_state", &["state=\"paused\""], 1.0);
    line.send(1, "key", "meanwhile");
    line.flush();
    assert_eq!(line.ask(0, "on"), "on");
    assert_eq!(line.outputs_by_partition()[1].len(), 1);
    // A swap does not resume it.
    let (status, said) = line.host.post("/api/v1/plugins/echo", TOKEN, &plugin("version-b"));
    assert_eq!(status, 200, "{said}");
    assert_eq!(line.ask(0, "on"), "on");
    assert_eq!(line.view(1)["state"], "paused");
    gregor(&line, &["resume", "line", "--partition", "1"], 0);
    until("what came meanwhile is processed", || line.outputs_by_partition()[1].len() == 2);
    assert_eq!(line.ask(1, "after"), "after");

    let audit = fs::read_to_string(line.setup.data("one").join("audit.log")).expect("an audit log");
    let told = |action: &str| {
        let lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["action"] == action).collect::<Vec<_>>()
    };
    for action in ["pause", "resume"] {
        let [line] = &told(action)[..] else { panic!("one line: {audit}") };
        assert_eq!((&line["pipeline"], &line["partition"]), (&"line".into(), &1.into()));
        assert!(line["who"].as_str().is_some_and(|who| who.starts_with("api ")), "{audit}");
    }
}

#[test]
fn a_pipeline_that_is_paused_stands_still_until_it_is_resumed_or_its_host_restarts() {
    let mut line = started();
    (0..2).for_each(|partition| assert_eq!(line.ask(partition, "before"), "before"));
    assert!(gregor(&line, &["pause", "line"], 0).contains("all partitions"));
    (0..2).for_each(|partition| assert_eq!(line.view(partition)["state"], "paused"));
    for partition in 0..2 {
        line.send(partition, "key", "meanwhile");
    }
    line.flush();
    gregor(&line, &["resume", "line", "--partition", "0"], 0);
    until("one partition goes on", || line.outputs_by_partition()[0].len() == 2);
    assert_eq!(line.outputs_by_partition()[1].len(), 1);
    assert_eq!(line.host.term(), Some(0));
    line.host = line.setup.start();
    until("a restart resumes it", || line.outputs_by_partition()[1].len() == 2);
}

#[test]
fn what_is_not_there_is_not_paused() {
    let line = started();
    assert!(gregor(&line, &["pause", "other"], 1).contains("there is no such pipeline: this host has line"));
    assert!(gregor(&line, &["pause", "line", "--partition", "2"], 1).contains("the source has 2"));
    let (status, _) = line.host.post("/api/v1/pipelines/line/pause?partition=x", TOKEN, b"");
    assert_eq!(status, 400);
}
