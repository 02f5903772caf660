//! Partitions on the move, and those that stay.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Flow, Host, Intruder, Pipeline, Record, Setup, Stage, eventually, kafka, until};

fn location(patient: &str) -> Record {
    Record::new(patient, format!(r#"{{"patientId":"{patient}","lat":38.7,"lon":-9.1}}"#))
}

/// The worker of each partition that `host` shows, by topic and partition.
fn homes(host: &Host) -> BTreeMap<(String, i64), i64> {
    let home = |view: &serde_json::Value| {
        let topic = view["topic"].as_str()?.to_owned();
        Some(((topic, view["partition"].as_i64()?), view["worker"].as_i64()?))
    };
    host.partitions().iter().filter_map(home).collect()
}

/// What `last-location` has counted for each output of `sink`, by patient.
fn counts(sink: &str) -> BTreeMap<String, Vec<u64>> {
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for output in kafka().read(sink) {
        counts.entry(output.key().to_owned()).or_default().push(output.json()["count"].as_u64().expect("a count"));
    }
    counts
}

#[test]
fn in_a_stable_group_no_key_is_seen_by_two_workers() {
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let pipeline = Pipeline::new(&source).sink(&sink).provenance().stage(Stage::new("echo"));
    let setup = Setup::new().workers(3).pipeline(pipeline);
    let host = setup.start();
    let spread = || {
        let homes = homes(&host);
        homes.len() == 6 && (0..3).all(|worker| homes.values().filter(|home| **home == worker).count() == 2)
    };
    until("each of three workers owns two of six partitions", spread);

    let flow = Flow::start(&source, 60);
    kafka().consume(&sink, 2_000);
    let produced = flow.stop();
    until("all is committed", || kafka().is_settled(&setup.app, &source));

    let outputs = kafka().read(&sink);
    produced.assert_came_out_once(&outputs);
    let mut workers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for output in &outputs {
        workers.entry(output.key()).or_default().insert(output.header("gregor-worker").expect("provenance"));
    }
    assert!(workers.values().all(|workers| workers.len() == 1), "{workers:?}");
    let all: BTreeSet<&str> = workers.values().flatten().copied().collect();
    assert_eq!(all, BTreeSet::from(["one/0", "one/1", "one/2"]));
}

#[test]
fn a_second_host_joins_and_leaves_and_every_record_comes_out_once() {
    let (source, sink) = (kafka().topic(6), kafka().topic(6));
    let pipeline = Pipeline::new(&source).sink(&sink).provenance().stage(Stage::new("echo"));
    let setup = Setup::new().pipeline(pipeline);
    let one = setup.start_as("one");
    let flow = Flow::start(&source, 30);
    for _ in 0..2 {
        let mut other = setup.start_as("other");
        until("four members share the partitions", || {
            let (first, second) = (homes(&one).len(), homes(&other).len());
            second > 0 && first + second == 6 && kafka().is_stable(&setup.app, 4)
        });
        let joined = kafka().ends(&sink).iter().sum::<i64>();
        until("records flow on", || kafka().ends(&sink).iter().sum::<i64>() > joined + 500);
        assert_eq!(other.term(), Some(0));
        until("the first host has all partitions again", || kafka().is_stable(&setup.app, 2) && homes(&one).len() == 6);
    }
    let produced = flow.stop();
    until("all is committed", || kafka().is_settled(&setup.app, &source));

    let outputs = kafka().read(&sink);
    produced.assert_came_out_once(&outputs);
    let hosts: BTreeSet<&str> =
        outputs.iter().filter_map(|output| output.header("gregor-worker")?.split('/').next()).collect();
    assert_eq!(hosts, BTreeSet::from(["one", "other"]), "both have worked");
}

#[test]
fn a_partition_that_moves_to_another_worker_of_the_process_keeps_its_cache() {
    let sources = [(); 6].map(|()| kafka().topic(1));
    let sink = kafka().topic(1);
    let mut setup = Setup::new();
    for (index, source) in sources.iter().enumerate() {
        let stage = Stage::new("last-location");
        setup = setup.pipeline(Pipeline::named(&format!("p{index}"), source).sink(&sink).stage(stage));
    }
    let host = setup.start();
    let before = eventually("two workers own three sources each", || {
        let homes = homes(&host);
        let of = |worker| homes.values().filter(|home| **home == worker).count();
        (of(0) == 3 && of(1) == 3 && kafka().is_stable(&setup.app, 2)).then_some(homes)
    });
    for source in &sources {
        kafka().produce(source, (0..40).map(|_| location(source)));
    }
    until("all is committed", || sources.iter().all(|source| kafka().is_settled(&setup.app, source)));

    // Two members that want the second worker's sources only: it loses so many
    // of them that it has to get one of the first worker's.
    let wanted: Vec<&str> = before.iter().filter(|(_, home)| **home == 1).map(|((topic, _), _)| &**topic).collect();
    let intruders = [Intruder::join(&setup.app, &wanted), Intruder::join(&setup.app, &wanted)];
    let moved = eventually("a partition moves from the first worker to the second", || {
        let homes = homes(&host);
        let moved =
            |(id, home): (&(String, i64), &i64)| (*home == 0 && homes.get(id) == Some(&1)).then(|| id.0.clone());
        before.iter().find_map(moved)
    });
    kafka().produce(&moved, (0..40).map(|_| location(&moved)));
    until("all is committed", || kafka().is_settled(&setup.app, &moved));
    drop(intruders);

    assert_eq!(counts(&sink)[&moved], (1..=80).collect::<Vec<_>>(), "counts go on where they were");
}

#[test]
fn a_partition_that_another_host_has_worked_on_comes_back_without_its_old_cache() {
    let (source, sink) = (kafka().topic(2), kafka().topic(1));
    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("last-location"));
    let setup = Setup::new().workers(1).pipeline(pipeline);
    let one = setup.start_as("one");
    let patients = ["0", "1"];
    let produce = |count| {
        for (partition, patient) in (0..).zip(patients) {
            kafka().produce(&source, (0..count).map(|_| location(patient).partition(partition)));
        }
        until("all is committed", || kafka().is_settled(&setup.app, &source));
    };
    produce(10);
    let mut other = setup.start_as("other");
    until("each host owns one partition", || {
        homes(&one).len() == 1 && homes(&other).len() == 1 && kafka().is_stable(&setup.app, 2)
    });
    let gone = homes(&other).into_keys().next().expect("one partition").1;
    produce(5);
    assert_eq!(other.term(), Some(0));
    until("the first host has both again", || homes(&one).len() == 2);
    produce(3);

    let counts = counts(&sink);
    let (stayed, moved) = if gone == 0 { ("1", "0") } else { ("0", "1") };
    assert_eq!(counts[stayed], (1..=18).collect::<Vec<_>>(), "never interrupted");
    let fresh: Vec<u64> = (1..=10).chain(1..=5).chain(1..=3).collect();
    assert_eq!(counts[moved], fresh, "the cache from before the move would be out of date");
}

#[test]
fn kafkas_own_tools_see_the_group_its_members_and_its_lag() {
    let (source, sink) = (kafka().topic(6), kafka().topic(1));
    let setup = Setup::new().workers(3).pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
    let lag = || -> i64 {
        let committed = kafka().committed(&setup.app, &source);
        kafka().ends(&source).iter().zip(committed).map(|(end, committed)| end - committed.unwrap_or(0)).sum()
    };
    let mut host = setup.start();
    until("the group is stable", || host.owns(6) && kafka().is_stable(&setup.app, 3));
    let named: Vec<String> = (0..3).map(|worker| format!("{}-one-{worker}", setup.app)).collect();
    assert_eq!(kafka().group(&setup.app).members, named);

    kafka().produce(&source, (0..60).map(|n| Record::new(n.to_string(), "x")));
    until("there is no lag", || lag() == 0);
    assert_eq!(host.term(), Some(0));
    assert_eq!(kafka().group(&setup.app).state, "Empty");

    kafka().produce(&source, (0..10).map(|n| Record::new(n.to_string(), "y")));
    assert_eq!(lag(), 10);
}
