//! What one partition or source does to others on the same worker.

use crate::support::{Host, Pipeline, Record, Setup, Stage, kafka, until};

/// A partition as the API of `host` shows it; null while it is not assigned.
pub fn view(host: &Host, topic: &str, partition: i32) -> serde_json::Value {
    let its = |view: &serde_json::Value| view["topic"] == topic && view["partition"] == partition;
    host.partitions().into_iter().find(its).unwrap_or_default()
}

#[test]
fn partitions_take_turns_whatever_was_fetched_first() {
    let (slow, quick, sink) = (kafka().topic(2), kafka().topic(1), kafka().topic(1));
    // More than a minute's work, all of it there before the others' records.
    kafka().produce(&slow, (0..200).map(|_| Record::keyless("loop").partition(0)));
    kafka().produce(&slow, (0..50).map(|_| Record::keyless("beside").partition(1)));
    kafka().produce(&quick, (0..50).map(|_| Record::keyless("apart")));
    let looping = Stage::new("loops").set("timeout", "\"200ms\"").set("on-failure", "\"skip\"");
    let setup = Setup::new()
        .workers(1)
        .pipeline(Pipeline::named("slow", &slow).sink(&sink).stage(looping))
        .pipeline(Pipeline::named("quick", &quick).sink(&sink).stage(Stage::new("echo")));
    let host = setup.start();
    let outputs = kafka().consume(&sink, 100);
    let beside = outputs.iter().filter(|output| output.text() == "beside").count();
    assert_eq!((beside, outputs.len()), (50, 100));
    let position = view(&host, &slow, 0)["position"].as_i64();
    assert!(position.is_some_and(|position| position < 200), "the slow partition has more to do: {position:?}");
}

#[test]
fn a_deleted_source_does_not_stop_the_other() {
    let (gone, other, sink) = (kafka().topic(1), kafka().topic(1), kafka().topic(1));
    let setup = Setup::new()
        .workers(1)
        .delivery("commit-interval", "\"3s\"")
        .pipeline(Pipeline::named("gone", &gone).sink(&sink).stage(Stage::new("echo")))
        .pipeline(Pipeline::named("other", &other).sink(&sink).stage(Stage::new("echo")));
    let mut host = setup.start();
    until("the sources are read", || host.owns(2));
    // Deleted where its offset is still to be committed.
    kafka().produce(&gone, [Record::keyless("first")]);
    assert_eq!(kafka().consume(&sink, 1).len(), 1);
    kafka().delete(&gone);
    kafka().produce(&other, (0..20).map(|_| Record::keyless("later")));
    assert_eq!(kafka().consume(&sink, 21).len(), 21);
    until("the other source is committed", || kafka().is_settled(&setup.app, &other));
    until("the log names the topic", || {
        host.log().lines().any(|line| line.contains("the source topic does not exist") && line.contains(&gone))
    });
    assert_eq!(host.term(), Some(0));
}

#[test]
fn partitions_without_an_instance_say_so() {
    let (source, sink) = (kafka().topic(4), kafka().topic(1));
    let setup = Setup::new()
        .workers(1)
        .host("max-instances", "2")
        .pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
    kafka().produce(&source, (0..4).map(|partition| Record::keyless("x").partition(partition)));
    let host = setup.spawn_as("one", &[]);
    let waiting = || host.partitions().iter().filter(|view| view["state"] == "waiting-for-instance").count();
    until("two partitions wait for an instance", || host.admin().is_some() && waiting() == 2);
    until("readiness names the setting", || {
        host.ask("/readyz").is_some_and(|(status, said)| status == 503 && said.contains("host.max-instances"))
    });
    assert_eq!(kafka().consume(&sink, 2).len(), 2);
    let log = host.log();
    assert_eq!(log.lines().filter(|line| line.contains("max-instances")).count(), 1, "{log}");
    assert!(log.contains("need 4 instances"), "{log}");
}
