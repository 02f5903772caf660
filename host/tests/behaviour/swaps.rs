//! Plugins replaced again and again while records flow, exactly once.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{env, fs};

use gregor::plugin::Digest;

use crate::support::{Backend, Guarantee, Host, Settings, Trial, plugin, until, until_within};

const TOKEN: &str = "s3cret";
/// Seconds from one swap to the next.
const ROUND: u64 = 1;
/// Three hosts start, each of which compiles first; a large component takes a minute and more.
const STARTED: Duration = Duration::from_secs(300);

#[test]
fn swaps_on_three_hosts_in_turn_cost_and_double_nothing() {
    let settings = Settings::or(9_000, 9);
    let trial = Trial::new(Backend::Memory, Guarantee::ExactlyOnce, settings).with_setup(|setup| setup.workers(1));
    let first = swapped();
    trial.setup.put("last-location", &first);
    let config = trial.setup.write();
    let start = |id| Host::spawn_with(&config, id, &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    let mut hosts = ["one", "two", "three"].map(start);
    until_within(STARTED, "each host has two partitions", || {
        hosts.iter().all(|host| host.answers("/readyz")) && trial.kafka.is_stable(&trial.setup.app, 3)
    });
    let stream = trial.stream(ROUND);
    trial.wait_for_outputs(100);
    // Which version came when, on each host.
    let mut order: BTreeMap<String, usize> = BTreeMap::from([(Digest::of(&first).short(), 0)]);
    for round in 1..=settings.rounds as usize {
        let component = version(&first, round);
        order.insert(Digest::of(&component).short(), round);
        let host = &hosts[round % 3];
        let (status, said) = host.post("/api/v1/plugins/last-location", TOKEN, &component);
        assert_eq!(status, 200, "{said}");
        trial.wait_for_outputs(30);
    }
    let produced = stream.finish();
    trial.settle();
    hosts.iter_mut().for_each(|host| assert_eq!(host.term(), Some(0)));

    trial.verify(&produced);
    let used = versions_never_go_back(&trial, &order, Place::Worker);
    assert_eq!(used, settings.rounds as usize + 1, "versions that processed records");
    let mut pauses: Vec<f64> = hosts.iter().flat_map(pauses).collect();
    pauses.sort_by(f64::total_cmp);
    assert_eq!(pauses.len(), settings.rounds as usize, "swaps that the hosts tell of");
    let figures = format!(
        "{} swaps on three hosts in turn, records of a worker waited {:.3} ms (p99) and {:.3} ms (at most)",
        settings.rounds,
        pauses[(pauses.len() * 99).div_ceil(100) - 1],
        pauses[pauses.len() - 1],
    );
    trial.report(&produced, &figures);
}

#[test]
fn a_partition_that_moves_between_hosts_of_two_versions_never_goes_back() {
    let settings = Settings::or(6_000, 3);
    let trial = Trial::new(Backend::Disk, Guarantee::ExactlyOnce, settings).with_setup(|setup| setup.workers(1));
    let ids = ["one", "two", "three"];
    let config = trial.setup.write();
    let start = |id| Host::spawn_with(&config, id, &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    let mut hosts = ids.map(start);
    let spread =
        |hosts: &[Host]| hosts.iter().all(|host| host.answers("/readyz")) && trial.kafka.is_stable(&trial.setup.app, 3);
    until("each host has two partitions", || spread(&hosts));
    let stream = trial.stream(3 * ROUND);
    trial.wait_for_outputs(100);
    let first = plugin("last-location");
    let mut order: BTreeMap<String, usize> = BTreeMap::from([(Digest::of(&first).short(), 0)]);
    for round in 1..=settings.rounds as usize {
        let component = version(&first, round);
        order.insert(Digest::of(&component).short(), round);
        let deploy = |host: &Host| {
            let (status, said) = host.post("/api/v1/plugins/last-location", TOKEN, &component);
            assert_eq!(status, 200, "{said}");
        };
        let ahead = round % 3;
        deploy(&hosts[ahead]);
        trial.wait_for_outputs(30);
        // Its partitions come to hosts of the version before.
        assert_eq!(hosts[ahead].term(), Some(0));
        until("they wait there", || {
            let behind = hosts.iter().enumerate().filter(|(index, _)| *index != ahead);
            behind.flat_map(|(_, host)| host.partitions()).any(|view| view["state"] == "waiting-for-version")
        });
        hosts[ahead] = start(ids[ahead]);
        until("it is back", || spread(&hosts));
        hosts.iter().for_each(deploy);
        trial.wait_for_outputs(30);
    }
    let produced = stream.finish();
    trial.settle();
    hosts.iter_mut().for_each(|host| assert_eq!(host.term(), Some(0)));

    trial.verify(&produced);
    assert_eq!(versions_never_go_back(&trial, &order, Place::Anywhere), settings.rounds as usize + 1);
    trial.report(&produced, &format!("{} versions deployed host by host", settings.rounds));
}

/// Where a partition's versions are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On each worker by itself.
    Worker,
    Anywhere,
}

/// What is swapped: the component that `cargo xtask chaos swaps --plugin` names, or the host's own.
fn swapped() -> Vec<u8> {
    let named = env::var_os("GREGOR_TEST_PLUGIN");
    named.map_or_else(|| plugin("last-location"), |file| fs::read(file).expect("the component that is named"))
}

/// The same code with a digest of its own.
fn version(component: &[u8], round: usize) -> Vec<u8> {
    // A custom section: its id, the length of what follows, its name and the round.
    let [low, high] = (round as u16).to_le_bytes();
    [component, &[0, 4, 1, b'x', low, high]].concat()
}

/// A partition's versions only go forward, and each output has one; how many
/// versions there were.
fn versions_never_go_back(trial: &Trial, order: &BTreeMap<String, usize>, place: Place) -> usize {
    let mut last: BTreeMap<(i32, String), usize> = BTreeMap::new();
    let mut used = std::collections::BTreeSet::new();
    trial.kafka.read_each(&trial.sink, |output| {
        let worker = match place {
            Place::Worker => output.header("gregor-worker").expect("provenance").to_owned(),
            Place::Anywhere => String::new(),
        };
        let versions = output.header("gregor-versions").expect("provenance");
        let of_output: Vec<usize> =
            order.iter().filter(|(digest, _)| versions.contains(&***digest)).map(|(_, nth)| *nth).collect();
        let [nth] = of_output[..] else { panic!("an output of {versions}") };
        used.insert(nth);
        if let Some(before) = last.insert((output.partition, worker), nth) {
            assert!(before <= nth, "partition {} went back from version {before} to {nth}", output.partition);
        }
    });
    used.len()
}

/// How long records of one of the host's workers waited, for each swap, in milliseconds.
fn pauses(host: &Host) -> Vec<f64> {
    let log = host.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let swaps = lines.filter(|line| line["fields"]["message"] == "a new version runs");
    let pause = |line: serde_json::Value| {
        let told = line["fields"]["pause"].as_str().expect("a pause").to_owned();
        let (number, unit) = told.split_at(told.find(|c: char| !c.is_ascii_digit() && c != '.').expect("a unit"));
        let scale = match unit {
            "s" => 1e3,
            "ms" => 1.0,
            "µs" => 1e-3,
            _ => 1e-6,
        };
        number.parse::<f64>().expect("a number") * scale
    };
    swaps.map(pause).collect()
}
