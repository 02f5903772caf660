//! What a host refuses to start with: each with a line that says what to do,
//! and its own exit code.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::Duration;

use gregor::plugin::Digest;

use crate::support::{Pipeline, Setup, Stage, kafka, plugin, unique, until};

const NOT_STARTED: Option<i32> = Some(1);
const CONFIGURATION: Option<i32> = Some(2);
const KAFKA: Option<i32> = Some(3);
const PLUGIN: Option<i32> = Some(4);

/// A setup of one pipeline that has nothing wrong with it, its plugin `echo`.
fn good() -> Setup {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")))
}

/// The lines of the error with which a host refused to start.
#[track_caller]
fn refused(setup: &Setup, code: Option<i32>) -> String {
    let (exit, log) = setup.run_refused();
    assert_eq!(exit, code, "{log}");
    let start = log.find("error: ").unwrap_or_else(|| panic!("no error in {log}"));
    log[start..].to_owned()
}

/// As [`refused`], for an error of one line that holds all of `parts`.
#[track_caller]
fn refused_in_a_line(setup: &Setup, code: Option<i32>, parts: &[&str]) {
    let error = refused(setup, code);
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}

/// As [`refused_in_a_line`], with `bytes` for its plugin.
#[track_caller]
fn plugin_refused(bytes: &[u8], parts: &[&str]) {
    let setup = good().plugin("echo", bytes);
    // Nobody writes it any more.
    setup.age("echo", Duration::from_secs(3_600));
    refused_in_a_line(&setup, PLUGIN, &[&["plugin `echo`", "echo.wasm"], parts].concat());
}

#[test]
fn a_missing_source_topic_is_named_with_the_command_that_creates_it() {
    let (source, sink) = (unique(), kafka().topic(1));
    let setup = Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
    let command = format!("--create --topic {source} --partitions 6");
    refused_in_a_line(&setup, KAFKA, &[&format!("source topic `{source}` does not exist"), &command]);
}

#[test]
fn a_missing_output_topic_is_named_with_the_command_that_creates_it() {
    for missing in ["sink", "dead-letter", "topics"] {
        let (source, other) = (kafka().topic(1), unique());
        let (pipeline, stage) = (Pipeline::new(&source), Stage::new("echo"));
        let pipeline = match missing {
            "topics" => pipeline.stage(stage.set("topics", &format!("[{other:?}]"))),
            topic => pipeline.set(topic, &format!("{other:?}")).stage(stage),
        };
        let command = format!("--create --topic {other} --partitions 6");
        refused_in_a_line(
            &Setup::new().pipeline(pipeline),
            KAFKA,
            &[&format!("output topic `{other}` does not exist"), &command],
        );
    }
}

#[test]
fn a_broker_that_does_not_answer_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let setup = good().bootstrap(&address).host("start-timeout", "\"2s\"");
    refused_in_a_line(&setup, KAFKA, &[&address, "within 2s", "`bootstrap.servers` in [kafka]"]);
}

#[test]
fn a_plugin_without_a_file_is_named_with_the_place_where_it_is_looked_for() {
    let setup = good();
    fs::remove_file(setup.plugin_file("echo")).expect("the file was there");
    refused_in_a_line(
        &setup,
        PLUGIN,
        &["plugin `echo`", "plugins/echo.wasm does not exist", "put the plugin's component there"],
    );
}

#[test]
fn a_folder_in_a_plugins_place_is_refused() {
    let setup = good();
    fs::remove_file(setup.plugin_file("echo")).expect("the file was there");
    fs::create_dir(setup.plugin_file("echo")).expect("a folder");
    refused_in_a_line(&setup, PLUGIN, &["plugin `echo`", "is a folder"]);
}

#[test]
fn an_empty_file_is_refused() {
    plugin_refused(b"", &["it is empty", "rename it"]);
}

#[test]
fn what_is_no_webassembly_is_refused() {
    plugin_refused(b"#!/bin/sh\n", &["it is no WebAssembly", "wasm32-wasip2"]);
}

#[test]
fn a_core_module_is_refused() {
    plugin_refused(b"\0asm\x01\0\0\0", &["core module, not a component", "wasm-tools component new"]);
}

#[test]
fn a_damaged_component_is_refused() {
    let mut bytes = plugin("echo");
    bytes.truncate(bytes.len() / 2);
    plugin_refused(&bytes, &["it is damaged"]);
}

