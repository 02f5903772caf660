//! What one task parks and releases, with no broker around it: real plugins,
//! one record after the other.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gregor::clock::Now;
use gregor::config::Config;
use gregor::kafka::topics::Topic;
use gregor::plan::{Plan, StagePlan};
use gregor::plugin::{Engine, Version};
use gregor::position::Position;
use gregor::record::{Header, Output, Record, TopicPartition};
use gregor::redrive::{Key, Letter, Request};
use gregor::state::{Cache, MemoryStore, StateError};
use gregor::task::{Context, InForce, Progress, Task, Versions};

use crate::support::extra::revised;
use crate::support::plugin;

const MEMORY: u64 = 64 << 20;
const QUARANTINE: &str = "on-failure = \"quarantine\"";

/// A task of one pipeline. Each stage runs a plugin of its own name.
struct Stand {
    context: Context,
    versions: Versions,
    plan: Arc<Plan>,
    task: Task,
    outputs: Vec<Output>,
    now: Now,
}

/// A pipeline with `lines` of its own, and for each stage its name and its lines.
fn plan(lines: &str, stages: &[(&str, &str)]) -> Arc<Plan> {
    let stage = |(name, lines): &(&str, &str)| format!("[[pipeline.stage]]\nplugin = {name:?}\n{lines}\n");
    let text = format!(
        "app = \"test\"\n[kafka]\n\"bootstrap.servers\" = \"none:9092\"\n[[pipeline]]\nname = \"line\"\n\
         source = \"source\"\nsink = \"sink\"\ndead-letter = \"dead\"\n{lines}\n{}",
        stages.iter().map(stage).collect::<String>()
    );
    let config = Config::parse(&text, "test", Path::new("."), [], &|_, _| Ok(())).expect("a configuration");
    Arc::new(Plan::new(&config, &config.pipelines[0]))
}

fn task(plan: &Arc<Plan>, versions: &Versions, position: Position, caches: Vec<Vec<Cache>>) -> Task {
    Task::new(TopicPartition::new("source", 0), std::slice::from_ref(plan), versions, position, true, caches)
}

impl Stand {
    /// With one stage, `plugin`, whose state has a changelog.
    fn new(component: &str, lines: &str) -> Stand {
        let lines = format!("{QUARANTINE}\n{lines}");
        let lines = if lines.contains("state") { lines } else { format!("{lines}\nstate = {{ changelog = true }}") };
        Stand::of(plan("", &[("plugin", &lines)]), &[("plugin", component)])
    }

    fn of(plan: Arc<Plan>, components: &[(&str, &str)]) -> Stand {
        let engine = Engine::new(8, MEMORY).expect("an engine");
        let version = |(name, component): &(&str, &str)| {
            let version = Version::compile(&engine, name, &plugin(component), MEMORY).expect("a version");
            ((*name).to_owned(), InForce::first(Arc::new(version)))
        };
        let versions: Versions = components.iter().map(version).collect();
        let named = ["sink", "dead"].map(|name| Topic::new(name, 1, 1 << 20));
        let topics = Arc::new(named.into_iter().collect());
        let memory = |stage: &Arc<StagePlan>| Cache::new(Box::<MemoryStore>::default(), stage.scope.cache, true);
        let caches = vec![plan.stages.iter().map(memory).collect()];
        let task = task(&plan, &versions, Position::at(0), caches);
        let context = Context { engine, topics, worker: "test/0".into(), exactly_once: true };
        let now = Now { instant: Instant::now(), wall_ms: 1_000 };
        Stand { context, versions, plan, task, outputs: Vec::new(), now }
    }

    fn give(&mut self, record: &Record<'_>) -> Progress {
        self.task.process(&self.context, record, &mut self.now, &mut self.outputs)
    }

    /// The next record of the source.
    fn send(&mut self, key: &str, value: &str) -> Progress {
        self.send_at(1_000, key, value)
    }

    fn send_at(&mut self, timestamp: i64, key: &str, value: &str) -> Progress {
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let offset = self.task.position().next;
        let record = Record { topic: "source", partition: 0, offset, timestamp, key, value, headers: &[] };
        self.give(&record)
    }

    /// Another version of a stage's plugin lands.
    fn swap(&mut self, name: &str, component: &[u8]) {
        let version = Version::compile(&self.context.engine, name, component, MEMORY).expect("a version");
        let version = Arc::new(version);
        self.versions.insert(name.to_owned(), InForce::first(version.clone()));
        self.task.swap(&self.context.engine, &version, self.now.instant).expect("it starts");
    }

