//! The same record gives the same outputs. Guest `clock`: what it sees of time
//! and chance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::extra::{Topics, stage};
use crate::support::{Received, Record, Setup, kafka};

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis() as u64
}

/// Partition and offset of a source record.
type Position = (String, String);

/// Runs `clock` over the source with an app of its own; what each record saw.
fn seen_by_a_run_over(source: &str) -> BTreeMap<Position, Value> {
    let topics = Topics { source: source.to_owned(), sink: kafka().topic(1), dead: String::new() };
    Setup::new().pipeline(topics.without_dead_letters().stage(stage("clock", ""))).run_bounded();
    let named = |output: &Received, name| output.header(name).expect("outputs name their source").to_owned();
    let outputs = kafka().read(&topics.sink);
    let positions = outputs.iter().map(|output| (named(output, "gregor-partition"), named(output, "gregor-offset")));
    positions.zip(outputs.iter().map(Received::json)).collect()
}

#[test]
fn a_record_sees_the_same_chance_in_each_run_and_another_record_another() {
    let source = kafka().topic(3);
    kafka().produce(&source, (0..60).map(|n| Record::new("same key", "same value").partition(n % 3)));
    let (first, second) = (seen_by_a_run_over(&source), seen_by_a_run_over(&source));
    assert_eq!(first.len(), 60);
    let random = |seen: &BTreeMap<Position, Value>| -> BTreeMap<Position, String> {
        seen.iter().map(|(position, seen)| (position.clone(), seen["random"].to_string())).collect()
    };
    assert_eq!(random(&first), random(&second));
    assert_eq!(random(&first).into_values().collect::<BTreeSet<_>>().len(), 60, "each position has its own");
}

#[test]
fn a_guest_sees_the_time_of_the_poll_and_a_clock_that_moves_by_readings() {
    let source = kafka().topic(2);
    kafka().produce(&source, (0..20).map(|n| Record::new("key", "value").partition(n % 2)));
    let mut earliest = now_ms();
    for _ in 0..2 {
        let seen = seen_by_a_run_over(&source);
        let latest = now_ms();
        assert_eq!(seen.len(), 20);
        for at in seen.values() {
            let wall = at["wall_ms"].as_u64().expect("a time");
            assert!((earliest..=latest).contains(&wall), "{wall} is not between {earliest} and {latest}");
            assert_eq!(at["mono_ns_delta"], 1_000, "one microsecond for a reading");
        }
        earliest = latest;
    }
}
