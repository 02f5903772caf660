//! The standard door: components that import `wasi:keyvalue`, on the entries of
//! `gregor:plugin/cache`. Guests `keyvalue` and `keyvalue-draft` beside `script`.

use std::time::Duration;

use gregor::plugin::{Engine, Failure, Soft};

use crate::hostile::{MIB, Runs, compiled, scope};
use crate::support::extra::{Line, Topics, stage};
use crate::support::{Host, Setup, plugin};

const TOKEN: &str = "s3cret";
const KEY_RULE: &str = "error a key is 1 to 512 bytes of UTF-8";
const NO_NUMBER: &str = "error the value is no decimal 64-bit integer, or the sum leaves 64 bits";

/// A stage that runs `name`, in the test's own process.
fn start(name: &str) -> (Engine, Runs) {
    let engine = Engine::new(4, 64 * MIB).expect("an engine");
    let runs = Runs::start(&engine, &compiled(&engine, &plugin(name)), &scope(Duration::from_secs(10))).expect(name);
    (engine, runs)
}

/// The same stage from here on with the plugin `name`; its entries stay.
fn become_plugin(engine: &Engine, runs: &mut Runs, name: &str) {
    runs.restart(engine, &compiled(engine, &plugin(name)), &scope(Duration::from_secs(10)));
}

/// Gives the commands of `dialogue` as one record and compares each answer.
#[track_caller]
fn converse(runs: &mut Runs, dialogue: &[(&str, &str)]) {
    let commands: Vec<&str> = dialogue.iter().map(|(command, _)| *command).collect();
    let answers = runs.ask(commands.join("\n").as_bytes()).expect("the call succeeds").remove(0).expect("a value");
    let answers = String::from_utf8(answers).expect("text");
    let answers: Vec<(&str, &str)> = commands.into_iter().zip(answers.split('\n')).collect();
    assert_eq!(answers, dialogue);
}

#[test]
fn its_commands_answer_as_the_standard_says() {
    let (_engine, mut runs) = start("keyvalue");
    let longer = "k".repeat(513);
    let (refuses, means) = (format!("set {longer} x"), format!("mean {longer}"));
    converse(
        &mut runs,
        &[
            ("open -", "ok"),
            ("open default", "ok"),
            ("open other", "error no-such-store"),
            ("get a", "none"),
            ("exists a", "false"),
            ("list", "1 "),
            ("set a 1", "ok"),
            ("get a", "1"),
            ("exists a", "true"),
            ("increment a 41", "42"),
            ("increment fresh -3", "-3"),
            ("set word abc", "ok"),
            ("increment word 1", NO_NUMBER),
            ("get word", "abc"),
            ("list", "2 a fresh word"),
            ("delete a", "ok"),
            ("delete a", "ok"),
            ("get a", "none"),
            ("set - x", KEY_RULE),
            (&refuses, KEY_RULE),
            (&means, KEY_RULE),
            ("get -", "none"),
            ("set-many b 2 c 3", "ok"),
            ("get-many b x c b", "2 none 3 2"),
            ("set-many d 4 - 5 e 6", KEY_RULE),
            ("get-many d e", "4 none"),
            ("delete-many b x c", "ok"),
            ("list", "2 d fresh word"),
        ],
    );
}

#[test]
fn keys_are_listed_page_by_page() {
    let (engine, mut runs) = start("keyvalue");
    let keys: Vec<String> = (0..2_200).map(|n| format!("{n:04}")).collect();
    for keys in keys.chunks(1_100) {
        let writes: Vec<String> = keys.iter().map(|key| format!("set {key} x")).collect();
        runs.ask(writes.join("\n").as_bytes()).expect("room for all");
    }
    // The third page is 200 keys long, the fourth tells that there are no more.
    let all = format!("4 {}", keys.join(" "));
    converse(&mut runs, &[("list", &all)]);
    become_plugin(&engine, &mut runs, "keyvalue-draft");
    converse(&mut runs, &[("list", &all)]);
    let third = keys[2_000..].join(" ");
    // Cursors stay good from record to record; 3 was the last one given.
    converse(&mut runs, &[("list-from 2", &third), ("list-from 3", "")]);
    let forgotten = "error this cursor is good no longer: list from the start";
    converse(&mut runs, &[("list-from 0", forgotten), ("list-from 99", forgotten)]);
}

#[test]
fn a_swap_is_made_only_where_the_value_is_still_the_one_that_was_meant() {
    let (_engine, mut runs) = start("keyvalue");
    converse(&mut runs, &[("mean a", "ok"), ("swap 1", "ok"), ("get a", "1")]);
    converse(&mut runs, &[("mean a", "ok"), ("set a 2", "ok"), ("swap 3", "failed 2"), ("get a", "2")]);
    // The handle that came with the refusal is of the newer value, also in a later record.
    converse(&mut runs, &[("swap 3", "ok"), ("get a", "3")]);
    converse(&mut runs, &[("mean a", "ok"), ("delete a", "ok"), ("swap 4", "failed none"), ("swap 4", "ok")]);
    converse(&mut runs, &[("get a", "4")]);
}