    /// All that may go on now has gone on.
    fn release(&mut self) {
        while self.task.has_release(self.now.instant) {
            self.task.release(&self.context, &mut self.now, &mut self.outputs);
        }
    }

    fn retry(&mut self) -> Progress {
        self.task.retry(&self.context, &mut self.now, &mut self.outputs)
    }

    fn commit(&mut self) {
        self.task.changes(1_000, |_, _, _, _| Ok::<(), StateError>(())).expect("its changes");
        self.task.prepare(1_000).expect("it is durable");
        self.task.finish();
    }

    /// The task goes on under another configuration, on what it has committed.
    fn restarted(mut self, plan: Arc<Plan>) -> Stand {
        self.commit();
        let position = self.task.position();
        let made = |caches| task(&plan, &self.versions, position, caches);
        let task = self.task.carry().revive(position, made).expect("nobody has moved it on");
        Stand { task, plan, ..self }
    }

    /// Key and value of what went to `topic` since this was last asked.
    fn take(&mut self, topic: &str) -> Vec<(String, String)> {
        let text =
            |bytes: Option<Vec<u8>>| bytes.map_or("null".into(), |bytes| String::from_utf8(bytes).expect("text"));
        let (taken, rest) = std::mem::take(&mut self.outputs).into_iter().partition(|output| *output.topic == *topic);
        self.outputs = rest;
        let taken: Vec<Output> = taken;
        taken.into_iter().map(|output| (text(output.key), text(output.value))).collect()
    }

    #[track_caller]
    fn gave(&mut self, expected: &[(&str, &str)]) {
        let given = self.take("sink");
        let given: Vec<(&str, &str)> = given.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(given, expected);
    }

    /// Records and keys that are parked.
    fn parked(&self) -> (u64, u64) {
        let stages = self.task.view(0).stages;
        (stages[0].quarantined_records, stages[0].quarantined_keys)
    }
}

#[test]
fn records_of_a_key_wait_behind_the_one_that_failed_and_those_of_others_flow() {
    let mut stand = Stand::new("fails", "");
    for (key, value) in [("a", "1"), ("a", "reject"), ("b", "2"), ("a", "3"), ("b", "4"), ("a", "5")] {
        assert_eq!(stand.send(key, value), Progress::Done);
    }
    stand.gave(&[("a", "1"), ("b", "2"), ("b", "4")]);
    assert_eq!((stand.parked(), stand.task.position().next), ((3, 1), 6));
    stand.release();
    assert_eq!(stand.parked(), (3, 1), "nothing is tried without a reason");

    stand.swap("plugin", &plugin("echo"));
    stand.release();
    stand.gave(&[("a", "reject"), ("a", "3"), ("a", "5")]);
    assert_eq!(stand.parked(), (0, 0));
    stand.send("a", "6");
    stand.gave(&[("a", "6")]);
    assert_eq!(stand.take("dead").len(), 0);
}

#[test]
fn a_record_that_comes_while_its_key_is_released_takes_its_turn() {
    let mut stand = Stand::new("fails", "");
    for (key, value) in [("a", "reject"), ("a", "1"), ("b", "reject")] {
        stand.send(key, value);
    }
    stand.swap("plugin", &plugin("echo"));
    // A turn that began long ago is over with its first record.
    let long_ago = |stand: &mut Stand| stand.now.instant = Instant::now() - Duration::from_secs(60);
    long_ago(&mut stand);
    stand.task.release(&stand.context, &mut stand.now, &mut stand.outputs);
    stand.gave(&[("a", "reject")]);
    stand.send("a", "2");
    stand.send("b", "3");
    stand.send("c", "4");
    stand.gave(&[("c", "4")]);
    for expected in [("a", "1"), ("b", "reject"), ("a", "2"), ("b", "3")] {
        assert!(stand.task.has_release(stand.now.instant));
        long_ago(&mut stand);
        stand.task.release(&stand.context, &mut stand.now, &mut stand.outputs);
        stand.gave(&[expected]);
    }
    assert!(!stand.task.is_releasing());
    stand.send("a", "5");
    stand.gave(&[("a", "5")]);
}

#[test]
fn a_record_without_a_key_is_parked_alone() {
    let mut stand = Stand::new("fails", "");
    for value in [&b"reject"[..], b"1", b"reject", b"2"] {
        let offset = stand.task.position().next;
        let (key, value) = (None, Some(value));
        let record = Record { topic: "source", partition: 0, offset, timestamp: 0, key, value, headers: &[] };
        assert_eq!(stand.give(&record), Progress::Done);
    }
    stand.gave(&[("null", "1"), ("null", "2")]);
    assert_eq!(stand.parked(), (2, 0));
    stand.swap("plugin", &plugin("echo"));
    stand.release();
    stand.gave(&[("null", "reject"), ("null", "reject")]);
}

