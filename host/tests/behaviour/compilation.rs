//! Compiled apart from the host, within bounds, and once.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Host, Setup, plugin, until};

const NAME: &str = "versioned";

fn setup(topics: &Topics) -> Setup {
    let setup = Setup::new().workers(1).plugin(NAME, &plugin("version-a"));
    setup.pipeline(topics.pipeline().stage(stage(NAME, ""))).with_nothing_compiled()
}

/// Files of compiled code that the host `one` keeps.
fn code(setup: &Setup) -> Vec<PathBuf> {
    let entries = fs::read_dir(setup.data("one").join("compiled")).expect("a folder of code");
    entries.map(|entry| entry.expect("a file").path()).collect()
}

/// How many versions the host compiled and how many it found.
fn loads(host: &Host) -> (f64, f64) {
    let of = |source: &str| host.metric("gregor_plugin_loads_total", &[&format!("source={source:?}")]);
    (of("compiled"), of("kept"))
}

#[test]
fn a_restart_does_not_compile_again() {
    let topics = Topics::new(1);
    let setup = setup(&topics);
    let mut host = setup.start();
    assert_eq!(loads(&host), (1.0, 0.0));
    host.term();
    let mut host = setup.start();
    assert_eq!(loads(&host), (0.0, 1.0));
    let files = code(&setup);
    assert_eq!(files.len(), 1);
    assert_eq!(fs::metadata(&files[0]).expect("a file").mode() & 0o777, 0o600);
    host.term();
    // The pool of plugins is another one; the code is the same.
    let setup = setup.host("max-instances", "9");
    let host = setup.start();
    assert_eq!(loads(&host), (0.0, 1.0));
}

#[test]
fn altered_code_is_never_run() {
    let topics = Topics::new(1);
    let setup = setup(&topics);
    setup.start().term();
    let file = code(&setup).remove(0);
    let mut bytes = fs::read(&file).expect("code");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&file, &bytes).expect("written");
    let mut host = setup.start();
    assert_eq!(loads(&host), (1.0, 0.0));
    host.wait_for_log("it is not what was written");
    host.term();
    let file = code(&setup).remove(0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("the file is ours");
    let host = setup.start();
    assert_eq!(loads(&host), (1.0, 0.0));
}

#[test]
fn only_the_code_of_kept_versions_stays() {
    let topics = Topics::new(1);
    let setup = setup(&topics).plugins("keep-versions", "2");
    let line = Line::run(topics, setup);
    line.host.wait_until_ready();
    let mut version = plugin("version-a");
    for nth in 1..=3 {
        version = revised(&version);
        line.setup.put(NAME, &version);
        line.expect_metric("gregor_plugin_swaps_total", &[r#"outcome="activated""#], f64::from(nth));
    }
    until("the code of two versions is left", || code(&line.setup).len() == 2);
    let kept = fs::read_dir(line.setup.data("one").join("versions").join(NAME)).expect("a folder of versions");
    assert_eq!(kept.count(), 3, "two versions and the index");
}

/// A component that is a plugin in all but one thing: it holds a module so large
/// that compiling it takes longer than a second.
pub fn bomb() -> Vec<u8> {
    let leb = |mut number: usize| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let section = |id: u8, content: &[u8]| [&[id][..], &leb(content.len()), content].concat();
    const FUNCTIONS: usize = 40;
    // A local, and a million times: local = local * local + 1.
    let step = [0x20, 0, 0x20, 0, 0x7e, 0x42, 1, 0x7c, 0x21, 0];
    let body = [&[1, 1, 0x7e][..], &step.repeat(100_000), &[0x0b]].concat();
    let body = [leb(body.len()), body].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[leb(FUNCTIONS), vec![0; FUNCTIONS]].concat()),
        section(10, &[leb(FUNCTIONS), body.repeat(FUNCTIONS)].concat()),
    ]
    .concat();
    [plugin("version-b"), section(1, &module)].concat()
}

#[test]
fn a_compile_bomb_is_refused_and_records_flow_on() {
    let topics = Topics::new(1);
    let setup = setup(&topics).plugins("compile-timeout", "\"1s\"");
    let line = Line::run(topics, setup);
    assert_eq!(line.ask(0, "before"), "before");
    line.setup.put(NAME, &bomb());
    until("the bomb is refused", || {
        line.plugin(NAME)["refused"].as_str().is_some_and(|why| why.contains("`plugins.compile-timeout` (1s)"))
    });
    assert_eq!(line.ask(0, "after"), "after");
    assert_eq!(code(&line.setup).len(), 1, "the bomb left nothing behind");
}

#[test]
fn a_component_that_takes_more_memory_to_compile_than_allowed_is_refused() {
    let topics = Topics::new(1);
    let setup = setup(&topics).plugins("compile-memory", "\"256MiB\"").plugins("max-size", "\"1GiB\"");
    let line = Line::run(topics, setup);
    assert_eq!(line.ask(0, "before"), "before");
    line.setup.put(NAME, &[plugin("version-b"), vast()].concat());
    until("it is refused", || {
        line.plugin(NAME)["refused"]
            .as_str()
            .is_some_and(|why| why.contains("`plugins.compile-memory` (268435456 bytes)"))
    });
    assert_eq!(line.ask(0, "after"), "after");
}

/// A custom section of 300 MB.
fn vast() -> Vec<u8> {
    let length = 300_000_000_usize;
    let mut section = vec![0, 0x80 | length as u8, 0x80 | (length >> 7) as u8, 0x80 | (length >> 14) as u8];
    section.extend([0x80 | (length >> 21) as u8, (length >> 28) as u8]);
    section.extend([1, b'x']);
    section.resize(section.len() + length - 2, 0);
    section
}
