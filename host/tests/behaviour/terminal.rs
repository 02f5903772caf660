//! What a host shows on a terminal.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::producer::Producer;

use crate::support::{PATIENCE, Pipeline, Record, Setup, Stage, kafka, send, unique, until};

#[test]
fn a_restore_shows_how_far_it_is() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let stage = Stage::new("last-location").set("state", "{ changelog = true }");
    let setup = Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
    assert_eq!(setup.start().term(), Some(0));
    // Restores wait for an open transaction.
    let changelog = format!("{}-main-last-location-changelog", setup.app);
    let producer = kafka().producer(&[("transactional.id", &unique())]);
    producer.init_transactions(PATIENCE).expect("transactions");
    producer.begin_transaction().expect("a transaction");
    for partition in 0..2 {
        send(&producer, &changelog, &Record::new("key", "value").partition(partition));
    }
    producer.flush(PATIENCE).expect("both are acknowledged");

    let size = Winsize { ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).expect("a terminal");
    let mut host = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["run", "--config"])
        .arg(setup.write())
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal.slave)
        .spawn()
        .expect("the binary runs");
    let shown = Arc::<Mutex<Vec<u8>>>::default();
    let seen = shown.clone();
    let mut screen = File::from(terminal.master);
    // Ends with the host, whose end of the terminal was the last.
    let reading = std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            seen.lock().expect("the screen").extend_from_slice(&bytes[..count]);
        }
    });
    let shows = |text: &str| String::from_utf8_lossy(&shown.lock().expect("the screen")).contains(text);
    until("the restore shows its progress", || shows("restoring 2 partitions"));
    producer.abort_transaction(PATIENCE).expect("the transaction ends");
    until("the state is restored", || shows("restored from the changelog"));

    kill(Pid::from_raw(host.id() as i32), Signal::SIGTERM).expect("it runs");
    assert!(host.wait().expect("it ends").success());
    reading.join().expect("the reading thread");
}