#[test]
fn a_released_record_is_the_one_that_was_parked() {
    let mut stand = Stand::new("refuses", "");
    let header = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|value| value.as_bytes().to_vec()));
    // As an earlier pipeline of ours would have it, too.
    let headers: [Header; 4] = [
        header("own", Some("kept")),
        header("gregor-worker", Some("other/0")),
        header("null", None),
        header("own", Some("twice")),
    ];
    let (key, value) = (Some(&b"\xff\xfe"[..]), None);
    let record = Record { topic: "source", partition: 0, offset: 7, timestamp: 1_234, key, value, headers: &headers };
    stand.give(&record);
    stand.swap("plugin", &plugin("echo"));
    stand.release();
    let [output] = &stand.outputs[..] else { panic!("{} outputs instead of one", stand.outputs.len()) };
    assert_eq!((output.key.as_deref(), output.value.as_deref(), output.timestamp), (key, value, 1_234));
    assert_eq!(output.headers, headers);
}

#[test]
fn where_there_is_no_room_the_partition_waits_until_there_is() {
    let lines = format!("{QUARANTINE}\nstate = {{ changelog = true }}");
    let bounds = "quarantine = { records = 2 }";
    let mut stand = Stand::of(plan(bounds, &[("plugin", &lines)]), &[("plugin", "fails")]);
    assert_eq!((stand.send("a", "reject"), stand.send("a", "1")), (Progress::Done, Progress::Done));
    assert_eq!(stand.send("a", "2"), Progress::Waits);
    let view = stand.task.view(0);
    assert_eq!((view.state.name(), view.failure, view.position), ("held", Some("quarantine-full"), 2));
    assert!(stand.task.due().is_none());
    // A version that fails as well changes nothing.
    stand.swap("plugin", &revised(&plugin("fails")));
    assert_eq!(stand.retry(), Progress::Waits);
    stand.release();
    assert!(stand.task.due().is_none(), "what failed again has made no room");
    assert_eq!((stand.retry(), stand.parked()), (Progress::Waits, (2, 1)));

    stand.swap("plugin", &plugin("echo"));
    assert_eq!(stand.retry(), Progress::Waits, "it is behind the others");
    stand.release();
    assert_eq!(stand.retry(), Progress::Done);
    stand.gave(&[("a", "reject"), ("a", "1"), ("a", "2")]);
    assert_eq!((stand.parked(), stand.task.position().next), ((0, 0), 3));
}

#[test]
fn a_record_that_no_entry_takes_holds_its_partition() {
    for state in ["max-value = \"1KiB\"", "max-value = \"1KiB\", max-bytes = \"4KiB\""] {
        let mut stand = Stand::new("refuses", &format!("state = {{ changelog = true, {state} }}"));
        assert_eq!(stand.send("a", &"x".repeat(1_000)), Progress::Waits);
        let view = stand.task.view(0);
        assert_eq!((view.state.name(), view.failure, view.position), ("held", Some("quarantine-too-large"), 0));
        stand.swap("plugin", &plugin("echo"));
        assert_eq!(stand.retry(), Progress::Done);
        assert_eq!((stand.take("sink").len(), stand.parked()), (1, (0, 0)));
    }
}

#[test]
fn one_that_fails_again_stays_in_front_of_its_key_and_keeps_no_other_back() {
    let mut stand = Stand::new("fails", "retry = { attempts = 1, backoff = \"10s\" }");
    for (key, value) in [("a", "reject"), ("a", "1"), ("b", "retry:9"), ("c", "reject"), ("c", "2")] {
        if stand.send(key, value) == Progress::Waits {
            stand.now.instant = stand.task.due().expect("it is tried again");
            assert_eq!(stand.retry(), Progress::Done);
        }
    }
    assert_eq!(stand.parked(), (5, 3));
    stand.swap("plugin", &revised(&plugin("fails")));
    stand.release();
    assert!(stand.task.is_releasing(), "b's is tried again later");
    stand.now.instant += Duration::from_secs(11);
    stand.release();
    assert_eq!((stand.parked(), stand.task.is_releasing()), ((5, 3), false));
    stand.gave(&[]);
    stand.swap("plugin", &plugin("echo"));
    stand.release();
    stand.gave(&[("a", "reject"), ("a", "1"), ("b", "retry:9"), ("c", "reject"), ("c", "2")]);
}

