//! Files that a command is told to read and that are none: nobody waits for them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::author::{author, path, text};
use crate::support::{Pipeline, Setup, Stage, gregor, plugin};

/// A component, records, a pipe and a link to an endless device.
fn files(folder: &Path) -> [String; 4] {
    let files = ["echo.wasm", "records.jsonl", "pipe", "endless"].map(|name| folder.join(name));
    fs::write(&files[0], plugin("echo")).expect("written");
    fs::write(&files[1], "a:1\n").expect("written");
    mkfifo(&files[2], Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    symlink("/dev/zero", &files[3]).expect("a link");
    files.map(|file| path(&file).to_owned())
}

#[test]
fn pipes_and_devices_as_arguments_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [echo, records, pipe, endless] = files(folder.path());
    let other = path(&folder.path().join("signed.wasm")).to_owned();
    for (bad, what) in [(&*pipe, "a named pipe"), (&*endless, "a device")] {
        let told = format!("{bad} is {what}, not a regular file");
        for (words, code, told) in [
            (vec!["test", &echo, "--records", bad], 2, format!("{told}; - reads standard input")),
            (vec!["test", &echo, "--records", &records, "--expect", bad], 2, told.clone()),
            (vec!["test", bad, "--records", &records], 1, format!("is {what}")),
            (vec!["test", "--capsule", bad], 2, format!("is {what}")),
            (vec!["try", bad], 2, "is neither a file nor a plugin".to_owned()),
            (vec!["check", bad], 1, format!("is {what}")),
            (vec!["deploy", bad], 1, format!("is {what}")),
            (vec!["sign", &echo, "--key", bad, "--output", &other], 1, format!("is {what}")),
            (vec!["verify", &echo, "--key", bad], 1, format!("is {what}")),
        ] {
            let output = author(&words);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
            assert!(said.contains(&told) && said.lines().count() == 1, "{words:?}: {said}");
        }
    }
}

#[test]
fn an_import_reads_regular_files_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [.., pipe, endless] = files(folder.path());
    let setup = Setup::new().pipeline(Pipeline::named("line", "in").stage(Stage::new("echo")));
    let config = setup.write();
    for (bad, what) in [(pipe, "a named pipe"), (endless, "a device"), ("absent".to_owned(), "")] {
        let words = ["state", "import", "line", "echo", "--config", path(&config)];
        let output = gregor(&[&words[..], &["--input", &bad]].concat());
        let told = if what.is_empty() { "does not exist".to_owned() } else { format!("is {what}, not a regular file") };
        assert_eq!(text(&output.stderr), format!("error: {bad} {told}\n"));
        assert_eq!(output.status.code(), Some(5));
    }
}

#[test]
fn endless_standard_input_is_read_to_a_limit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [echo, ..] = files(folder.path());
    // 256 MiB and a line's end.
    let script = "head -c 268435457 /dev/zero | \"$0\" plugin try \"$1\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_gregor"), &echo])
        .output()
        .expect("the shell runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("a line of standard input has 268435457 bytes or more, and the limit is 268435456"),
        "{said}"
    );
}
