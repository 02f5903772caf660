//! Partitions that move between hosts whose versions differ: served by the
//! newer version or not at all.

use gregor::plugin::Digest;
use serde_json::Value;

use crate::support::extra::{Topics, revised, stage};
use crate::support::{Host, Received, Record, Setup, kafka, plugin, until};

const NAME: &str = "versioned";
const TOKEN: &str = "s3cret";
const PARTITIONS: i32 = 4;

/// Hosts of one group, each with a history of its own.
struct Ward {
    topics: Topics,
    setup: Setup,
    sent: std::cell::Cell<usize>,
}

impl Ward {
    fn new() -> Ward {
        Ward::with(|setup| setup)
    }

    fn with(more: impl FnOnce(Setup) -> Setup) -> Ward {
        let topics = Topics::new(PARTITIONS);
        let setup = Setup::new()
            .workers(1)
            .plugin(NAME, &plugin("version-a"))
            .pipeline(topics.pipeline().stage(stage(NAME, "")));
        Ward { topics, setup: more(setup), sent: 0.into() }
    }

    fn start(&self, id: &str) -> Host {
        let host = Host::spawn_with(&self.setup.write(), id, &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
        host.wait_until_ready();
        host
    }

    /// Two hosts with two partitions each.
    fn start_two(&self) -> [Host; 2] {
        let hosts = ["one", "two"].map(|id| self.start(id));
        until("each host has two partitions", || {
            hosts.iter().all(|host| host.owns(2)) && kafka().is_stable(&self.setup.app, 2)
        });
        // So that each partition has been committed by its host's version.
        self.send_round();
        self.settle();
        hosts
    }

    /// A record to each partition.
    fn send_round(&self) {
        let to = |partition| Record::new("key", "x").partition(partition);
        kafka().produce(&self.topics.source, (0..PARTITIONS).map(to));
        self.sent.set(self.sent.get() + PARTITIONS as usize);
    }

    fn settle(&self) {
        until("everything is committed", || kafka().is_settled(&self.setup.app, &self.topics.source));
    }

    fn outputs(&self) -> Vec<Received> {
        kafka().read(&self.topics.sink)
    }

    /// The versions that made the last round's outputs.
    fn last_round(&self) -> Vec<String> {
        until("the last round is processed", || self.outputs().len() >= self.sent.get());
        let outputs = self.outputs();
        assert_eq!(outputs.len(), self.sent.get(), "each record gives one output");
        let last = &outputs[outputs.len() - PARTITIONS as usize..];
        last.iter().map(|output| output.header("version").expect("a version").to_owned()).collect()
    }
}

fn deploy(host: &Host, bytes: &[u8]) {
    let (status, said) = host.post(&format!("/api/v1/plugins/{NAME}"), TOKEN, bytes);
    assert_eq!(status, 200, "{said}");
}

fn roll_back(host: &Host) {
    let (status, said) = host.post(&format!("/api/v1/plugins/{NAME}/rollback"), TOKEN, b"{}");
    assert_eq!(status, 200, "{said}");
}

fn in_state(host: &Host, state: &str) -> Vec<Value> {
    host.partitions().into_iter().filter(|view| view["state"] == state).collect()
}

/// Two of the four partitions wait on `host`, for the version with `digest`.
#[track_caller]
fn two_wait(host: &Host, digest: Digest) {
    until("two partitions wait", || host.owns(4) && in_state(host, "waiting-for-version").len() == 2);
    for view in in_state(host, "waiting-for-version") {
        assert_eq!(view["awaits"], format!("{NAME}@{digest}"));
    }
    assert_eq!(in_state(host, "running").len(), 2, "the others go on");
    assert_eq!(host.metric("gregor_partition_state", &["state=\"waiting-for-version\""]), 2.0);
    host.wait_for_log("waits for a version");
}

#[test]
fn a_partition_waits_on_a_host_that_has_the_older_version_until_the_newer_comes() {
    let ward = Ward::new();
    let [mut one, two] = ward.start_two();
    let b = plugin("version-b");
    deploy(&one, &b);
    ward.settle();
    assert_eq!(one.term(), Some(0));
    two_wait(&two, Digest::of(&b));
    ward.send_round();
    until("the others' records are processed", || ward.outputs().len() == ward.sent.get() - 2);
    let processed = |output: &&Received| output.header("version") == Some("a");
    assert_eq!(ward.outputs().iter().filter(processed).count(), 6, "none of the waiting partitions'");
    deploy(&two, &b);
    until("none waits", || in_state(&two, "running").len() == 4);
    until("what waited is processed", || ward.outputs().len() == ward.sent.get());
    assert_eq!(ward.outputs().iter().filter(processed).count(), 6, "what waited is the newer version's");
    ward.send_round();
    assert_eq!(ward.last_round(), ["b"; 4]);
}

#[test]
fn a_version_deployed_again_on_purpose_is_the_newer_one() {
    let ward = Ward::new();
    let [mut one, two] = ward.start_two();
    let [a, b] = ["version-a", "version-b"].map(plugin);
    deploy(&one, &b);
    ward.settle();
    assert_eq!(one.term(), Some(0));
    two_wait(&two, Digest::of(&b));
    deploy(&two, &a);
    until("none waits", || in_state(&two, "running").len() == 4);
    ward.send_round();
    assert_eq!(ward.last_round(), ["a"; 4]);
    ward.settle();
    // Its word is for all hosts: the one with version b is behind now.
    let one = ward.start("one");
    until("each host has two partitions", || one.owns(2) && two.owns(2));
    until("they wait", || in_state(&one, "waiting-for-version").len() == 2);
}

#[test]
fn a_rollback_on_one_host_is_no_older_version_to_another() {
    let ward = Ward::new();
    let [mut one, two] = ward.start_two();
    let [a, b] = ["version-a", "version-b"].map(plugin);
    deploy(&one, &b);
    deploy(&two, &b);
    roll_back(&one);
    ward.settle();
    assert_eq!(one.term(), Some(0));
    two_wait(&two, Digest::of(&a));
    roll_back(&two);
    until("none waits", || in_state(&two, "running").len() == 4);
    ward.send_round();
    assert_eq!(ward.last_round(), ["a"; 4]);
}

#[test]
fn a_newer_version_takes_up_what_older_ones_left() {
    let ward = Ward::new();
    let [mut one, two] = ward.start_two();
    let b = plugin("version-b");
    for version in [&revised(&b), &b] {
        deploy(&two, version);
    }
    assert_eq!(one.term(), Some(0));
    until("all partitions go on", || in_state(&two, "running").len() == 4);
    ward.send_round();
    assert_eq!(ward.last_round(), ["b"; 4]);
}

#[test]
fn a_host_without_a_history_may_be_told_to_serve_what_it_does_not_know() {
    for (rule, state) in [("\"wait\"", "waiting-for-version"), ("\"serve\"", "running")] {
        let ward = Ward::with(|setup| setup.plugins("unknown-versions", rule));
        let mut one = ward.start("one");
        ward.send_round();
        ward.settle();
        assert_eq!(one.term(), Some(0));
        // Another machine, its image with another version in it.
        ward.setup.put(NAME, &plugin("version-b"));
        let two = ward.start("two");
        until("it has taken up its partitions", || in_state(&two, state).len() == 4);
        two.wait_for_log("was the last to process it");
    }
}
