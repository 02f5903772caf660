//! Signals that come at the wrong moment, and readers that go.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::compilation::bomb;
use crate::support::extra::{Topics, stage};
use crate::support::{Setup, until};

fn setup(plugin: &str) -> Setup {
    Setup::new().workers(1).pipeline(Topics::new(1).pipeline().stage(stage(plugin, "")))
}

#[test]
fn a_start_that_waits_for_brokers_ends_when_asked() {
    // Nobody answers there, for longer than this test waits.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    let setup = setup("echo").bootstrap(&address).host("start-timeout", "\"1h\"");
    let mut host = setup.spawn_as("one", &[]);
    host.wait_for_log("\"plugin checked\"");
    assert_eq!(host.term(), Some(0));
    assert!(host.log().contains("ended before the first worker started"));
}

#[test]
fn a_start_that_compiles_ends_when_asked() {
    let setup = setup("echo").plugins("compile-timeout", "\"1h\"");
    setup.put("echo", &bomb());
    let mut host = setup.spawn_as("one", &[]);
    until("it compiles", || host.compiler().is_some());
    let compiler = host.compiler().expect("it compiles");
    assert_eq!(host.term(), Some(0));
    until("the compiler ends with its host", || !compiler.exists() || is_zombie(&compiler));
}

fn is_zombie(process: &Path) -> bool {
    fs::read_to_string(process.join("status")).map_or(true, |status| status.contains("State:\tZ"))
}

/// A demo of so many records, 20 a second, its folder in `temporary`, up to its first.
fn demo(temporary: &Path, records: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["demo", "--rate", "20", "--records", records])
        .env("TMPDIR", temporary)
        .env_remove("GREGOR_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut output = BufReader::new(demo.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("Enriched records") {
        line.clear();
        assert!(output.read_line(&mut line).expect("its output") > 0, "the demo ended");
    }
    (demo, output)
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

#[test]
fn a_demo_ends_and_cleans_up_at_once() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let (mut demo, _output) = demo(temporary.path(), "1000000");
    let folder =
        fs::read_dir(temporary.path()).expect("a folder").next().expect("the demo's").expect("its entry").path();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join("plugins"))), (0o700, 0o700));
    kill(Pid::from_raw(demo.id() as i32), Signal::SIGINT).expect("it runs");
    assert_eq!(demo.wait().expect("its end").code(), Some(130));
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_demo_nobody_reads_cleans_up() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let (mut demo, output) = demo(temporary.path(), "60");
    // Ahead of what it prints next.
    drop(output);
    assert_eq!(demo.wait().expect("its end").code(), Some(141));
    assert!(is_empty(temporary.path()));
}
