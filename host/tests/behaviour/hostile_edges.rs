//! What others put in a plugin's place, how they put it there, and what waits for it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::thread::sleep;
use std::time::Duration;

use gregor::plugin::Digest;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::compilation::bomb;
use crate::support::extra::{Line, Topics, revised, stage, told};
use crate::support::{Host, Setup, gregor, plugin, until};

const NAME: &str = "versioned";
const OTHER: &str = "echo";
const TOKEN: &str = "s3cret";
const MODE: Mode = Mode::from_bits_truncate(0o644);

/// A host with an admin token, its plugins version a and another.
fn started(more: impl FnOnce(Setup) -> Setup) -> Line {
    let topics = Topics::new(1);
    let pipeline = topics.pipeline().stage(stage(NAME, "")).stage(stage(OTHER, ""));
    let setup = more(Setup::new().workers(1).plugin(NAME, &plugin("version-a")).pipeline(pipeline));
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    host.wait_until_ready();
    Line::of(topics, setup, host)
}

fn runs(line: &Line, bytes: &[u8]) -> bool {
    line.plugin(NAME)["digest"] == Digest::of(bytes).to_string().as_str()
}

#[track_caller]
fn posts(line: &Line, route: &str, body: &[u8]) {
    let (status, said) = line.host.post(route, TOKEN, body);
    assert_eq!(status, 200, "{route}: {said}");
}

#[track_caller]
fn refused_as(line: &Line, words: &str) {
    until(words, || line.plugin(NAME)["refused"].as_str().is_some_and(|refused| refused.contains(words)));
}

#[test]
fn pipes_and_devices_in_a_plugins_place_stop_nothing() {
    let mut line = started(|setup| setup);
    let file = line.setup.plugin_file(NAME);
    assert_eq!(line.ask(0, "before"), "before");
    fs::remove_file(&file).expect("removed");
    mkfifo(&file, MODE).expect("a pipe");
    refused_as(&line, "is a named pipe, not a regular file: put the component itself there");
    posts(&line, "/api/v1/pipelines/line/pause", b"");
    posts(&line, "/api/v1/pipelines/line/resume", b"");
    posts(&line, &format!("/api/v1/plugins/{NAME}"), &plugin("version-b"));
    posts(&line, &format!("/api/v1/plugins/{NAME}/rollback"), b"");
    let check = gregor(&["plugin", "check", file.to_str().expect("a plain path")]);
    assert!(told(&check, Some(1)).contains("is a named pipe"));

    // A restart goes on with the version of before.
    assert_eq!(line.host.term(), Some(0));
    line.host = line.setup.start();
    assert_eq!(line.ask(0, "after a restart"), "after a restart");
    fs::remove_file(&file).expect("removed");
    symlink("/dev/zero", &file).expect("a link");
    refused_as(&line, "is a device, not a regular file");
    line.setup.put(NAME, &plugin("version-b"));
    until("a good version is taken after all of them", || runs(&line, &plugin("version-b")));
}

#[test]
fn a_first_start_with_a_pipe_for_a_plugin_is_refused() {
    let topics = Topics::new(1);
    let setup =
        Setup::new().workers(1).plugin(NAME, &plugin("version-a")).pipeline(topics.pipeline().stage(stage(NAME, "")));
    fs::remove_file(setup.plugin_file(NAME)).expect("removed");
    mkfifo(&setup.plugin_file(NAME), MODE).expect("a pipe");
    let (code, log) = setup.run_refused();
    assert_eq!(code, Some(4));
    assert!(log.contains("is a named pipe"), "{log}");
}

#[test]
fn a_version_of_the_same_size_and_time_is_deployed() {
    let line = started(|setup| setup);
    let file = line.setup.plugin_file(NAME);
    let one = revised(&plugin("version-a"));
    line.setup.put(NAME, &one);
    until("the first runs", || runs(&line, &one));
    let time = fs::metadata(&file).and_then(|metadata| metadata.modified()).expect("its time");
    let mut two = one.clone();
    *two.last_mut().expect("bytes") = b'y';
    // As `cp -p` does: into the same file, then its time.
    let mut copy = File::options().write(true).open(&file).expect("the file");
    copy.write_all(&two).and_then(|()| copy.set_modified(time)).expect("written");
    until("the second runs", || runs(&line, &two));
}

