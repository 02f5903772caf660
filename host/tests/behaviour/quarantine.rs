//! A patient whose record fails waits, and behind it that patient's alone: until
//! a better version lands, through crashes and moves, once each.

use std::process::Command;

use serde_json::Value;

use crate::support::extra::{Topics, stage};
use crate::support::{Backend, Guarantee, Host, Record, Setup, kafka, plugin, redis_url, until};

/// The one that the bad version rejects.
const BAD: &str = "bad-patient";
const GOOD: [&str; 2] = ["good-patient", "other-patient"];
const ROUNDS: u64 = 20;

fn setup(topics: &Topics, backend: Backend, guarantee: Guarantee) -> Setup {
    let state = format!("state = {}", backend.state());
    let setup = Setup::new()
        .workers(1)
        .delivery("guarantee", guarantee.toml())
        .delivery("commit-interval", "\"100ms\"")
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .pipeline(
            topics
                .pipeline()
                .stage(stage("refuses-one", &format!("on-failure = \"quarantine\"\n{state}")))
                .stage(stage("last-location", &state)),
        );
    if backend == Backend::Redis { setup.redis(&redis_url()) } else { setup }
}

/// Records of all patients, one after the other, in the first of two partitions.
fn send(topics: &Topics, rounds: u64) {
    let location = |patient: &str| {
        let value = format!(r#"{{"patientId":"{patient}","lat":38.7,"lon":-9.1}}"#);
        Record::new(patient, value).partition(0)
    };
    let patients = [GOOD[0], BAD, GOOD[1]];
    kafka().produce(&topics.source, (0..rounds).flat_map(|_| patients.map(location)));
}

/// What last-location has counted for each of a patient's outputs.
fn counts(topics: &Topics, patient: &str) -> Vec<u64> {
    let outputs = kafka().read(&topics.sink);
    let of_patient = outputs.iter().filter(|output| output.key() == patient);
    of_patient.map(|output| output.json()["count"].as_u64().expect("a count")).collect()
}

/// Of the first partition, once the API shows its stages: records and keys that are parked.
fn parked(host: &Host) -> Option<(u64, u64)> {
    let partitions = host.partitions();
    let first = partitions.iter().find(|view| view["partition"] == 0)?;
    let stages = first["stages"].as_array().filter(|stages| !stages.is_empty())?;
    let sum = |name: &str| stages.iter().map(|stage| stage[name].as_u64().expect("a number")).sum();
    Some((sum("quarantined_records"), sum("quarantined_keys")))
}

#[track_caller]
fn expect_parked(host: &Host, records: u64, keys: u64) {
    until(&format!("{records} records of {keys} keys are parked"), || parked(host) == Some((records, keys)));
}

/// A host that has parked one patient's records and is done with the others'.
fn with_parked(topics: &Topics, setup: &Setup) -> Host {
    send(topics, ROUNDS);
    let host = setup.spawn_as("one", &[]);
    expect_parked(&host, ROUNDS, 1);
    until("all is committed", || kafka().is_settled(&setup.app, &topics.source));
    let all: Vec<u64> = (1..=ROUNDS).collect();
    GOOD.iter().for_each(|patient| assert_eq!(counts(topics, patient), all));
    assert_eq!(counts(topics, BAD), Vec::<u64>::new());
    host
}

/// The better version lands, while records keep coming: each came out once, in
/// order, and counted once.
#[track_caller]
fn all_come_out(topics: &Topics, setup: &Setup, host: &Host) {
    let mut sent = ROUNDS;
    until("nothing is parked any more", || {
        send(topics, 1);
        sent += 1;
        parked(host) == Some((0, 0))
    });
    until("all is committed", || kafka().is_settled(&setup.app, &topics.source));
    let all: Vec<u64> = (1..=sent).collect();
    for patient in [GOOD[0], BAD, GOOD[1]] {
        until("the last one shows", || counts(topics, patient).len() as u64 >= sent);
        assert_eq!(counts(topics, patient), all, "{patient}");
    }
    assert_eq!(kafka().read(&topics.dead).len(), 0);
}

const PLACES: [(Backend, Guarantee); 3] = [
    (Backend::Redis, Guarantee::ExactlyOnce),
    (Backend::Memory, Guarantee::ExactlyOnce),
    (Backend::Disk, Guarantee::AtLeastOnce),
];

#[test]
fn one_patient_waits_for_a_better_version_and_the_others_do_not() {
    for (backend, guarantee) in PLACES {
        let topics = Topics::new(2);
        let setup = setup(&topics, backend, guarantee);
        let host = with_parked(&topics, &setup);
        let metric = |name: &str| host.metric(name, &[r#"stage="refuses-one""#, r#"partition="0""#]);
        assert_eq!(metric("gregor_quarantined_records"), ROUNDS as f64);
        assert_eq!(metric("gregor_quarantined_keys"), 1.0);
        let status = Command::new(env!("CARGO_BIN_EXE_gregor"))
            .args(["status", "--admin", &format!("http://{}", host.admin().expect("an address"))])
            .output()
            .expect("the binary runs");
        let table = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(table.contains(&format!("{ROUNDS} (1 keys)")), "{table}");
        let calls = host.metric("gregor_plugin_calls_total", &[r#"outcome="reject""#]);
        assert_eq!(calls, 1.0, "those behind it are not tried");

        setup.put("refuses-one", &plugin("echo"));
        all_come_out(&topics, &setup, &host);
        let log = host.log();
        assert!(log.contains("those of its record key will be behind it") && log.contains("released"), "{log}");
        assert!(!log.contains(BAD) && !host.metrics().contains(BAD), "a key is told");
    }
}

#[test]
fn what_is_parked_outlives_a_killed_host() {
    for (backend, guarantee) in PLACES {
        let topics = Topics::new(2);
        let setup = setup(&topics, backend, guarantee);
        let mut host = with_parked(&topics, &setup);
        host.kill9();
        if backend != Backend::Disk {
            setup.lose_data("one");
        }
        let host = setup.spawn_as("one", &[]);
        expect_parked(&host, ROUNDS, 1);
        until("its first one is tried once more", || {
            host.metric("gregor_plugin_calls_total", &[r#"outcome="reject""#]) >= 1.0
        });
        send(&topics, 1);
        expect_parked(&host, ROUNDS + 1, 1);
        setup.put("refuses-one", &plugin("echo"));
        expect_parked(&host, 0, 0);
        until("all is committed", || kafka().is_settled(&setup.app, &topics.source));
        until("the last one shows", || counts(&topics, BAD).len() as u64 > ROUNDS);
        assert_eq!(counts(&topics, BAD), (1..=ROUNDS + 1).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_parked_goes_with_its_partition_to_another_host() {
    for (backend, guarantee) in PLACES {
        let topics = Topics::new(2);
        let setup = setup(&topics, backend, guarantee);
        let mut one = with_parked(&topics, &setup);
        let two = setup.spawn_as("two", &[]);
        until("each has a partition", || one.owns(1) && two.owns(1));
        assert_eq!(one.term(), Some(0));
        until("the second has both", || two.owns(2));
        expect_parked(&two, ROUNDS, 1);
        setup.put("refuses-one", &plugin("echo"));
        all_come_out(&topics, &setup, &two);
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_crash_in_the_midst_of_a_release_repeats_and_loses_nothing() {
    for backend in [Backend::Memory, Backend::Redis] {
        for step in ["changelog-sent:1", "state-prepared:1", "committed:1"] {
            let topics = Topics::new(2);
            let setup = setup(&topics, backend, Guarantee::ExactlyOnce);
            let mut host = with_parked(&topics, &setup);
            assert_eq!(host.term(), Some(0));
            setup.put("refuses-one", &plugin("echo"));
            // What is parked is put through once its partition is opened.
            let mut crashing = setup.spawn_to_crash("one", step);
            assert_eq!(crashing.wait_exit(), None, "it ended otherwise");
            let host = setup.spawn_as("one", &[]);
            all_come_out(&topics, &setup, &host);
        }
    }
}

#[test]
fn an_export_carries_what_is_parked_with_its_record_keys() {
    let topics = Topics::new(2);
    let setup = setup(&topics, Backend::Memory, Guarantee::ExactlyOnce);
    let mut host = with_parked(&topics, &setup);
    assert_eq!(host.term(), Some(0));
    let file = setup.path().join("export.jsonl");
    state(&setup, "export", "refuses-one", &["--output", file.to_str().expect("UTF-8")]);
    let text = std::fs::read_to_string(&file).expect("an export");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len() as u64, ROUNDS);
    assert!(lines.iter().all(|line| line["recordKey"] == BAD && line["partition"] == 0));
}

#[test]
fn what_is_parked_is_imported_where_its_record_key_belongs_in_a_grown_topic() {
    const STAGES: [&str; 2] = ["refuses-one", "last-location"];
    let topics = Topics::new(2);
    let setup = setup(&topics, Backend::Memory, Guarantee::ExactlyOnce);
    let mut host = with_parked(&topics, &setup);
    assert_eq!(host.term(), Some(0));
    let files = STAGES.map(|stage| setup.path().join(format!("{stage}.jsonl")).to_str().expect("UTF-8").to_owned());
    STAGES.iter().zip(&files).for_each(|(stage, file)| state(&setup, "export", stage, &["--output", file]));
    kafka().grow(&topics.source, 4);
    for (stage, file) in STAGES.iter().zip(&files) {
        kafka().delete(&format!("{}-line-{stage}-changelog", setup.app));
        state(&setup, "import", stage, &["--input", file]);
    }

    let host = setup.spawn_as("one", &[]);
    let of_all = |name: &str| host.metric(name, &[r#"stage="refuses-one""#]);
    until("all are parked again", || of_all("gregor_quarantined_records") == ROUNDS as f64);
    // Where a producer sends the key now: it waits behind them.
    kafka().produce(&topics.source, [Record::new(BAD, format!(r#"{{"patientId":"{BAD}","lat":38.7,"lon":-9.1}}"#))]);
    until("it is parked", || of_all("gregor_quarantined_records") == (ROUNDS + 1) as f64);
    assert_eq!(of_all("gregor_quarantined_keys"), 1.0, "it came to another partition");
    setup.put("refuses-one", &plugin("echo"));
    until("nothing is parked any more", || of_all("gregor_quarantined_records") == 0.0);
    until("the last one shows", || counts(&topics, BAD).len() as u64 > ROUNDS);
    assert_eq!(counts(&topics, BAD), (1..=ROUNDS + 1).collect::<Vec<_>>());
    until("all is committed", || kafka().is_settled(&setup.app, &topics.source));
    assert_eq!(kafka().read(&topics.dead).len(), 0);
}

/// Runs `gregor state COMMAND` on a stage of the pipeline.
#[track_caller]
fn state(setup: &Setup, command: &str, stage: &str, words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["state", command, "line", stage, "--config"])
        .arg(setup.write())
        .args(words)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_bounded_run_waits_for_what_is_released_and_not_for_what_stays() {
    let topics = Topics::new(2);
    let setup = setup(&topics, Backend::Memory, Guarantee::ExactlyOnce);
    send(&topics, ROUNDS);
    setup.run_bounded();
    let all: Vec<u64> = (1..=ROUNDS).collect();
    assert_eq!((counts(&topics, GOOD[0]), counts(&topics, BAD)), (all.clone(), Vec::new()));
    // Tried once more, and parked still.
    setup.run_bounded();
    assert_eq!(counts(&topics, BAD), Vec::<u64>::new());
    setup.put("refuses-one", &plugin("echo"));
    setup.run_bounded();
    assert_eq!(counts(&topics, BAD), all);
}
