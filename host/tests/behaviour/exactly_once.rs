//! Outputs, dead letters and offsets that show together, or not at all.

use crate::support::extra::{Line, Topics, stage};
use crate::support::{Pipeline, Record, Setup, Stage, kafka, until};

/// The longest that the host takes.
const LONG: &str = "\"5s\"";

fn exactly_once(commit_interval: &str) -> Setup {
    Setup::new().delivery("guarantee", "\"exactly-once\"").delivery("commit-interval", commit_interval)
}

/// A host of the script plugin that has just committed: the next commit is
/// [`LONG`] away.
fn just_committed(state: &str) -> Line {
    let topics = Topics::new(1);
    let setup = exactly_once(LONG)
        .workers(1)
        .kafka("session.timeout.ms", &kafka().shortest_session().to_string())
        .pipeline(topics.pipeline().stage(stage("script", state)));
    let line = Line::run(topics, setup);
    assert_eq!(line.ask(0, "set before x"), "ok");
    line
}

#[test]
fn outputs_and_dead_letters_show_with_the_offsets_and_not_before() {
    let mut line = just_committed("");
    line.send(0, "key", "set a 1");
    line.send(0, "key", "reject");
    line.send(0, "key", "get a");
    line.flush();

    let Topics { source, sink, dead } = &line.topics;
    let sent = |topic| kafka().read_uncommitted(topic).len();
    until("outputs are sent", || sent(sink) == 3 && sent(dead) == 1);
    assert_eq!(line.outputs().len(), 1, "an output shows before its offset is committed");
    assert!(line.dead().is_empty(), "a dead letter shows before its offset is committed");
    assert_eq!(kafka().committed(&line.setup.app, source), [Some(1)]);

    assert_eq!(line.host.term(), Some(0));
    let said: Vec<String> = line.outputs().iter().map(|output| output.text().to_owned()).collect();
    assert_eq!(said, ["ok", "ok", "1"]);
    assert_eq!(line.dead().len(), 1);
    assert_eq!(kafka().committed(&line.setup.app, source), [Some(4)]);
}

#[test]
fn what_a_killed_host_had_sent_never_shows() {
    let mut line = just_committed("state = { changelog = true }");
    line.send(0, "key", "increment n 1\nset only-now x");
    line.send(0, "key", "reject");
    line.flush();
    let Topics { source, sink, dead } = &line.topics;
    let sent = |topic| kafka().read_uncommitted(topic).len();
    until("outputs are sent", || sent(sink) == 2 && sent(dead) == 1);

    line.host.kill9();
    let mut next = line.setup.spawn_as("one", &[]);
    until("outputs are sent again", || sent(sink) == 3 && sent(dead) == 2);
    assert_eq!(next.term(), Some(0));

    let said: Vec<String> = line.outputs().iter().map(|output| output.text().to_owned()).collect();
    assert_eq!(said, ["ok", "1\nok"], "once, and counted once");
    assert_eq!(line.dead().len(), 1);
    assert_eq!(kafka().committed(&line.setup.app, source), [Some(3)]);
}

#[test]
fn records_of_a_transaction_that_was_aborted_are_not_processed() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let pipeline = Pipeline::new(&source).sink(&sink).stage(Stage::new("echo"));
    let setup = exactly_once("\"100ms\"").pipeline(pipeline);
    let records = |word: &'static str| (0..10).map(move |n| Record::new("key", format!("{word} {n}")));
    kafka().produce_transaction(&source, true, records("kept"));
    kafka().produce_transaction(&source, false, records("gone"));
    kafka().produce_transaction(&source, true, records("kept too"));
    let mut host = setup.spawn_as("one", &[]);
    until("all that counts is processed", || kafka().read(&sink).len() == 20);
    assert_eq!(host.term(), Some(0));
    let outputs = kafka().read(&sink);
    assert_eq!(outputs.len(), 20);
    assert!(outputs.iter().all(|output| output.text().starts_with("kept")));
}
