//! Members of a group in librdkafka's mock cluster.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::kafka;

const TOPIC: &str = "source";
/// Reached only where a test fails.
const PATIENCE: Duration = Duration::from_secs(60);
const TURN: Duration = Duration::from_millis(20);

fn cluster(partitions: i32) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

fn join(cluster: &MockCluster<'static, DefaultProducerContext>) -> Member {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "members")
        .set("partition.assignment.strategy", "cooperative-sticky")
        // The mock waits as long as a session lasts for members to join again.
        .set("session.timeout.ms", "3000")
        .set("heartbeat.interval.ms", "100");
    let member = Member::new(&config).unwrap();
    member.subscribe(&[TOPIC]).unwrap();
    member
}

fn answer(member: &Member) {
    while let Some(rebalance) = member.context().unanswered() {
        rebalance.answer(member);
        member.context().answered();
    }
}

/// Polls until `member` is told of what is `wanted`, which stays without an
/// answer; it answers all before that, and `other` everything.
#[track_caller]
fn until_told(member: &Member, other: Option<&Member>, wanted: fn(&Rebalance) -> bool) {
    let since = Instant::now();
    loop {
        if let Some(other) = other {
            other.poll(TURN);
            answer(other);
        }
        member.poll(TURN);
        match member.context().unanswered() {
            Some(rebalance) if wanted(&rebalance) => return,
            Some(_) => answer(member),
            None => {}
        }
        assert!(since.elapsed() < PATIENCE, "no such rebalance");
    }
}

/// Whether dropping `member` comes to an end.
fn closes(member: Member) -> bool {
    let (left, end) = mpsc::channel();
    std::thread::spawn(move || {
        drop(member);
        left.send(()).unwrap();
    });
    end.recv_timeout(PATIENCE).is_ok()
}

fn assigned(rebalance: &Rebalance) -> bool {
    matches!(rebalance, Rebalance::Assigned(_))
}

fn revoked(rebalance: &Rebalance) -> bool {
    matches!(rebalance, Rebalance::Revoked(_))
}

#[test]
fn a_member_with_partitions_closes_when_it_is_dropped() {
    let cluster = cluster(2);
    let member = join(&cluster);
    until_told(&member, None, assigned);
    answer(&member);
    assert!(closes(member));
}

#[test]
fn a_member_that_has_not_taken_up_its_partitions_closes_when_it_is_dropped() {
    let cluster = cluster(2);
    let member = join(&cluster);
    until_told(&member, None, assigned);
    assert!(closes(member));
}

#[test]
fn a_member_that_has_not_answered_that_there_is_no_partition_for_it_closes_when_it_is_dropped() {
    let cluster = cluster(1);
    let first = join(&cluster);
    until_told(&first, None, assigned);
    let second = join(&cluster);
    until_told(&second, Some(&first), assigned);
    assert!(closes(second));
}

#[test]
fn a_member_that_has_not_let_go_of_its_partitions_closes_when_it_is_dropped() {
    let cluster = cluster(2);
    let first = join(&cluster);
    until_told(&first, None, assigned);
    answer(&first);
    let second = join(&cluster);
    until_told(&first, Some(&second), revoked);
    assert!(closes(first));
}

#[test]
fn a_commit_that_waits_for_its_coordinator_says_so_and_ends_with_the_answer() {
    let cluster = cluster(1);
    let member = join(&cluster);
    until_told(&member, None, assigned);
    answer(&member);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(TOPIC, 0, Offset::Offset(7)).unwrap();
    cluster.broker_round_trip_time(1, Duration::from_millis(500)).unwrap();

    let mut late = 0;
    let failed = kafka::commit(&member, &offsets, Duration::from_millis(50), || late += 1).unwrap();

    assert_eq!(failed, []);
    assert!(late > 0, "the coordinator takes half a second");
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    let committed = member.committed_offsets(offsets, PATIENCE).unwrap();
    assert_eq!(committed.find_partition(TOPIC, 0).unwrap().offset(), Offset::Offset(7));
}
