//! The cache that plugins see, through the whole host. Guest `script`: each
//! line of a value is a command, each line of the output its answer.

use gregor::plugin::Digest;

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Host, Pipeline, Setup, kafka, plugin, until};

/// Sends the commands of `dialogue` as one record and compares each answer.
fn converse(line: &Line, partition: i32, dialogue: &[(&str, &str)]) {
    let commands: Vec<&str> = dialogue.iter().map(|(command, _)| *command).collect();
    let answers = line.ask(partition, &commands.join("\n"));
    let answers: Vec<(&str, &str)> = commands.into_iter().zip(answers.split('\n')).collect();
    assert_eq!(answers, dialogue);
}

#[test]
fn every_command_answers_as_the_contract_says() {
    let line = Line::start(1, "script", "");
    converse(
        &line,
        0,
        &[
            ("get a", "none"),
            ("set a 1", "ok"),
            ("get a", "1"),
            ("get-many a b a", "1 none 1"),
            ("increment a 41", "42"),
            ("increment fresh -3", "-3"),
            ("get fresh", "-3"),
            ("set word abc", "ok"),
            ("increment word 1", "error not-a-number"),
            ("get word", "abc"),
            ("set most 9223372036854775807", "ok"),
            ("increment most 1", "error not-a-number"),
            ("get most", "9223372036854775807"),
            ("delete a", "true"),
            ("delete a", "false"),
            ("get a", "none"),
            ("get -", "none"),
            ("set - x", "error invalid-key"),
            ("increment - 1", "error invalid-key"),
        ],
    );
    let (longest, longer) = ("k".repeat(512), "k".repeat(513));
    let (keeps, refuses, finds) = (format!("set {longest} x"), format!("set {longer} x"), format!("get {longest}"));
    converse(&line, 0, &[(&keeps, "ok"), (&refuses, "error invalid-key"), (&finds, "x")]);
    // What one record wrote, a later one finds.
    converse(&line, 0, &[("get-many word fresh a", "abc -3 none")]);
}

#[test]
fn a_scan_gives_entries_in_the_order_of_their_bytes_page_by_page() {
    let line = Line::start(1, "script", "");
    converse(
        &line,
        0,
        &[
            ("set p/b 2", "ok"),
            ("set p/é 4", "ok"),
            ("set p/B 1", "ok"),
            ("set p/c 3", "ok"),
            ("set q 5", "ok"),
            ("set o 0", "ok"),
            ("scan p/ - 9", "p/B=1 p/b=2 p/c=3 p/é=4"),
            ("scan p/ - 3", "p/B=1 p/b=2 p/c=3"),
            ("scan p/ p/c 3", "p/é=4"),
            ("scan p/ p/é 3", ""),
            ("scan p/ p/a 1", "p/b=2"),
            ("scan - - 9", "o=0 p/B=1 p/b=2 p/c=3 p/é=4 q=5"),
            ("scan - p/c 9", "p/é=4 q=5"),
            ("scan p/ - 0", ""),
            ("delete p/b", "true"),
            ("scan p/ - 2", "p/B=1 p/c=3"),
        ],
    );
    let writes: Vec<String> = (0..1_200).map(|n| format!("set many/{n:04} x")).collect();
    assert!(line.ask(0, &writes.join("\n")).split('\n').all(|answer| answer == "ok"));
    let first_page = line.ask(0, "scan many/ - 5000");
    assert_eq!(first_page.split(' ').count(), 1_000, "one scan gives at most 1,000 entries");
    assert!(first_page.ends_with("many/0999=x"));
    let last_page = line.ask(0, "scan many/ many/0999 5000");
    assert_eq!(last_page.split(' ').count(), 200);
    assert!(last_page.starts_with("many/1000=x") && last_page.ends_with("many/1199=x"));
}

#[test]
fn an_entry_is_gone_after_its_time_to_live() {
    let line = Line::start(1, "script", "");
    converse(
        &line,
        0,
        &[
            ("set short/a x 400", "ok"),
            ("set short/n 41 400", "ok"),
            ("set long/a x 3600000", "ok"),
            ("set always x", "ok"),
            ("set kept x 400", "ok"),
            ("set kept y", "ok"),
            ("get short/a", "x"),
            ("scan - - 9", "always=x kept=y long/a=x short/a=x short/n=41"),
        ],
    );
    until("short entries expire", || line.ask(0, "scan short/ - 9").is_empty());
    converse(
        &line,
        0,
        &[
            ("get-many short/a short/n long/a always kept", "none none x x y"),
            ("delete short/a", "false"),
            ("increment short/n 1", "1"),
            ("scan - - 9", "always=x kept=y long/a=x short/n=1"),
        ],
    );
}

#[test]
fn a_partition_does_not_see_what_another_one_wrote() {
    // More partitions than workers, so that two of them share one.
    let line = Line::start(4, "script", "");
    for partition in 0..3 {
        converse(&line, partition, &[("get k", "none"), (&format!("set k of-{partition}"), "ok")]);
        converse(&line, partition, &[(&format!("set only-{partition} x"), "ok")]);
    }
    for partition in 0..3 {
        let entries = format!("k=of-{partition} only-{partition}=x");
        converse(&line, partition, &[("get k", &format!("of-{partition}")), ("scan - - 100", &entries)]);
    }
    converse(&line, 3, &[("get-many k only-0 only-1 only-2", "none none none none"), ("scan - - 100", "")]);
}

