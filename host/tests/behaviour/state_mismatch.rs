//! Kafka's offsets and topics change under a state: the state is never dropped,
//! its partition is held until someone decides.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Guarantee, Host, Pipeline, Record, Redis, Setup, Stage, eventually, kafka, redis_url, until};

const TOKEN: &str = "s3cret-of-the-ward";
const MEMORY: &str = r#"{ backend = "memory", changelog = true }"#;
const DISK: &str = r#"{ backend = "disk", changelog = true }"#;
const DISK_ALONE: &str = r#"{ backend = "disk" }"#;
const REDIS: &str = r#"{ backend = "redis" }"#;
/// What a changelog topic is to have.
const COMPACTED: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("min.compaction.lag.ms", "600000"), ("max.message.bytes", "2000000")];
const ALL: [&str; 4] = [MEMORY, DISK, DISK_ALONE, REDIS];

/// The script plugin on one partition: every record counts in `n`, and in a key of
/// its own.
struct Ward {
    setup: Setup,
    source: String,
    sink: String,
}

impl Ward {
    fn new(state: &str, guarantee: Guarantee) -> Ward {
        let (source, sink) = (kafka().topic(1), kafka().topic(1));
        let stage = Stage::new("script").set("state", state);
        let setup = Setup::new()
            .workers(1)
            .host("admin-token", &format!("{TOKEN:?}"))
            .delivery("guarantee", guarantee.toml())
            .delivery("commit-interval", "\"100ms\"")
            .pipeline(Pipeline::new(&source).sink(&sink).stage(stage));
        let setup = if state.contains("redis") { setup.redis(&redis_url()) } else { setup };
        Ward { setup, source, sink }
    }

    fn changelog(&self) -> String {
        format!("{}-main-script-changelog", self.setup.app)
    }

    /// Records numbered so, each with keys of its own.
    fn send(&self, numbers: std::ops::Range<u32>) {
        let record = |number| Record::new("key", format!("set k{number} v{number}\nincrement n 1")).partition(0);
        kafka().produce(&self.source, numbers.map(record));
    }

    /// A host processes what there is and ends.
    fn run(&self) {
        self.setup.run_bounded();
    }

    fn committed(&self) -> i64 {
        kafka().committed(&self.setup.app, &self.source)[0].expect("an offset")
    }

    fn settle(&self) {
        until("everything is committed", || kafka().is_settled(&self.setup.app, &self.source));
    }

    /// What the last output says: the sum of `n`.
    fn count(&self) -> String {
        let outputs = kafka().read(&self.sink);
        let last = outputs.last().expect("an output");
        last.text().lines().last().expect("a result").to_owned()
    }