#[test]
fn a_slow_copy_is_no_refusal() {
    let line = started(|setup| setup);
    let version = plugin("version-b");
    let mut copy = File::create(line.setup.plugin_file(NAME)).expect("truncated");
    for part in version.chunks(version.len() / 3) {
        copy.write_all(part).expect("written");
        sleep(Duration::from_millis(700));
    }
    until("it runs", || runs(&line, &version));
    assert!(line.plugin(NAME)["refused"].is_null());
    line.expect_metric("gregor_plugin_swaps_total", &[r#"outcome="refused""#], 0.0);
    let audit = fs::read_to_string(line.setup.data("one").join("audit.log")).expect("an audit log");
    assert!(!audit.contains("refused"), "{audit}");
}

#[test]
fn a_version_that_compiles_keeps_nobody_waiting() {
    let line = started(|setup| setup.plugins("compile-timeout", "\"1h\""));
    assert_eq!(line.ask(0, "before"), "before");
    posts(&line, &format!("/api/v1/plugins/{OTHER}"), &revised(&plugin(OTHER)));
    line.setup.put(NAME, &bomb());
    until("it compiles", || line.host.compiler().is_some());
    posts(&line, "/api/v1/pipelines/line/pause?partition=0", b"");
    posts(&line, "/api/v1/pipelines/line/resume", b"");
    posts(&line, &format!("/api/v1/plugins/{OTHER}/rollback"), b"");
    assert_eq!(line.ask(0, "meanwhile"), "meanwhile");
    let compiler = line.host.compiler().expect("it still compiles");
    confined(&compiler);
}

#[test]
fn uploads_of_one_plugin_take_turns() {
    let line = started(|setup| setup.plugins("compile-timeout", "\"10s\""));
    let (route, other) = (format!("/api/v1/plugins/{NAME}"), format!("/api/v1/plugins/{OTHER}"));
    // Compiled by now: components are compiled one at a time.
    let (slow, next, kept) = (bomb(), plugin("version-b"), revised(&plugin(OTHER)));
    posts(&line, &other, &kept);
    posts(&line, &format!("{other}/rollback"), b"");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| line.host.post(&route, TOKEN, &slow));
        until("the first compiles", || line.host.compiler().is_some());
        let second = scope.spawn(|| line.host.post(&route, TOKEN, &next));
        posts(&line, &other, &kept);
        assert!(!first.is_finished() && !second.is_finished(), "another plugin's upload waited for them");
        assert_eq!(first.join().expect("an answer").0, 422);
        assert_eq!(second.join().expect("an answer").0, 200);
    });
    assert!(runs(&line, &next));
}

/// What the compiler's process has given up, as the kernel shows it.
#[track_caller]
fn confined(process: &std::path::Path) {
    let read = |name: &str| fs::read_to_string(process.join(name)).expect("the process lives");
    until("it has confined itself", || read("status").contains("\nSeccomp:\t2\n"));
    assert!(read("status").contains("\nNoNewPrivs:\t1\n"));
    // Only root may look at more of a process that keeps to itself.
    if let (Ok(open), Ok(environment)) = (fs::read_dir(process.join("fd")), fs::read(process.join("environ"))) {
        assert_eq!((open.count(), environment.len()), (3, 0));
    }
    let limits = read("limits");
    for (name, bound) in [("Max processes", "0"), ("Max core file size", "0"), ("Max open files", "3")] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("a limit");
        assert_eq!(line.split_whitespace().next(), Some(bound), "{limits}");
    }
    assert!(limits.lines().any(|line| line.starts_with("Max file size") && !line.contains("unlimited")), "{limits}");
}