#[test]
fn two_pipelines_on_one_source_do_not_see_each_others_entries() {
    let topics = Topics::new(1);
    let other_sink = kafka().topic(1);
    let other = Pipeline::named("other", &topics.source).sink(&other_sink).stage(stage("script", ""));
    let setup = Setup::new().pipeline(topics.pipeline().stage(stage("script", ""))).pipeline(other);
    let line = Line::run(topics, setup);
    line.send(0, "key", "increment n 1\nset k x\nscan - - 9");
    line.send(0, "key", "increment n 1\nscan - - 9");
    line.settle();
    for sink in [&line.topics.sink, &other_sink] {
        let said: Vec<String> = kafka().read(sink).iter().map(|record| record.text().to_owned()).collect();
        assert_eq!(said, ["1\nok\nk=x n=1", "2\nk=x n=2"]);
    }
}

#[test]
fn a_stage_does_not_see_the_entries_of_the_one_before_and_a_swap_keeps_them() {
    let topics = Topics::new(1);
    let stages = topics.pipeline().stage(stage("script", "")).stage(stage("second", ""));
    let setup = Setup::new().plugin("second", &plugin("echo")).pipeline(stages);
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", "s3cret")]);
    let line = Line::of(topics, setup, host);
    assert_eq!(line.ask(0, "set command get\nset k x"), "ok\nok");
    assert_eq!(line.ask(0, "get-many command k"), "get x");
    assert_eq!(line.ask(0, "set x get"), "ok");
    // The script imports the cache and the echo does not.
    assert_eq!(line.host.post("/api/v1/plugins/second?approve=true", "s3cret", &plugin("script")).0, 200);
    // The first stage's entries make the command `get k` of it for the second.
    until("the second stage runs the script", || line.ask(0, "get-many x k") == "none");
    line.setup.put("script", &revised(&plugin("script")));
    until("a revised script runs", || {
        line.plugin("script")["digest"] == Digest::of(&revised(&plugin("script"))).to_string()
    });
    assert_eq!(line.ask(0, "get-many x k"), "none");
}

#[test]
fn writes_of_a_record_that_fails_are_undone() {
    let stage = r#"on-failure = "skip"
        retry = { attempts = 2, backoff = "1ms" }"#;
    let line = Line::start(1, "script", stage);
    converse(&line, 0, &[("set a 1", "ok"), ("set gone x", "ok"), ("set n 7", "ok")]);
    for ending in ["reject", "trap", "retry"] {
        line.send(0, "key", &format!("set a 2\nset a 3\nset new x\ndelete gone\nincrement n 5\nset n 1 1\n{ending}"));
        converse(&line, 0, &[("get-many a gone new n", "1 x none 7"), ("scan - - 9", "a=1 gone=x n=7")]);
    }
    line.settle();
    line.expect_metric("gregor_records_skipped_total", &[], 3.0);
    line.expect_metric("gregor_state_entries", &[], 3.0);
}

#[test]
fn writes_of_a_stage_are_undone_when_a_later_stage_fails() {
    // The second stage takes `topic:…` as a command to write where it may not.
    let topics = Topics::new(1);
    let setup = Setup::new().pipeline(topics.pipeline().stage(stage("script", "")).stage(stage("outputs", "")));
    let line = Line::run(topics, setup);
    assert_eq!(line.ask(0, "set c topic:not-granted\nset a 1"), "ok\nok");
    line.send(0, "key", "get c\nset a 2\nset b 2\ndelete c");
    assert_eq!(line.ask(0, "get-many a b c\nscan - - 9"), "1 none topic:not-granted\na=1 c=topic:not-granted");
    line.settle();
    let dead = line.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("gregor-error"), Some("topic-not-granted"));
    assert_eq!(dead[0].header("gregor-stage"), Some("outputs"));
    assert_eq!(dead[0].text(), "get c\nset a 2\nset b 2\ndelete c", "the dead letter is the source record");
}

#[test]
fn a_write_past_a_quota_is_refused_with_the_limit_and_changes_nothing() {
    let line = Line::start(2, "script", r#"state = { max-bytes = "1KiB", max-value = "600B" }"#);
    let set = |key: &str, bytes: usize| format!("set {key} {}", "x".repeat(bytes));
    let quota = "error quota-exceeded 1024";
    let dialogue = [
        (set("a", 601), "error value-too-large 600"),
        (set("a", 600), "ok"),
        (set("b", 423), quota),
        ("get b".into(), "none"),
        (set("b", 422), "ok"),
        (set("c", 1), quota),
        ("increment c 1".into(), quota),
        (set("a", 599), "ok"),
        ("scan c - 9".into(), ""),
        (set("a", 100), "ok"),
        (set("c", 498), "ok"),
        ("delete b".into(), "true"),
        (set("d", 422), "ok"),
        (set("e", 1), quota),
    ];
    let dialogue: Vec<(&str, &str)> = dialogue.iter().map(|(command, answer)| (&**command, *answer)).collect();
    converse(&line, 0, &dialogue);
    // Each partition has the whole of it.
    converse(&line, 1, &[(&set("a", 600), "ok")]);
    line.settle();
    line.expect_metric("gregor_state_bytes", &[r#"partition="0""#], 1_023.0);
    line.expect_metric("gregor_state_bytes", &[r#"partition="1""#], 601.0);
}