    /// A host whose API the test may ask.
    fn spawn(&self) -> Host {
        Host::spawn_with(&self.setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)])
    }

    fn start(&self) -> Host {
        let host = self.spawn();
        host.wait_until_ready();
        host
    }

    /// A host that holds the partition, and why.
    fn held(&self) -> (Host, String) {
        let host = self.spawn();
        let why = eventually("the partition is held", || why(&host));
        (host, why)
    }

    /// `gregor state <words>` on the machine of host `one`.
    fn state(&self, words: &[&str]) -> Output {
        self.gregor("state", words)
    }

    fn gregor(&self, command: &str, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_gregor"))
            .arg(command)
            .args(words)
            .arg("--config")
            .arg(self.setup.write())
            .env_remove("GREGOR_CONFIG")
            .env_remove("GREGOR_LOG")
            .env("GREGOR__HOST__DATA_DIR", "data-one")
            .output()
            .expect("the binary runs")
    }

    /// Decides for a running host, and waits until the partition runs.
    #[track_caller]
    fn decide(&self, host: &Host, decision: &str) {
        let admin = host.admin().expect("an admin server");
        let output = self.state(&[decision, "main", "--partition", "0", "--yes", "--admin", &admin]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        until("the partition runs", || state(host) == "running");
    }

    /// Keys of an export of what the stopped host has.
    #[track_caller]
    fn exported(&self) -> Vec<String> {
        let output = self.state(&["export", "main", "script"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let key = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            line["key"].as_str().expect("a key").to_owned()
        };
        let mut keys: Vec<String> = text(&output.stdout).lines().map(key).collect();
        keys.sort_unstable();
        keys
    }

    fn audit(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.setup.data("one").join("audit.log")).expect("an audit log");
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        lines.filter(|line| line["stage"] == "script").collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn state(host: &Host) -> String {
    let partitions = host.partitions();
    partitions.first().map(|view| view["state"].as_str().expect("a state").to_owned()).unwrap_or_default()
}

/// Why the partition is held, if it is.
fn why(host: &Host) -> Option<String> {
    host.admin()?;
    let partitions = host.partitions();
    let first = partitions.first().filter(|view| view["state"] == "state-mismatch")?;
    Some(first["mismatch"].as_str().expect("a reason").to_owned())
}

fn keys(numbers: std::ops::Range<u32>) -> Vec<String> {
    let mut keys: Vec<String> = numbers.map(|number| format!("k{number}")).chain(["n".to_owned()]).collect();
    keys.sort_unstable();
    keys
}

#[track_caller]
fn says(why: &str, parts: &[&str]) {
    for part in parts {
        assert!(why.contains(part), "no {part:?} in: {why}");
    }
}

/// Moved by one or by many, forth and back: held, and what stands stays.
#[track_caller]
fn a_moved_offset_holds(state: &str, guarantee: Guarantee) {
    let ward = Ward::new(state, guarantee);
    ward.send(0..10);
    ward.run();
    let next = ward.committed();
    for (moved, decision) in [(2, "restore"), (next - 1, "keep")] {
        kafka().move_group(&ward.setup.app, &ward.source, 0, moved);
        let (mut host, reason) = ward.held();
        let offsets = [format!("has committed offset {moved} of"), format!("as of offset {next}")];
        says(&reason, &[&offsets[0], &offsets[1], "gregor state keep main --partition 0", "Nothing was changed"]);
        assert_eq!(kafka().read(&ward.sink).len(), 10, "no record comes again");
        if decision == "restore" {
            let (status, body) = host.ask("/readyz").expect("an answer");
            assert_eq!(status, 200, "no restart would help");
            says(&body, &["waiting for what only a person can give", "state-mismatch"]);
            assert!(host.metric("gregor_partition_state", &["state=\"state-mismatch\""]) > 0.9);
        }
        ward.decide(&host, decision);
        ward.settle();
        until("it is told", || ward.audit().last().is_some_and(|line| line["action"] == decision));
        host.term();
    }
    // Restored: nothing came again. Kept: the last record came again, on all that there was.
    assert_eq!(ward.count(), "11");
    assert_eq!(ward.exported(), keys(0..10));
    // What was kept stays, whatever the positions of its entries were.
    if state != DISK_ALONE {
        ward.setup.lose_data("one");
    }
    ward.send(10..11);
    ward.run();
    assert_eq!(ward.count(), "12");
    assert_eq!(ward.exported(), keys(0..11));
}

#[test]
fn a_moved_offset_holds_memory_at_least_once() {
    a_moved_offset_holds(MEMORY, Guarantee::AtLeastOnce);
}

#[test]
fn a_moved_offset_holds_memory_exactly_once() {
    a_moved_offset_holds(MEMORY, Guarantee::ExactlyOnce);
}

#[test]
fn a_moved_offset_holds_disk_with_changelog() {
    a_moved_offset_holds(DISK, Guarantee::ExactlyOnce);
}

#[test]
fn a_moved_offset_holds_disk_alone() {
    a_moved_offset_holds(DISK_ALONE, Guarantee::AtLeastOnce);
}

#[test]
fn a_moved_offset_holds_redis() {
    a_moved_offset_holds(REDIS, Guarantee::AtLeastOnce);
}

#[test]
fn an_erased_metadata_changes_nothing() {
    for (state, guarantee) in ALL.into_iter().zip([Guarantee::AtLeastOnce, Guarantee::ExactlyOnce].into_iter().cycle())
    {
        let ward = Ward::new(state, guarantee);
        ward.send(0..5);
        ward.run();
        let next = ward.committed();
        kafka().move_group(&ward.setup.app, &ward.source, 0, next);
        assert_eq!(kafka().metadata(&ward.setup.app, &ward.source, 0), "");
        ward.send(5..6);
        ward.run();
        assert_eq!(ward.count(), "6", "{state}");
        assert_eq!(ward.exported(), keys(0..6), "{state}");
    }
}

#[test]
fn a_deleted_group_holds_its_state() {
    for (state, guarantee) in ALL.into_iter().zip([Guarantee::ExactlyOnce, Guarantee::AtLeastOnce].into_iter().cycle())
    {
        let ward = Ward::new(state, guarantee);
        ward.send(0..5);
        ward.run();
        let next = ward.committed();
        kafka().delete_group(&ward.setup.app);
        assert_eq!(ward.exported(), keys(0..5), "{state}: exported as it stands");
        let (mut host, reason) = ward.held();
        says(&reason, &["has committed no offset of", &format!("as of offset {next}")]);
        ward.decide(&host, "restore");
        ward.send(5..6);
        ward.settle();
        host.term();
        assert_eq!(kafka().read(&ward.sink).len(), 6, "{state}: no record came again");
        assert_eq!(ward.count(), "6", "{state}");
    }
}

#[test]
fn a_deleted_changelog_holds_what_it_held() {
    for state in [MEMORY, DISK] {
        let ward = Ward::new(state, Guarantee::AtLeastOnce);
        ward.send(0..5);
        ward.run();
        kafka().delete(&ward.changelog());
        let (mut host, reason) = ward.held();
        says(&reason, &["changelog", "deleted, made anew or cut off", &ward.changelog()]);
        ward.decide(&host, "keep");
        ward.send(5..6);
        ward.settle();
        host.term();
        // Of a disk store all is still there, and now in its changelog again.
        let (count, left) = if state == DISK { ("6", keys(0..6)) } else { ("1", keys(5..6)) };
        assert_eq!(ward.count(), count, "{state}");
        ward.setup.lose_data("one");
        assert_eq!(ward.exported(), left, "{state}");
        ward.send(6..7);
        ward.run();
        assert_eq!(ward.count(), (count.parse::<u32>().unwrap() + 1).to_string(), "{state}: from the changelog");
    }
}

#[test]
fn a_changelog_made_anew_while_running_is_noticed() {
    let ward = Ward::new(MEMORY, Guarantee::AtLeastOnce);
    ward.send(0..5);
    let mut host = ward.start();
    ward.settle();
    kafka().make_anew(&ward.changelog(), kafka().partitions(&ward.changelog()), &COMPACTED);
    // The host goes on: its next commits are in the new topic, those before are not.
    ward.send(5..6);
    ward.settle();
    host.wait_for_log("was deleted and made anew while this host ran");
    assert_eq!((state(&host).as_str(), ward.count().as_str()), ("running", "6"), "memory has it all");
    host.term();
    let (mut host, reason) = ward.held();
    says(&reason, &["changelog", "deleted and made anew"]);
    host.term();
}

#[test]
fn a_changelog_made_anew_while_running_is_written_again_from_disk() {
    let ward = Ward::new(DISK, Guarantee::ExactlyOnce);
    ward.send(0..5);
    let mut host = ward.start();
    ward.settle();
    kafka().make_anew(&ward.changelog(), kafka().partitions(&ward.changelog()), &COMPACTED);
    let reason = eventually("the partition is held", || why(&host));
    says(&reason, &["changelog", &ward.changelog(), "made anew", "local store is as of offset"]);
    ward.decide(&host, "keep");
    ward.send(5..6);
    ward.settle();
    host.term();
    assert_eq!(ward.count(), "6");
    ward.setup.lose_data("one");
    assert_eq!(ward.exported(), keys(0..6), "all of it is in the new changelog");
}

/// The group, and a store on disk, are past what the changelog holds, as after an
/// unclean election of the changelog's leader.
fn behind(state: &str) -> Ward {
    let ward = Ward::new(state, Guarantee::AtLeastOnce);
    ward.send(0..3);
    ward.run();
    ward.send(3..5);
    if state == DISK {
        let config = ward.setup.write();
        let text = ward.setup.text().replace(", changelog = true", "");
        std::fs::write(&config, text).expect("a configuration");
        let mut host = Host::spawn(&config, "one", &["--bounded"]);
        assert_eq!(host.wait_exit(), Some(0));
    } else {
        kafka().move_group(&ward.setup.app, &ward.source, 0, 5);
    }
    ward
}

#[test]
fn a_changelog_that_ends_before_the_group_is_decided_in_each_way() {
    for (state, keeps) in [(MEMORY, "4"), (DISK, "6")] {
        for decision in ["restore", "keep", "reset"] {
            let ward = behind(state);
            let (mut host, reason) = ward.held();
            says(&reason, &["has committed offset 5 of", "the state is as of offset 3", "changelog", "offsets 0 to"]);
            ward.decide(&host, decision);
            ward.send(5..6);
            ward.settle();
            host.term();
            let (count, left) = match decision {
                // The two records that the changelog lost came again.
                "restore" => ("6", keys(0..6)),
                "keep" if state == DISK => (keeps, keys(0..6)),
                "keep" => (keeps, [keys(0..3), vec!["k5".to_owned()]].concat()),
                _ => ("1", keys(5..6)),
            };
            assert_eq!(ward.count(), count, "{state} {decision}");
            let mut left = left;
            left.sort_unstable();
            ward.setup.lose_data("one");
            assert_eq!(ward.exported(), left, "{state} {decision}");
        }
    }
}

#[test]
fn a_changelog_made_anew_is_not_restored_and_is_reset() {
    for (state, guarantee) in [(MEMORY, Guarantee::ExactlyOnce), (DISK, Guarantee::AtLeastOnce)] {
        let ward = Ward::new(state, guarantee);
        ward.send(0..5);
        ward.run();
        kafka().make_anew(&ward.changelog(), kafka().partitions(&ward.changelog()), &COMPACTED);
        let (mut host, reason) = ward.held();
        says(&reason, &["deleted, made anew or cut off", &ward.changelog()]);
        let admin = host.admin().expect("an admin server");
        let refused = ward.state(&["restore", "main", "--yes", "--admin", &admin]);
        assert_eq!(refused.status.code(), Some(5), "{state}");
        says(&text(&refused.stderr), &["still held", "cannot move to the state"]);
        ward.decide(&host, "reset");
        ward.send(5..6);
        ward.settle();
        host.term();
        assert_eq!(ward.count(), "1", "{state}");
        ward.setup.lose_data("one");
        assert_eq!(ward.exported(), keys(5..6), "{state}");
    }
}

#[test]
fn a_changelog_whose_beginning_is_cut_holds() {
    for state in [MEMORY, DISK] {
        let ward = Ward::new(state, Guarantee::ExactlyOnce);
        ward.send(0..5);
        ward.run();
        // Only of a topic that deletes do the brokers delete records.
        kafka().alter(&ward.changelog(), &[("cleanup.policy", "delete")]);
        kafka().cut(&ward.changelog(), 0, 3);
        kafka().alter(&ward.changelog(), &COMPACTED);
        let (mut host, reason) = ward.held();
        says(&reason, &["begins at 3 and not at 0", "cut off"]);
        ward.decide(&host, "keep");
        ward.send(5..6);
        ward.settle();
        host.term();
        // From then on what is there is the state: it is not held again.
        ward.send(6..7);
        ward.run();
        if state == DISK {
            assert_eq!(ward.count(), "7", "the local store is whole");
            ward.setup.lose_data("one");
            assert_eq!(ward.exported(), keys(0..7));
        }
    }
}

#[test]
fn a_source_made_anew_holds_and_is_reset() {
    for state in ALL {
        let ward = Ward::new(state, Guarantee::AtLeastOnce);
        ward.send(0..5);
        ward.run();
        kafka().make_anew(&ward.source, kafka().partitions(&ward.source), &[]);
        ward.send(0..2);
        let (mut host, reason) = ward.held();
        says(&reason, &["made anew"]);
        // The offset is of the topic that is gone.
        let admin = host.admin().unwrap();
        let refused = ward.state(&["restore", "main", "--yes", "--admin", &admin]);
        assert_eq!(refused.status.code(), Some(5), "{state}");
        says(&text(&refused.stderr), &["still held", "cannot move to the state"]);
        ward.decide(&host, "reset");
        ward.settle();
        host.term();
        assert_eq!(ward.count(), "2", "{state}");
        assert_eq!(ward.exported(), keys(0..2), "{state}");
        let told = ward.audit().pop().unwrap();
        assert_eq!((&told["action"], &told["removed"]), (&"reset".into(), &6.into()), "{state}");
        if state != DISK_ALONE {
            ward.setup.lose_data("one");
        }
        ward.send(2..3);
        ward.run();
        assert_eq!(ward.count(), "3", "{state}: what went does not come back");
    }
}

#[test]
fn a_source_made_anew_while_running_holds() {
    // With fewer records than before, and with more: then nothing is out of range.
    for (state, guarantee, count) in [
        (MEMORY, Guarantee::ExactlyOnce, 2),
        (DISK, Guarantee::AtLeastOnce, 9),
        (DISK_ALONE, Guarantee::ExactlyOnce, 9),
        (REDIS, Guarantee::AtLeastOnce, 2),
    ] {
        let ward = Ward::new(state, guarantee);
        ward.send(0..5);
        let mut host = ward.start();
        ward.settle();
        kafka().make_anew(&ward.source, kafka().partitions(&ward.source), &[]);
        ward.send(0..count);
        let reason = eventually("the partition is held", || why(&host));
        says(
            &reason,
            &["of an earlier topic", "was deleted and made anew", &format!("holds offsets 0 to {count} now")],
        );
        ward.decide(&host, "reset");
        ward.settle();
        host.term();
        assert_eq!(ward.count(), count.to_string(), "{state}");
        assert_eq!(ward.exported(), keys(0..count), "{state}");
    }
}

#[test]
fn a_source_without_state_made_anew_while_running_is_told() {
    let (source, sink) = (kafka().topic(1), kafka().topic(1));
    let setup = Setup::new().workers(1).pipeline(Pipeline::new(&source).sink(&sink).stage(Stage::new("echo")));
    let send = |count: usize| kafka().produce(&source, (0..count).map(|_| Record::new("key", "value").partition(0)));
    send(5);
    let mut host = setup.start();
    until("everything is committed", || kafka().is_settled(&setup.app, &source));
    kafka().make_anew(&source, kafka().partitions(&source), &[]);
    send(9);
    host.wait_for_log("was deleted and made anew while this host read it");
    host.term();
}

#[test]
fn a_source_that_ends_below_the_position_holds() {
    let ward = Ward::new(MEMORY, Guarantee::AtLeastOnce);
    ward.send(0..5);
    ward.run();
    let next = ward.committed();
    // As after an unclean election: the group is past what the topic holds.
    kafka().move_group(&ward.setup.app, &ward.source, 0, next + 3);
    let (mut host, reason) = ward.held();
    says(&reason, &[&format!("has committed offset {}", next + 3), &format!("ends at {next}")]);
    ward.decide(&host, "restore");
    host.term();
    assert_eq!(ward.committed(), next);
}

#[test]
fn a_lost_data_folder_holds_a_disk_store() {
    let ward = Ward::new(DISK_ALONE, Guarantee::ExactlyOnce);
    ward.send(0..5);
    ward.run();
    ward.setup.lose_data("one");
    let (mut host, reason) = ward.held();
    says(&reason, &["the local store is empty", "deleted or lost"]);
    ward.decide(&host, "reset");
    ward.send(5..6);
    ward.settle();
    host.term();
    assert_eq!(ward.count(), "1");
}

#[test]
fn a_flushed_redis_holds_until_someone_decides() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
        let ward = Ward::new(REDIS, guarantee);
        ward.send(0..5);
        let mut host = ward.start();
        ward.settle();
        Redis::connect(&redis_url()).delete_all(&format!("{}:", ward.setup.app));
        ward.send(5..6);
        let reason = eventually("the partition is held", || why(&host));
        says(&reason, &["Redis holds nothing of it"]);
        ward.decide(&host, "reset");
        ward.settle();
        host.term();
        assert_eq!(ward.count(), "1", "{guarantee:?}");
    }
}

