//! Only what a trusted key signed comes into force.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Setup, gregor, plugin, until};

const NAME: &str = "versioned";

fn run(arguments: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = gregor(arguments);
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(code), "gregor {arguments:?}: {said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A key made by the command, in a folder of its own.
struct Key {
    folder: tempfile::TempDir,
    /// As the command prints it, for the configuration.
    trusted: String,
}

impl Key {
    fn new() -> Key {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let said = run(&["plugin", "keygen", "--output", text(&folder.path().join("key"))], 0);
        let line =
            said.lines().find_map(|line| line.strip_prefix("trusted-keys = ")).expect("a line for the configuration");
        Key { folder, trusted: line.to_owned() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sign(&self, component: &[u8]) -> Vec<u8> {
        let file = self.file("plugin.wasm");
        fs::write(&file, component).expect("written");
        run(&["plugin", "sign", text(&file), "--key", text(&self.file("key"))], 0);
        fs::read(file).expect("the signed component")
    }
}

#[test]
fn a_key_signs_and_its_public_half_verifies() {
    let (ours, theirs) = (Key::new(), Key::new());
    let file = ours.file("plugin.wasm");
    let verify = |key: &Key, code| run(&["plugin", "verify", text(&file), "--key", text(&key.file("key.pub"))], code);
    fs::write(&file, plugin("version-a")).expect("written");
    assert!(verify(&ours, 4).contains("it is not signed"));
    let signed = ours.sign(&plugin("version-a"));
    assert!(verify(&ours, 0).contains("is signed by a key"));
    assert!(verify(&theirs, 4).contains("by none of"));
    fs::write(&file, revised(&signed)).expect("written");
    assert!(verify(&ours, 4).contains("or it was altered"));
    fs::write(&file, &signed).expect("written");
    assert!(run(&["plugin", "check", text(&file)], 0).contains("fine"));
    assert!(run(&["plugin", "keygen", "--output", text(&ours.file("key"))], 1).contains("cannot make"));
    fs::write(&file, b"\0asm\x01\0\0\0").expect("written");
    assert!(run(&["plugin", "sign", text(&file), "--key", text(&ours.file("key"))], 4).contains("core module"));
}

#[test]
fn a_key_made_by_openssl_is_a_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let openssl = |arguments: &[&str]| {
        std::process::Command::new("openssl").args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !openssl(&["genpkey", "-algorithm", "ed25519", "-out", text(&path("key"))]) {
        // There is no openssl here.
        return;
    }
    assert!(openssl(&["pkey", "-in", text(&path("key")), "-pubout", "-out", text(&path("key.pub"))]));
    fs::write(path("plugin.wasm"), plugin("version-a")).expect("written");
    run(&["plugin", "sign", text(&path("plugin.wasm")), "--key", text(&path("key"))], 0);
    run(&["plugin", "verify", text(&path("plugin.wasm")), "--key", text(&path("key.pub"))], 0);
}

#[test]
fn a_host_with_trusted_keys_takes_only_what_they_signed() {
    let (ours, theirs) = (Key::new(), Key::new());
    let topics = Topics::new(1);
    let setup = Setup::new()
        .plugins("trusted-keys", &ours.trusted)
        .plugin(NAME, &ours.sign(&plugin("version-a")))
        .pipeline(topics.pipeline().stage(stage(NAME, "")));
    let line = Line::run(topics, setup);
    assert_eq!(line.ask(0, "before"), "before");
    let runs = line.plugin(NAME)["digest"].clone();
    let signed = ours.sign(&plugin("version-b"));
    for (bytes, words) in [
        (plugin("version-b"), "it is not signed"),
        // What it imports is nobody's word: it is not looked at.
        (plugin("unknown-import"), "it is not signed"),
        (theirs.sign(&plugin("version-b")), "by none of `plugins.trusted-keys`"),
        (revised(&signed), "it was altered"),
    ] {
        line.setup.put(NAME, &bytes);
        until(words, || line.plugin(NAME)["refused"].as_str().is_some_and(|why| why.contains(words)));
        assert_eq!(line.plugin(NAME)["digest"], runs);
    }
    line.setup.put(NAME, &signed);
    until("the signed version runs", || line.plugin(NAME)["digest"] != runs);
}

#[test]
fn a_host_does_not_start_with_what_no_trusted_key_signed() {
    let key = Key::new();
    let topics = Topics::new(1);
    let setup = Setup::new().plugin(NAME, &plugin("version-a")).pipeline(topics.pipeline().stage(stage(NAME, "")));
    // It ran before anyone asked for signatures, so it is kept.
    setup.start().term();
    let setup = setup.plugins("trusted-keys", &key.trusted);
    let (code, log) = setup.run_refused();
    assert_eq!(code, Some(4), "{log}");
    assert!(log.contains("it is not signed, and `plugins.trusted-keys` asks for a signature"), "{log}");
    setup.put(NAME, &key.sign(&plugin("version-a")));
    setup.start();
}