#[test]
fn what_is_parked_and_released_is_rolled_back_with_its_commit() {
    let mut stand = Stand::new("fails", "");
    stand.send("a", "reject");
    stand.send("a", "1");
    stand.commit();
    stand.send("a", "2");
    stand.send("b", "reject");
    assert_eq!(stand.parked(), (4, 2));
    stand.task.roll_back();
    assert_eq!((stand.parked(), stand.task.position().next), ((2, 1), 2));

    stand.swap("plugin", &plugin("echo"));
    stand.release();
    let before = stand.task.committed();
    assert_ne!(stand.task.position(), before, "stores can tell the commit from the one before");
    assert!(stand.task.is_dirty());
    stand.gave(&[("a", "reject"), ("a", "1")]);
    stand.task.roll_back();
    assert_eq!((stand.parked(), stand.task.position()), ((2, 1), before));
    stand.send("a", "2");
    stand.release();
    stand.gave(&[("a", "reject"), ("a", "1"), ("a", "2")]);
    stand.commit();
    assert_eq!(stand.parked(), (0, 0));
}

#[test]
fn an_aborted_commit_has_only_those_put_through_again_that_it_took_back() {
    let mut stand = Stand::new("fails", "");
    for (key, value) in [("a", "reject"), ("a", "1"), ("b", "reject")] {
        stand.send(key, value);
    }
    stand.swap("plugin", &revised(&plugin("fails")));
    stand.release();
    stand.commit();
    stand.send("c", "2");
    stand.task.roll_back();
    assert!(!stand.task.is_releasing(), "they failed in a commit before");
    stand.gave(&[("c", "2")]);

    stand.swap("plugin", &plugin("echo"));
    let one = |stand: &mut Stand| {
        // A turn that began long ago is over with its first record.
        stand.now.instant = Instant::now() - Duration::from_secs(60);
        stand.task.release(&stand.context, &mut stand.now, &mut stand.outputs);
    };
    one(&mut stand);
    stand.commit();
    one(&mut stand);
    stand.gave(&[("a", "reject"), ("a", "1")]);
    stand.task.roll_back();
    assert_eq!(stand.parked(), (2, 2));
    stand.release();
    stand.gave(&[("a", "1"), ("b", "reject")]);
    assert_eq!(stand.parked(), (0, 0));
}

#[test]
fn a_record_that_fails_again_is_put_through_again_where_its_commit_is_aborted() {
    let mut stand = Stand::new("fails", "");
    stand.send("a", "reject");
    stand.send("b", "reject");
    stand.commit();
    stand.swap("plugin", &revised(&plugin("fails")));
    stand.release();
    stand.task.roll_back();
    assert!(stand.task.view(0).releasing);
    stand.release();
    assert!(!stand.task.view(0).releasing);
    assert_eq!(stand.parked(), (2, 2));
}

#[test]
fn calls_for_what_was_parked_are_counted_apart() {
    let mut stand = Stand::new("fails", "");
    for (key, value) in [("a", "1"), ("a", "reject"), ("a", "2"), ("b", "reject")] {
        stand.send(key, value);
    }
    let counts = |stand: &mut Stand| {
        let mut counts = (0, 0, 0, 0);
        stand.task.drain_tallies(|_, tally| {
            let failed = tally.failed.iter().map(|(_, count)| count).sum();
            counts = (tally.ok, failed, tally.released, tally.released_failed);
        });
        counts
    };
    assert_eq!(counts(&mut stand), (1, 2, 0, 0));
    stand.swap("plugin", &revised(&plugin("fails")));
    stand.release();
    assert_eq!(counts(&mut stand), (0, 2, 2, 2));
    stand.swap("plugin", &plugin("echo"));
    stand.release();
    stand.send("a", "3");
    assert_eq!(counts(&mut stand), (4, 0, 3, 0));
}

#[test]
fn a_record_that_a_later_stage_rejects_is_parked_and_leaves_no_state_of_the_first() {
    let first = "state = { changelog = true }";
    let plan = plan("", &[("first", first), ("second", QUARANTINE)]);
    let mut stand = Stand::of(plan, &[("first", "script"), ("second", "refuses-one")]);
    let send = |stand: &mut Stand, key: &str| assert_eq!(stand.send(key, "increment n 1"), Progress::Done);
    send(&mut stand, "a");
    stand.gave(&[("a", "1")]);
    send(&mut stand, "bad-patient");
    stand.gave(&[]);
    let view = stand.task.view(0);
    assert_eq!((stand.parked(), view.stages[0].entries), ((1, 1), 2));
    send(&mut stand, "a");
    stand.gave(&[("a", "2")]);
    stand.swap("second", &plugin("echo"));
    stand.release();
    stand.gave(&[("bad-patient", "3")]);
    assert_eq!((stand.parked(), stand.task.view(0).stages[0].entries), ((0, 0), 1));
}