#[test]
fn what_is_configured_is_decided_without_a_person() {
    for (choice, count) in [("keep", "10"), ("reset", "5")] {
        let state = format!(r#"{{ backend = "memory", changelog = true, on-mismatch = "{choice}" }}"#);
        let ward = Ward::new(&state, Guarantee::ExactlyOnce);
        ward.send(0..5);
        ward.run();
        kafka().move_group(&ward.setup.app, &ward.source, 0, 0);
        ward.run();
        assert_eq!(ward.count(), count);
        let told = ward.audit().pop().expect("a line");
        assert_eq!((&told["action"], &told["who"]), (&choice.into(), &"configuration".into()));
        ward.run();
    }
}

#[test]
fn an_order_is_left_with_the_offset_of_stopped_hosts() {
    let ward = Ward::new(DISK, Guarantee::AtLeastOnce);
    ward.send(0..5);
    ward.run();
    kafka().move_group(&ward.setup.app, &ward.source, 0, 2);
    let looked = ward.state(&["reset", "main", "--dry-run"]);
    assert!(looked.status.success(), "{}", text(&looked.stderr));
    says(&text(&looked.stdout), &["the group has committed 2", "nothing was done"]);
    let unasked = ward.state(&["reset", "main"]);
    assert_eq!(unasked.status.code(), Some(2), "nobody can answer");
    assert_eq!(kafka().metadata(&ward.setup.app, &ward.source, 0), "");
    let ordered = ward.state(&["reset", "main", "--yes"]);
    assert!(ordered.status.success(), "{}", text(&ordered.stderr));
    ward.run();
    assert_eq!(ward.count(), "3");
    assert_eq!(ward.audit().pop().unwrap()["who"], "offset");
    assert_eq!(ward.exported(), ["k2", "k3", "k4", "n"]);
}

#[test]
fn offsets_are_shown_and_moved_with_the_state_in_mind() {
    let ward = Ward::new(MEMORY, Guarantee::ExactlyOnce);
    ward.send(0..5);
    ward.run();
    let next = ward.committed();
    let shown = ward.gregor("offsets", &["show", "main", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("a JSON document");
    assert_eq!(shown["partitions"][0]["committed"], next);

    let refused = |words: &[&str], code, part: &str| {
        let output = ward.gregor("offsets", &[&["reset", "main"], words].concat());
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        says(&text(&output.stderr), &[part]);
    };
    refused(&["--to-earliest", "--execute"], 2, "keeps state");
    refused(&["--state", "keep"], 2, "name where to");
    refused(&["--to-latest", "--state", "restore"], 2, "leave out the other target");
    refused(&["--to-offset", "99", "--state", "keep"], 5, "has no offset 99");
    let looked = ward.gregor("offsets", &["reset", "main", "--to-earliest", "--state", "reset"]);
    says(&text(&looked.stdout), &["A dry run"]);
    assert_eq!(ward.committed(), next);
    let moved = ward.gregor("offsets", &["reset", "main", "--shift-by", "-2", "--state", "keep", "--execute"]);
    assert!(moved.status.success(), "{}", text(&moved.stderr));
    assert_eq!(ward.committed(), next - 2);
    ward.run();
    assert_eq!(ward.count(), "7", "two came again, on what there was");

    let mut host = ward.start();
    refused(&["--to-earliest", "--state", "reset", "--execute"], 5, "has members");
    host.term();
    let moved = ward.gregor("offsets", &["reset", "main", "--to-earliest", "--state", "reset", "--execute"]);
    assert!(moved.status.success(), "{}", text(&moved.stderr));
    ward.run();
    assert_eq!(ward.count(), "5", "all over again");
}
