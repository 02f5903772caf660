//! State that is large for its host: opened after a crash, rebuilt from its
//! changelog, taken over from a standby copy. Each record adds 1,000 bytes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Guarantee, Host, PATIENCE, Pipeline, Record, Settings, Setup, Stage, kafka, until, until_within};

const PARTITIONS: i32 = 6;
const ASSIGNED: &str = "assigned; restoring its state";
const STATE: &str = r#"{ backend = "disk", changelog = true, max-bytes = "4GiB", standby = 1 }"#;

#[test]
fn large_state_on_disk_is_opened_rebuilt_and_taken_over_whole() {
    let settings = Settings::or(12_000, 1);
    let patience = PATIENCE + std::time::Duration::from_millis(settings.records);
    let (source, sink) = (kafka().topic(PARTITIONS), kafka().topic(1));
    let setup = Setup::new()
        .workers(2)
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .delivery("guarantee", Guarantee::ExactlyOnce.toml())
        .pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("script").set("state", STATE)));
    let mut host = setup.start_as("one");
    let value = "x".repeat(1_000);
    for start in (0..settings.records).step_by(10_000) {
        let keys = start..settings.records.min(start + 10_000);
        kafka().produce(&source, keys.map(|n| record(n, &value)));
    }
    until_within(patience, "everything is committed", || kafka().is_settled(&setup.app, &source));

    // Killed while records flow, and opened again.
    kafka().produce(&source, (0..3_000).map(|n| record(n, &value)));
    host.kill9();
    host = setup.start_as("one");
    until("every partition is restored", || moments(&host, "restored").len() == PARTITIONS as usize);
    let reopened = waits(&host, &BTreeMap::new());
    until_within(patience, "everything is committed", || kafka().is_settled(&setup.app, &source));
    // What the API shows is as of the last commit.
    until("every record is in the state", || held(&host).0 == settings.records);
    let (entries, bytes) = held(&host);
    assert_eq!(host.term(), Some(0));

    // Rebuilt from nothing.
    std::fs::remove_dir_all(setup.path().join("data-one")).expect("the host's data");
    host = setup.start_as("one");
    until_within(patience, "every partition is restored", || moments(&host, "restored").len() == PARTITIONS as usize);
    let rebuilt = rebuilds(&host);
    until("the rebuilt state is whole", || held(&host) == (entries, bytes));

    // Another host warms up its copies, and takes over.
    let mut two = setup.start_as("two");
    let warm = |host: &Host| {
        let status = host.document("status");
        let copies = status["standby"].as_array().expect("a list").clone();
        let warm = copies.iter().all(|copy| copy["remaining"].as_u64() < Some(50));
        warm && copies.len() + host.partitions().len() == PARTITIONS as usize
    };
    until_within(patience, "both hosts have their share and warm copies of the others'", || {
        !two.partitions().is_empty() && warm(&host) && warm(&two)
    });
    // It rebuilt its own share when it came: there was no copy yet.
    let before = moments(&two, ASSIGNED);
    host.kill9();
    until("the other host has all", || two.owns(6) && moments(&two, "restored").len() == PARTITIONS as usize);
    let taken_over = waits(&two, &before);
    until("the state taken over is whole", || held(&two) == (entries, bytes));
    assert_eq!(two.term(), Some(0));

    let (records, read, seconds) = rebuilt;
    println!(
        "{:.0} MB of state in {entries} entries: opened after a crash in {reopened:.3} s for each partition at most; \
         rebuilt from {records} changelog records at {:.1} MB/s a worker; taken over from a copy in {taken_over:.3} s at most",
        bytes as f64 / 1e6,
        read as f64 / 1e6 / seconds,
    );
}

fn record(n: u64, value: &str) -> Record {
    Record::new("k", format!("set key-{n:09} {value}")).partition((n % PARTITIONS as u64) as i32)
}

/// Entries and bytes of all partitions.
fn held(host: &Host) -> (u64, u64) {
    let partitions = host.partitions();
    let stages = partitions.iter().map(|partition| &partition["stages"][0]);
    stages.fold((0, 0), |(entries, bytes), stage| {
        (entries + stage["entries"].as_u64().expect("entries"), bytes + stage["bytes"].as_u64().expect("bytes"))
    })
}

fn lines(host: &Host, said: &str) -> Vec<Value> {
    let log = host.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["fields"]["message"] == said).collect()
}

/// When the host said so, in seconds, of each partition for the last time.
fn moments(host: &Host, said: &str) -> BTreeMap<i64, f64> {
    let partition = |fields: &Value| match &fields["partition"] {
        Value::Number(number) => number.as_i64().expect("a partition"),
        // A topic partition's name.
        name => name.as_str().and_then(|name| name.rsplit('-').next()?.parse().ok()).expect("a partition"),
    };
    let at = |line: &Value| {
        let text = line["timestamp"].as_str().expect("a time");
        humantime::parse_rfc3339(text)
            .expect("a time")
            .duration_since(std::time::UNIX_EPOCH)
            .expect("now")
            .as_secs_f64()
    };
    lines(host, said).iter().map(|line| (partition(&line["fields"]), at(line))).collect()
}

/// The longest time from a partition's assignment until its records flow, of
/// those that were assigned other than at the moments `before`.
fn waits(host: &Host, before: &BTreeMap<i64, f64>) -> f64 {
    let restored = moments(host, "restored");
    let mut assigned = moments(host, ASSIGNED);
    assigned.retain(|partition, at| before.get(partition) != Some(&*at));
    assert!(!assigned.is_empty(), "no partition was assigned");
    assigned.iter().map(|(partition, at)| restored[partition] - at).fold(0.0, f64::max)
}

/// Records, bytes and seconds of all rebuilds from a changelog.
fn rebuilds(host: &Host) -> (u64, u64, f64) {
    lines(host, "restored from the changelog").iter().fold((0, 0, 0.0), |(records, bytes, seconds), line| {
        let fields = &line["fields"];
        (
            records + fields["records"].as_u64().expect("records"),
            bytes + fields["bytes"].as_u64().expect("bytes"),
            seconds + fields["seconds"].as_f64().expect("seconds"),
        )
    })
}