#[test]
fn a_first_start_waits_for_a_copy_in_progress() {
    let (setup, component) = (good(), plugin("echo"));
    fs::write(setup.plugin_file("echo"), "").expect("the folder takes a file");
    let host = setup.spawn_as("one", &[]);
    host.wait_for_log("as if it were still being written");
    let mut copy = File::options().append(true).open(setup.plugin_file("echo")).expect("the file");
    for part in component.chunks(component.len() / 2) {
        copy.write_all(part).expect("written");
        sleep(Duration::from_millis(500));
    }
    host.wait_until_ready();
    assert_eq!(host.log().matches("as if it were still being written").count(), 1);
}

#[test]
fn a_copy_that_never_ends_is_refused() {
    let component = plugin("echo");
    let setup = good().plugin("echo", &component[..component.len() / 2]);
    setup.age("echo", Duration::from_secs(28));
    let (code, log) = setup.run_refused();
    assert_eq!(code, PLUGIN, "{log}");
    assert!(log.contains("as if it were still being written") && log.contains("it is damaged"), "{log}");
}

#[test]
fn a_restart_does_not_wait_for_a_copy() {
    let (setup, component) = (good(), plugin("version-b"));
    assert_eq!(setup.start().term(), Some(0));
    fs::write(setup.plugin_file("echo"), &component[..component.len() / 2]).expect("the folder takes a file");
    let host = setup.start();
    let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
    let runs = |bytes: &[u8]| host.document("plugins")[0]["digest"] == digest(bytes).as_str();
    assert!(runs(&plugin("echo")));
    fs::write(setup.plugin_file("echo"), &component).expect("the folder takes a file");
    until("the copy is taken once it is whole", || runs(&component));
    assert!(!fs::read_to_string(setup.data("one").join("audit.log")).expect("an audit log").contains("refused"));
}

#[test]
fn a_component_for_another_world_is_refused() {
    plugin_refused(
        &plugin("no-processor"),
        &[
            "it exports no `gregor:plugin/processor@1`, but `gregor:plugin-test/greeter",
            "build it for the world `plugin`",
        ],
    );
}

#[test]
fn an_import_that_no_host_offers_is_refused() {
    plugin_refused(&plugin("unknown-import"), &["it imports `gregor:plugin-test/absent`", "does not offer"]);
}

#[test]
fn a_plugin_that_refuses_its_configuration_is_refused() {
    plugin_refused(&plugin("init-rejects"), &["could not be started with the configuration of stage echo"]);
}

#[test]
fn a_plugin_that_traps_in_init_is_refused() {
    plugin_refused(&plugin("init-traps"), &["could not be started with the configuration of stage echo"]);
}

#[test]
fn a_plugin_larger_than_the_limit_is_refused() {
    let setup = good();
    let log = run_with_variable(&setup, "GREGOR__PLUGINS__MAX_SIZE", "1KiB");
    assert!(log.contains("more than `plugins.max-size` (1024)"), "{log}");
}

/// Runs a host that is to refuse its plugin, with a variable set; its log.
fn run_with_variable(setup: &Setup, name: &str, value: &str) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["run", "--config"])
        .arg(setup.write())
        .env(name, value)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), PLUGIN);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let (source, sink) = (unique(), unique());
    let stage = Stage::new("echo").set("timeout", "\"5 sec\"").set("memroy", "\"64MiB\"");
    let setup = Setup::new()
        .host("wrokers", "2")
        .kafka("group.id", "mine")
        .pipeline(Pipeline::new(&source).sink(&sink).stage(stage));

    let error = refused(&setup, CONFIGURATION);

    for part in [
        "host.wrokers: unknown key; did you mean `workers`?",
        "kafka.group.id: is Gregor's to set",
        "timeout: \"5 sec\" is not a duration; write \"5s\"",
        "memroy: unknown key; did you mean `memory`?",
        "4 problems in the configuration",
    ] {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
    for line in error.lines().filter(|line| line.contains("gregor.toml")) {
        let (_, place) = line.split_once("gregor.toml:").expect("a place");
        let (number, _) = place.split_once(':').expect("a line's number");
        number.parse::<usize>().expect("a line's number");
    }
}

#[test]
fn a_missing_configuration_is_named() {
    let output = crate::support::gregor(&["run", "--config", "no/such/gregor.toml"]);
    assert_eq!(output.status.code(), CONFIGURATION);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("no/such/gregor.toml"), "{error}");
}

#[test]
fn an_admin_address_in_use_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let setup = good().host("admin", &format!("{address:?}"));
    refused_in_a_line(&setup, NOT_STARTED, &["admin server cannot listen on", &address, "`host.admin`"]);
}
