//! Copies of state on other hosts, and take-overs that go on from them.

use serde_json::Value;

use crate::support::{Backend, Guarantee, Host, Settings, Trial, until};

/// Seconds from one kill to the next: mostly the session of members that are gone.
const ROUND: u64 = 12;

#[test]
fn a_host_takes_over_from_its_copy_in_memory() {
    takes_over_from_copies(Backend::Memory, Guarantee::ExactlyOnce);
}

#[test]
fn a_host_takes_over_from_its_copy_on_disk() {
    takes_over_from_copies(Backend::Disk, Guarantee::ExactlyOnce);
}

#[test]
fn a_host_takes_over_from_its_copy_at_least_once_and_counts_nothing_twice() {
    takes_over_from_copies(Backend::Memory, Guarantee::AtLeastOnce);
}

fn takes_over_from_copies(backend: Backend, guarantee: Guarantee) {
    let settings = Settings::or(9_000, 2);
    let state = backend.state().replace(" }", ", standby = 1 }");
    let trial = Trial::with_state(backend, guarantee, settings, &state).with_setup(|setup| setup.workers(1));
    let mut hosts = ["one", "two"].map(|id| Some(trial.setup.start_as(id)));
    let stream = trial.stream(ROUND);
    let (mut read, mut seconds) = (0, 0.0_f64);
    for round in 0..settings.rounds as usize {
        until("each host has half of the partitions and a copy of the others", || {
            let warm = |host: &Host| copies(host).len() == 3 && copies(host).iter().all(|behind| *behind < 50);
            hosts.iter().flatten().all(|host| host.owns(3) && warm(host))
        });
        trial.wait_for_outputs(500);
        let all = changelog_records(&trial);
        let (gone, stays) = (round % 2, 1 - round % 2);
        let survivor = hosts[stays].take().expect("it runs");
        let before = restores(&survivor).len();
        hosts[gone].take().expect("it runs").kill9();
        until("the other host has all", || survivor.owns(6) && restores(&survivor).len() == before + 3);
        for (records, took) in restores(&survivor).drain(before..) {
            assert!(records * 6 < all, "{records} of all {all} changelog records were read for one partition");
            read = read.max(records);
            seconds = seconds.max(took);
        }
        hosts[stays] = Some(survivor);
        hosts[gone] = Some(trial.setup.start_as(["one", "two"][gone]));
    }
    let produced = stream.finish();
    trial.settle();
    hosts.iter_mut().flatten().for_each(|host| assert_eq!(host.term(), Some(0)));

    let repeated = trial.verify(&produced);
    let figures = format!(
        "{} take-overs from copies, each read {read} changelog records in {seconds:.3} s at most, {repeated} repeated",
        settings.rounds
    );
    trial.report(&produced, &figures);
}

/// What each copy of this host is behind.
fn copies(host: &Host) -> Vec<u64> {
    let status = host.document("status");
    let copies = status["standby"].as_array().expect("a list");
    copies.iter().map(|copy| copy["remaining"].as_u64().expect("a number")).collect()
}

/// Records and seconds of each time this host rebuilt a store from its changelog.
fn restores(host: &Host) -> Vec<(i64, f64)> {
    let log = host.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let fields = lines.map(|line| line["fields"].clone());
    fields
        .filter(|fields| fields["message"] == "restored from the changelog")
        .map(|fields| (fields["records"].as_i64().expect("records"), fields["seconds"].as_f64().expect("seconds")))
        .collect()
}

/// How far the changelog is, over all partitions.
fn changelog_records(trial: &Trial) -> i64 {
    trial.kafka.ends(&format!("{}-main-last-location-changelog", trial.setup.app)).into_iter().sum()
}
