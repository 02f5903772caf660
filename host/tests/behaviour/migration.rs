//! A version that takes over the state of the one before: `migrate`, in the
//! commit of the swap.

use std::fs;

use gregor::plugin::Digest;
use serde_json::Value;

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Guarantee, Host, Setup, kafka, plugin, until};

const NAME: &str = "versioned";
const TOKEN: &str = "s3cret";
/// State that its host takes up again.
const DISK: &str = r#"state = { backend = "disk", changelog = true }"#;
const MEMORY: &str = "";

fn started(partitions: i32, guarantee: Guarantee, lines: &str) -> Line {
    let topics = Topics::new(partitions);
    let setup = Setup::new()
        .workers(2)
        .delivery("guarantee", guarantee.toml())
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .plugins("migrate-timeout", "\"2s\"")
        .plugin(NAME, &plugin("script"))
        .pipeline(topics.pipeline().stage(stage(NAME, lines)));
    let host = spawn(&setup, &[]);
    host.wait_until_ready();
    Line::of(topics, setup, host)
}

fn spawn(setup: &Setup, environment: &[(&str, &str)]) -> Host {
    let environment = [&[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)], environment].concat();
    Host::spawn_with(&setup.write(), "one", &[], &environment)
}

fn deploy(line: &Line, bytes: &[u8]) -> (u16, Value) {
    line.host.post(&format!("/api/v1/plugins/{NAME}"), TOKEN, bytes)
}

/// The host ends and comes back with another file in the plugins' folder.
fn restart_with(line: &mut Line, bytes: &[u8]) {
    assert_eq!(line.host.term(), Some(0));
    line.setup.put(NAME, bytes);
    line.host = spawn(&line.setup, &[]);
    line.host.wait_until_ready();
}

/// What `migrates` makes of the state that the script version left.
fn migrated_once() -> String {
    format!("v\n1\n{}\nnone", Digest::of(&plugin("script")))
}

const LOOK: &str = "get new/k\nget m/times\nget m/from\nget k";

#[test]
fn a_swap_migrates_the_state_of_every_partition_before_the_next_record() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let line = started(4, guarantee, MEMORY);
        let partitions = 0..4;
        // More than a page of what `migrates` reads at once.
        let entries: String = (0..25).map(|n| format!("set k{n} v{n}\n")).collect();
        partitions.clone().for_each(|partition| drop(line.ask(partition, &format!("{entries}set k v"))));
        let migrates = plugin("migrates");
        let (status, said) = deploy(&line, &migrates);
        assert_eq!(status, 200, "{said}");
        for partition in partitions.clone() {
            assert_eq!(line.ask(partition, LOOK), migrated_once(), "{guarantee:?}");
            assert_eq!(line.ask(partition, "get new/k24\nget k24"), "v24\nnone");
        }
        // From itself there is nothing to migrate, from another version there is.
        let again = revised(&migrates);
        assert_eq!(deploy(&line, &again).0, 200);
        let from = Digest::of(&migrates);
        for partition in partitions {
            assert_eq!(line.ask(partition, LOOK), format!("v\n2\n{from}\nnone"), "{guarantee:?}");
        }
    }
}

#[test]
fn a_migration_that_fails_in_one_partition_is_taken_back_in_all() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        for (key, words) in [("reject", "its migrate refused"), ("trap", "trapped"), ("endless", "its limit of")] {
            let line = started(4, guarantee, MEMORY);
            line.wait_until_spread();
            (0..4).for_each(|partition| drop(line.ask(partition, "set k v")));
            line.ask(2, &format!("set {key} x"));
            let (status, said) = deploy(&line, &plugin("migrates"));
            assert_eq!(status, 422, "{said}");
            let error = said["error"].as_str().expect("an error");
            assert!(error.contains("could not migrate the state") && error.contains(words), "{error}");
            assert!(error.contains(&format!("{}-2, stage {NAME}", line.topics.source)), "{error}");
            assert_eq!(line.plugin(NAME)["digest"], Digest::of(&plugin("script")).to_string());
            for partition in 0..4 {
                assert_eq!(line.ask(partition, LOOK), "none\nnone\nnone\nv", "{guarantee:?}, {key}");
            }
            let audit = fs::read_to_string(line.setup.data("one").join("audit.log")).expect("an audit log");
            assert!(audit.lines().any(|line| line.contains("\"taken-back\"")), "{audit}");
            // The plugin's own words may be what the state holds.
            assert!(!audit.contains("canary") && !error.contains("canary") && !line.host.log().contains("canary"));
            // Its state put right, it is deployed like any other.
            line.ask(2, &format!("delete {key}"));
            assert_eq!(deploy(&line, &plugin("migrates")).0, 200);
            assert_eq!(line.ask(2, LOOK), migrated_once());
        }
    }
}

#[test]
fn a_version_that_comes_with_a_restart_migrates_once_before_its_first_record() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let mut line = started(2, guarantee, DISK);
        (0..2).for_each(|partition| drop(line.ask(partition, "set k v")));
        line.settle();
        let migrates = plugin("migrates");
        restart_with(&mut line, &migrates);
        line.host.wait_for_log("the state is migrated");
        assert_eq!(line.ask(0, LOOK), migrated_once());
        line.settle();
        restart_with(&mut line, &migrates);
        (0..2).for_each(|partition| assert_eq!(line.ask(partition, LOOK), migrated_once(), "{guarantee:?}"));
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_crash_at_any_step_of_the_migrations_commit_migrates_once() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        for step in ["outputs-sent", "changelog-sent", "state-prepared", "committed", "state-finished"] {
            let mut line = started(1, guarantee, DISK);
            line.ask(0, "set k v");
            line.settle();
            assert_eq!(line.host.term(), Some(0));
            line.setup.put(NAME, &plugin("migrates"));
            // The first commit of the next host is the migration's.
            line.host = spawn(&line.setup, &[("GREGOR_CRASH_AT", &format!("{step}:1"))]);
            assert_eq!(line.host.wait_exit(), None, "the host aborts at {step}");
            line.host = spawn(&line.setup, &[]);
            assert_eq!(line.ask(0, LOOK), migrated_once(), "{guarantee:?}, {step}");
        }
    }
}

#[test]
fn a_partition_that_cannot_be_migrated_waits_for_another_version_and_the_others_go_on() {
    let mut line = started(2, Guarantee::ExactlyOnce, DISK);
    (0..2).for_each(|partition| drop(line.ask(partition, "set k v")));
    line.ask(1, "set reject x");
    line.settle();
    restart_with(&mut line, &plugin("migrates"));
    until("the partition is held", || line.view(1)["state"] == "held");
    assert_eq!(line.view(1)["failure"], "migration");
    line.host.wait_for_log("the state of the version before cannot be migrated");
    assert_eq!(line.ask(0, LOOK), migrated_once());
    let waiting = line.send(1, "key", "get k");
    line.flush();
    // A version that takes the state as it is.
    let (status, said) = deploy(&line, &revised(&plugin("script")));
    assert_eq!(status, 200, "{said}");
    assert_eq!(line.ask(1, "get reject\nget m/times"), "x\nnone");
    let first = line.outputs_by_partition()[1]
        .iter()
        .find(|output| output.header("gregor-offset") == Some(&waiting.to_string()))
        .map(|output| output.text().to_owned());
    assert_eq!(first.as_deref(), Some("v"), "what came meanwhile is processed");
    assert!(!line.host.log().contains("canary"));
}
