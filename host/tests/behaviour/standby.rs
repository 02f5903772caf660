//! Copies of state on other hosts, and take-overs that go on from them.

use serde_json::Value;

use crate::support::{Backend, Guarantee, Host, Pipeline, Record, Settings, Setup, Stage, Trial, gregor, kafka, until};

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

#[test]
fn a_copy_of_a_changelog_made_anew_is_told_once_and_begins_anew() {
    const TOKEN: &str = "s3cret";
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let stage = Stage::new("script").set("state", r#"{ backend = "disk", changelog = true, standby = 1 }"#);
    let setup = Setup::new()
        .workers(1)
        .host("admin-token", &format!("{TOKEN:?}"))
        .pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
    let send = |count: usize| {
        kafka().produce(&source, (0..count).map(|_| Record::new("key", "increment n 1").partition(0)));
        until("everything is committed", || kafka().is_settled(&setup.app, &source));
    };
    let start = |id| {
        let host = Host::spawn_with(&setup.write(), id, &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
        host.wait_until_ready();
        host
    };
    let mut hosts = vec![start("one"), start("two")];
    send(5);
    until("one host owns the partition, the other has a copy of it", || {
        hosts.iter().any(|host| host.owns(1)) && hosts.iter().any(|host| copies(host) == [0])
    });
    if !hosts[0].owns(1) {
        hosts.swap(0, 1);
    }
    // Where the copy is in the changelog is on its disk every 5 s.
    std::thread::sleep(std::time::Duration::from_secs(7));
    let changelog = format!("{}-main-script-changelog", setup.app);
    let properties = [("cleanup.policy", "compact"), ("min.compaction.lag.ms", "600000")];
    kafka().make_anew(&changelog, 1, &[&properties[..], &[("max.message.bytes", "2000000")]].concat());
    let state = |host: &Host| host.partitions().first().map(|view| view["state"].clone());
    until("the owner holds the partition", || state(&hosts[0]).is_some_and(|state| state == "state-mismatch"));
    // The copy may be all there is of the state: it waits, and says so once.
    hosts[1].wait_for_log("does not hold all of the state yet");
    std::thread::sleep(std::time::Duration::from_secs(10));
    let lines = hosts[1].log().matches("does not hold all of the state yet").count();
    assert_eq!(lines, 1);
    let admin = hosts[0].admin().expect("an admin server");
    let config = setup.path().join("gregor.toml");
    let config = config.to_str().expect("text");
    let kept = gregor(&["state", "keep", "--all", "--yes", "--admin", &admin, "--config", config]);
    assert!(kept.status.success(), "{}", String::from_utf8_lossy(&kept.stderr));
    send(1);
    until("the copy is begun anew", || copies(&hosts[1]) == [0]);
    assert_eq!(hosts.remove(0).term(), Some(0));
    send(1);
    assert_eq!(kafka().read(&sink).last().expect("an output").text(), "7", "the copy has it all");
    assert_eq!(hosts[0].term(), Some(0));
}
