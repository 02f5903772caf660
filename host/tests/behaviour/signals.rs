//! Signals that come at the wrong moment, and readers that go.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::compilation::bomb;
use crate::support::extra::{Topics, stage};
use crate::support::{Record, Setup, kafka, plugin, until};

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

#[test]
fn a_start_that_waits_for_a_copy_ends_when_asked() {
    let setup = setup("echo");
    fs::write(setup.plugin_file("echo"), &plugin("echo")[..1_000]).expect("the folder takes a file");
    let mut host = setup.spawn_as("one", &[]);
    host.wait_for_log("as if it were still being written");
    assert_eq!(host.term(), Some(0));
    assert!(host.log().contains("ended before the first worker started"));
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
        .stderr(Stdio::piped())
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
fn a_second_ctrl_c_leaves_no_folder_behind() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let (mut demo, _output) = demo(temporary.path(), "1000000");
    let interrupt = || kill(Pid::from_raw(demo.id() as i32), Signal::SIGINT).expect("it is not waited for yet");
    interrupt();
    // Apart, or they would count as one.
    sleep(Duration::from_millis(20));
    interrupt();
    assert_eq!(demo.wait().expect("its end").code(), Some(130));
    let mut said = String::new();
    demo.stderr.take().expect("a pipe").read_to_string(&mut said).expect("its words");
    assert!(said.contains("a second signal"), "it ended by the first: {said}");
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_full_standard_error_changes_no_exit_code() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    let setup = setup("echo").bootstrap(&address).host("start-timeout", "\"1h\"");
    let mut host = run_without_log(&setup.write());
    until("it starts", || setup.path().join("data/audit.log").exists());
    kill(Pid::from_raw(host.id() as i32), Signal::SIGTERM).expect("it runs");
    assert_eq!(host.wait().expect("its end").code(), Some(0));
    fs::remove_file(setup.plugin_file("echo")).expect("the file was there");
    fs::remove_dir_all(setup.path().join("data")).expect("the host's folder");
    for (config, code) in [(setup.write().as_path(), 4), (Path::new("no/such/gregor.toml"), 2)] {
        assert_eq!(run_without_log(config).wait().expect("its end").code(), Some(code));
    }
}

#[test]
fn a_host_that_hangs_ends_although_its_log_is_full() {
    for (signals, timeout, code) in [(1, "\"1s\"", 1), (2, "\"10m\"", 130)] {
        let topics = Topics::new(1);
        kafka().produce(&topics.source, [Record::new("key", "loop")]);
        let looping = stage("loops", "timeout = \"1m\"");
        let setup =
            Setup::new().workers(1).host("shutdown-timeout", timeout).pipeline(topics.pipeline().stage(looping));
        let mut host = run_without_log(&setup.write());
        until("its worker hangs", || is_busy(host.id()));
        let pid = Pid::from_raw(host.id() as i32);
        kill(pid, Signal::SIGTERM).expect("it runs");
        if signals == 2 {
            kill(pid, Signal::SIGINT).expect("it runs");
        }
        assert_eq!(host.wait().expect("its end").code(), Some(code));
    }
}

/// A `gregor run` whose standard error is full.
fn run_without_log(config: &Path) -> Child {
    let full = File::options().write(true).open("/dev/full").expect("a full disk");
    let mut gregor = Command::new(env!("CARGO_BIN_EXE_gregor"));
    gregor.args(["run", "--config"]).arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(full);
    gregor.spawn().expect("the binary runs")
}

/// Whether the first worker of a host has used a second of the processor.
fn is_busy(host: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{host}/task")).into_iter().flatten().flatten();
    let stats = threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
    // In hundredths, the twelfth after the name.
    let used = |stat: String| stat.split_once("(worker-0) ")?.1.split(' ').nth(11)?.parse::<u64>().ok();
    stats.filter_map(used).any(|used| used >= 100)
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