#[test]
fn timers_of_a_quarantined_key_are_parked_too_and_those_of_others_fire() {
    let mut stand = Stand::new("timed", "");
    stand.send_at(1_000, "a", "event bad 5000\nevent next 5001\non bad reject");
    stand.send_at(1_000, "b", "event good 5000");
    stand.take("sink");
    stand.send_at(6_000, "a", "ok");
    stand.send_at(6_000, "b", "watermark");
    stand.gave(&[("good", "event 5000"), ("b", "6000")]);
    assert_eq!(stand.parked(), (3, 1), "the timer that failed, the one after it, and the record behind both");
    assert_eq!(stand.task.view(0).stages[0].timers, 0);
    stand.commit();

    // Cured; and one that waits on for another time stays.
    stand.send_at(6_000, "b", "on bad ok\nevent bad 9000");
    stand.take("sink");
    stand.swap("plugin", &plugin("echo"));
    stand.release();
    assert_eq!(stand.parked(), (3, 1), "this version takes no timers");
    stand.swap("plugin", &revised(&plugin("timed")));
    stand.release();
    stand.gave(&[("bad", "event 5000 ok"), ("next", "event 5001"), ("a", "ok")]);
    assert_eq!((stand.parked(), stand.task.view(0).stages[0].timers), ((0, 0), 1));
}

#[test]
fn a_timer_whose_output_a_later_stage_rejects_fires_again_in_its_own_stage() {
    let first = "state = { changelog = true }";
    let plan = plan("", &[("first", first), ("second", QUARANTINE)]);
    let mut stand = Stand::of(plan, &[("first", "timed"), ("second", "refuses-one")]);
    stand.send_at(1_000, "a", "event bad-patient 5000");
    stand.send_at(6_000, "b", "ok");
    stand.gave(&[("a", "ok"), ("b", "ok")]);
    assert_eq!(stand.parked(), (1, 1));
    stand.swap("second", &plugin("echo"));
    stand.release();
    stand.gave(&[("bad-patient", "event 5000")]);
}

#[test]
fn what_is_parked_drains_to_where_another_policy_sends_it() {
    let mut stand = Stand::new("fails", "");
    for (key, value) in [("a", "reject"), ("a", "1"), ("a", "reject"), ("a", "2"), ("b", "reject")] {
        stand.send(key, value);
    }
    assert_eq!(stand.parked(), (5, 2));
    let dead_letter = plan("", &[("plugin", "on-failure = \"dead-letter\"\nstate = { changelog = true }")]);
    let mut stand = stand.restarted(dead_letter);
    stand.release();
    stand.gave(&[("a", "1"), ("a", "2")]);
    let attempts = |output: &Output| {
        let (_, value) = output.headers.iter().find(|(name, _)| name == "gregor-attempts").expect("a dead letter");
        String::from_utf8(value.clone().expect("a number")).expect("text")
    };
    let tried: Vec<String> = stand.outputs.iter().map(attempts).collect();
    assert_eq!(tried, ["2", "1", "2"], "once as they came, but the one that was behind, and once now");
    assert_eq!(stand.take("dead").iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "a", "b"]);
    assert_eq!(stand.parked(), (0, 0));
}

#[test]
fn a_dead_letter_that_is_redriven_waits_behind_those_of_its_key() {
    let mut stand = Stand::new("fails", "");
    stand.send("a", "reject");
    let dead_letter = plan("", &[("plugin", "on-failure = \"dead-letter\"\nstate = { changelog = true }")]);
    let quarantine = stand.plan.clone();
    let mut stand = stand.restarted(dead_letter);
    stand.release();
    let letter = stand.outputs.pop().expect("a dead letter");
    let letter = Letter::read(letter.key.as_deref(), letter.value.as_deref(), &letter.headers).expect("one of ours");
    let mut stand = stand.restarted(quarantine);
    stand.send("a", "reject");
    let request = Arc::new(Request { key: Key::of(&letter), letter });
    let progress = stand.task.redrive(&stand.context, (0, request), &mut stand.now, &mut stand.outputs);
    assert_eq!((progress, stand.parked()), (Progress::Done, (2, 1)));
    stand.take("test-line-redrive");
    stand.swap("plugin", &plugin("echo"));
    stand.release();
    stand.gave(&[("a", "reject"), ("a", "reject")]);
}
