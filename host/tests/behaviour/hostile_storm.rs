//! Files in the plugins' folder, connections and signals that mean no good, in an order
//! that a seed decides, while records flow: each comes out once.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::extra::revised;
use crate::support::{Backend, Chance, Guarantee, Host, Settings, Trial, plugin, until};

const NAME: &str = "last-location";
const TOKEN: &str = "s3cret";
/// Seconds that one attack takes, about.
const ROUND: u64 = 2;
/// A host that starts may be compiling, and waits for its group.
const START: Duration = Duration::from_secs(3);
/// More than its server takes at once.
const CONNECTIONS: usize = 150;

#[test]
fn a_host_outlives_files_connections_and_signals() {
    // As chaos has it, a round is a component; here it is a fault that takes seconds.
    let settings = match Settings::or(6_000, 18) {
        settings if settings.full => {
            let rounds = settings.rounds.min(300);
            Settings { records: settings.records.min(200 * rounds), rounds, ..settings }
        }
        settings => settings,
    };
    let mut chance = settings.chance();
    let trial = Trial::new(Backend::Memory, Guarantee::ExactlyOnce, settings).with_setup(|setup| setup.workers(1));
    let mut storm = Storm { host: start(&trial), trial: &trial, version: plugin(NAME), open: Vec::new() };
    storm.host.wait_until_ready();
    let stream = trial.stream(ROUND);
    for _ in 0..settings.rounds {
        match chance.below(3) {
            0 => storm.file(&mut chance),
            1 => storm.connections(&mut chance),
            _ => storm.signal(&mut chance),
        }
        chance.pass(Duration::from_millis(500));
    }
    storm.calm();
    let produced = stream.finish();
    trial.settle();
    assert_eq!(storm.host.term(), Some(0));
    trial.verify(&produced);
    trial.report(&produced, &format!("{} attacks", settings.rounds));
}

fn start(trial: &Trial) -> Host {
    Host::spawn_with(&trial.setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)])
}

struct Storm<'a> {
    trial: &'a Trial,
    host: Host,
    /// The last good version.
    version: Vec<u8>,
    /// Connections that stay.
    open: Vec<TcpStream>,
}

impl Storm<'_> {
    /// Something else in the plugin's place, and a good version after it.
    fn file(&mut self, chance: &mut Chance) {
        let file = self.trial.setup.plugin_file(NAME);
        let (old, new) = (self.version.clone(), revised(&self.version));
        remove(&file);
        match chance.below(6) {
            0 => mkfifo(&file, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe"),
            1 => symlink("/dev/zero", &file).expect("a link"),
            2 => symlink(&file, &file).expect("a link to itself"),
            3 => fs::create_dir(&file).expect("a folder"),
            4 => {
                let mut half = File::create(&file).expect("a file");
                for part in new.chunks(new.len() / 4).take(3) {
                    half.write_all(part).expect("written");
                    chance.pass(Duration::from_millis(400));
                }
            }
            _ => {
                // One for the other, as fast as it goes.
                for nth in 0..50 {
                    self.trial.setup.put(NAME, [&old, &new][nth % 2]);
                }
            }
        }
        chance.pass(Duration::from_secs(1));
        if chance.one_in(3) {
            self.restart(Signal::SIGTERM);
        }
        remove(&file);
        self.trial.setup.put(NAME, &new);
        self.version = new;
    }

    fn connections(&mut self, chance: &mut Chance) {
        let Some(address) = self.host.admin() else { return };
        let Ok(mut stream) = TcpStream::connect(&address) else { return };
        self.open.drain(..self.open.len().saturating_sub(2 * CONNECTIONS));
        match chance.below(5) {
            // Idle.
            0 => self.open.extend((0..CONNECTIONS).map_while(|_| TcpStream::connect(&address).ok())),
            // A body that never comes whole.
            1 => {
                self.open.extend((0..CONNECTIONS / 3).filter_map(|_| {
                    let mut stream = TcpStream::connect(&address).ok()?;
                    let head = format!("POST /api/v1/plugins/{NAME} HTTP/1.1\r\nHost: localhost\r\n");
                    let rest = format!("Authorization: Bearer {TOKEN}\r\nContent-Length: 1000000\r\n\r\n\0asm");
                    stream.write_all((head + &rest).as_bytes()).ok()?;
                    Some(stream)
                }));
            }
            2 => {
                for stream in &mut self.open {
                    // Those that were closed are no error.
                    let _ = stream.write_all(b"x");
                }
            }
            3 => {
                let name = ["evil.example", "", "localhost\0", "[::1", "127.0.0.1:1:1"][chance.below(5) as usize];
                let rest = format!("Authorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n");
                let asked = write!(stream, "GET /metrics HTTP/1.1\r\nHost: {name}\r\n{rest}");
                let mut answer = String::new();
                if asked.is_ok() && stream.read_to_string(&mut answer).is_ok() {
                    assert!(!answer.starts_with("HTTP/1.1 200"), "{name:?}: {answer}");
                }
            }
            _ => {
                let bytes: Vec<u8> = (0..chance.below(10_000)).map(|_| chance.below(256) as u8).collect();
                let _ = stream.write_all(&bytes);
            }
        }
        if self.host.answers("/readyz") {
            assert!(self.host.answers("/healthz"));
        }
    }

    fn signal(&mut self, chance: &mut Chance) {
        match chance.below(6) {
            // While it starts.
            0 => {
                self.restart(Signal::SIGTERM);
                chance.pass(START);
                self.restart(Signal::SIGTERM);
            }
            1 => self.restart(Signal::SIGTERM),
            // These end a process that has no use for them. Not SIGHUP: under `nohup` it is
            // ignored, by the host too.
            2 => self.restart(Signal::SIGUSR2),
            3 => self.restart(Signal::SIGUSR1),
            4 => {
                self.host.freeze();
                chance.pass(Duration::from_secs(2));
                self.host.thaw();
            }
            _ => {
                self.host.signal(Signal::SIGWINCH);
                self.host.signal(Signal::SIGTERM);
                self.host.signal(Signal::SIGINT);
                let code = self.host.wait_exit();
                assert!([Some(0), Some(130), None].contains(&code), "it ended with {code:?}");
                self.host = start(self.trial);
            }
        }
    }

    /// Ends the host by a signal and starts it again. One that has only just been
    /// started does not listen yet: the signal itself ends it.
    fn restart(&mut self, signal: Signal) {
        self.host.signal(signal);
        let code = self.host.wait_exit();
        assert!(code.is_none() || (code, signal) == (Some(0), Signal::SIGTERM), "{signal}: it ended with {code:?}");
        self.host = start(self.trial);
    }

    /// Nobody attacks any more: the last good version comes to run.
    fn calm(&mut self) {
        self.open.clear();
        until("the host is ready", || self.host.answers("/readyz"));
        let digest = gregor::plugin::Digest::of(&self.version).to_string();
        until("the last version runs", || self.host.document("plugins")[0]["digest"] == digest.as_str());
    }
}

/// Whatever it is, as long as it is there.
fn remove(file: &Path) {
    let _ = fs::remove_file(file).or_else(|_| fs::remove_dir(file));
}
