//! `gregor plugin dev`: a host that follows the sources of a plugin.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::author::{command, edit, path, rust_project, told};
use crate::support::{Host, Pipeline, Record, Setup, Stage, eventually, kafka, until_within};

const TOKEN: &str = "open-sesame";
/// A build, a deployment and a few records, on a loaded machine.
const TURN: Duration = Duration::from_secs(180);
/// Sources that did not change for so long are taken; less than what dev waits.
const REST: Duration = Duration::from_millis(250);
const WAITING: &str = "Waiting for a change";

/// A running `gregor plugin dev`, and the file that it speaks into.
struct Dev {
    child: Child,
    said: PathBuf,
}

impl Dev {
    fn start(mut command: Command, said: PathBuf) -> Dev {
        let file = File::create(&said).expect("the folder takes a file");
        let child =
            command.stdout(file.try_clone().expect("a second handle")).stderr(file).spawn().expect("the binary runs");
        Dev { child, said }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("what it said")
    }

    /// Does something to the sources, and waits until dev has said `text` of it and waits
    /// again; what it said since.
    #[track_caller]
    fn answer(&mut self, text: &str, change: impl FnOnce()) -> String {
        let before = self.said().len();
        change();
        until_within(TURN, text, || {
            assert!(self.child.try_wait().expect("its state").is_none(), "it ended:\n{}", self.said());
            self.said()[before..].split_once(text).is_some_and(|(_, after)| after.contains(WAITING))
        });
        self.said().split_off(before)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("-- what dev said:\n{}", self.said());
        }
        // Ended already where the test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Patient 7 is seen in `topic` again and again for as long as `during` takes.
fn while_seen<T>(topic: &str, during: impl FnOnce() -> T) -> T {
    let (done, over) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while over.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                kafka().produce(topic, [Record::new("7", r#"{"patientId": "7", "lat": 1.0, "lon": 2.0}"#)]);
            }
        });
        // Goes with this closure, also where it panics.
        let _done = done;
        during()
    })
}

/// Saves `file` ten times, as `text` makes it of the number; how often it rested in between.
fn save_in_a_burst(file: &Path, text: impl Fn(usize) -> String) -> usize {
    let (mut rests, mut last) = (0, Instant::now());
    for nth in 1..=10 {
        fs::write(file, text(nth)).expect("written");
        // A machine that stalls makes two bursts of one.
        rests += usize::from(last.elapsed() >= REST);
        last = Instant::now();
        thread::sleep(Duration::from_millis(60));
    }
    rests
}

#[test]
fn a_host_follows_the_sources_from_save_to_save_until_ctrl_c() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = rust_project(folder.path(), "ward-round");
    let source_file = dir.join("src/lib.rs");
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let setup = Setup::new().pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("last-location")));
    let config = setup.write();
    let host = Host::spawn_with(&config, "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    host.wait_until_ready();
    let admin = eventually("an admin server", || host.admin());
    let words = ["dev", path(&dir), "--records", "1", "--plugin", "last-location", "--config", path(&config)];
    let dev = |more: &[&str]| {
        let mut dev = command(&[&words[..], more].concat());
        dev.env("GREGOR__HOST__ADMIN_TOKEN", TOKEN).env("GREGOR__HOST__ADMIN", &admin);
        dev
    };

    while_seen(&source, || {
        let once = told(&dev(&["--once"]).output().expect("the binary runs"), 0);
        let (before, after) = once.split_once("runs on every worker").expect(&once);
        assert!(before.contains("Records as they come out now:") && before.contains("\"movedM\""), "{once}");
        assert!(after.contains("Records as it makes them:") && after.contains("Patient 7, sighting "), "{once}");

        let mut running = Dev::start(dev(&[]), folder.path().join("said"));
        let first = running.answer("Records as it makes them:", || ());
        assert!(first.contains("runs already") && first.contains("Patient 7, sighting "), "{first}");

        let changed = running
            .answer("Records as it makes them:", || edit(&source_file, "sighting {times}", "seen {times} times"));
        assert!(changed.contains("runs on every worker") && changed.contains("Patient 7, seen "), "{changed}");

        let digest = host.document("plugins")[0]["digest"].clone();
        let failed =
            running.answer("`cargo build` failed", || edit(&source_file, "struct Sightings;", "struct Sightings"));
        assert!(failed.contains("error: expected"), "the compiler's own words: {failed}");
        assert!(!failed.contains("runs on every worker"), "{failed}");
        assert_eq!(host.document("plugins")[0]["digest"], digest, "the version before runs on");

        let whole = fs::read_to_string(&source_file).expect("read").replace("struct Sightings", "struct Sightings;");
        let mut rests = 0;
        let burst = running.answer("Patient 7, save 10 ", || {
            rests = save_in_a_burst(&source_file, |nth| {
                whole.replace("seen {times} times", &format!("save {nth} of {{times}}"))
            });
        });
        let builds = burst.matches("Building ward-round").count();
        assert!(builds <= 1 + rests, "{builds} builds of one burst, which rested {rests} times: {burst}");

        let pid = Pid::from_raw(i32::try_from(running.child.id()).expect("a pid"));
        kill(pid, Signal::SIGINT).expect("it runs");
        assert_eq!(running.child.wait().expect("its end").code(), Some(0), "{}", running.said());
    });
}