#[test]
fn a_component_finds_what_one_with_the_cache_wrote_and_the_other_way_round() {
    let (engine, mut runs) = start("script");
    converse(&mut runs, &[("set a 1", "ok"), ("increment n 41", "41"), ("set gone x", "ok")]);
    become_plugin(&engine, &mut runs, "keyvalue");
    converse(&mut runs, &[("list", "2 a gone n"), ("get a", "1"), ("increment n 1", "42")]);
    converse(&mut runs, &[("delete gone", "ok"), ("mean a", "ok"), ("swap 2", "ok")]);
    become_plugin(&engine, &mut runs, "keyvalue-draft");
    converse(&mut runs, &[("get-many a gone n", "2 none 42"), ("increment n 1", "43"), ("set b 5", "ok")]);
    converse(&mut runs, &[("exists b", "true"), ("exists c", "false"), ("delete b", "ok"), ("list", "2 a n")]);
    become_plugin(&engine, &mut runs, "script");
    converse(&mut runs, &[("scan - - 9", "a=2 n=43"), ("set below -1", "ok")]);
    become_plugin(&engine, &mut runs, "keyvalue-draft");
    let below = "error the value is below zero, which wasi:keyvalue@0.2.0-draft has no type for";
    converse(&mut runs, &[("increment below 5", below), ("get below", "-1")]);
    converse(&mut runs, &[("increment n 9223372036854775808", "error the sum leaves 63 bits"), ("get n", "43")]);
}

#[test]
fn its_writes_are_bounded_and_undone_as_the_caches_are() {
    let (_engine, mut runs) = start("keyvalue");
    converse(&mut runs, &[("set a 1", "ok"), ("mean a", "ok")]);
    let failed = runs.ask(b"set a 2\nset b 2\nincrement n 1\ndelete a\nswap 9\nreject");
    assert_eq!(failed, Err(Failure::Reject("the script says so".into())));
    converse(&mut runs, &[("list", "2 a"), ("get a", "1")]);

    let (long, longer) = ("x".repeat(200_000), "x".repeat(MIB as usize / 4 + 1));
    let too_large = format!("error the value is longer than `state.max-value` ({} bytes)", MIB / 4);
    converse(&mut runs, &[(&format!("set a {longer}"), &too_large), ("get a", "1")]);
    for key in 0..5 {
        converse(&mut runs, &[(&format!("set {key} {long}"), "ok")]);
    }
    let full = format!("error the entries of this task would pass `state.max-bytes` ({MIB} bytes)");
    converse(&mut runs, &[(&format!("set 5 {long}"), &full), ("exists 5", "false"), ("mean 5", "ok")]);
    converse(&mut runs, &[(&format!("swap {long}"), &full), ("exists 5", "false")]);
    let met: Vec<_> = runs.refusals().met().collect();
    assert_eq!(met, [(Soft::CacheBytes, 2), (Soft::ValueBytes, 1)]);
}

#[test]
fn a_component_with_either_door_keeps_state() {
    let engine = Engine::new(4, 64 * MIB).expect("an engine");
    let keeping: Vec<bool> = ["script", "keyvalue", "keyvalue-draft", "echo"]
        .map(|name| compiled(&engine, &plugin(name)).keeps_state())
        .into();
    assert_eq!(keeping, [true, true, true, false]);
}

#[test]
fn handles_without_end_are_refused() {
    for hoard in [&b"hoard open"[..], b"hoard mean"] {
        let (_engine, mut runs) = start("keyvalue");
        assert_eq!(runs.ask(hoard), Err(Failure::Handles));
    }
}

#[test]
fn a_kept_handle_sees_its_own_partition_and_a_plugin_may_change_doors_while_records_flow() {
    let topics = Topics::new(3);
    let setup = Setup::new().pipeline(topics.pipeline().stage(stage("script", r#"on-failure = "skip""#)));
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    let line = Line::of(topics, setup, host);
    for partition in 0..3 {
        assert_eq!(line.ask(partition, &format!("set k of-{partition}")), "ok");
    }
    let deploy = |component: &str, approved: &str| {
        let route = format!("/api/v1/plugins/script{approved}");
        line.host.post(&route, TOKEN, &plugin(component))
    };
    let (status, refusal) = deploy("keyvalue", "");
    assert_eq!(status, 422, "{refusal}");
    assert!(refusal.to_string().contains("wasi:keyvalue/store"), "a new import wants an approval: {refusal}");
    assert_eq!(deploy("keyvalue", "?approve=true").0, 200);
    for partition in 0..3 {
        // The first record opens the store, the others use that handle.
        assert_eq!(line.ask(partition, "exists k"), "true");
        assert_eq!(line.ask(partition, "get k\nlist"), format!("of-{partition}\n2 k"));
        line.send(partition, "key", "set k changed\nset new x\nreject");
        assert_eq!(line.ask(partition, "get k\nset k kept"), format!("of-{partition}\nok"));
    }
    assert_eq!(deploy("script", "?approve=true").0, 200);
    for partition in 0..3 {
        assert_eq!(line.ask(partition, "scan - - 9"), "k=kept");
    }
}
