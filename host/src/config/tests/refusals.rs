//! Keys and values that are missing, unknown or of another kind, each with
//! its place and its cure.

use super::*;

#[test]
fn all_problems_are_told_at_once() {
    let errors = refused(include_str!("mistakes.toml"), &[]);
    assert_eq!(errors, include_str!("mistakes.txt").trim_end());
    assert_eq!(errors.lines().count(), 9, "eight problems and their count");
}

#[test]
fn syntax_is_told_by_line_and_column() {
    let cure = "repair this first; keys and values are checked once the file is TOML";
    for (text, place, told) in [
        ("app = \"a\"\n[host\n", "2:6", "unclosed table, expected `]`"),
        ("app = \"a\"\n\napp = \"b\"\n", "3:1", "duplicate key `app`"),
        ("[host]\n[host]\n", "2:2", "duplicate key `host`"),
        ("app = \"ä\" b\n", "1:11", "unexpected key or value, expected newline, `#`"),
        ("app = a\n", "1:7", "string values must be quoted, expected literal string"),
        ("app = 5 sec\n", "1:7", "string values must be quoted, expected literal string"),
        ("app = \"a\n", "1:9", "invalid basic string, expected `\"`"),
        ("app\n", "1:4", "key with no value, expected `=`"),
        ("topics = [1,\n", "1:13", "unclosed array, expected `]`"),
    ] {
        assert_eq!(problem(text), format!("gregor.toml:{place}: this is not TOML: {told}; {cure}"));
    }
}

#[test]
fn a_missing_file_says_what_to_do() {
    let errors = Config::load(Path::new("/nowhere/gregor.toml"), [], &librdkafka).unwrap_err();
    assert_eq!(
        one_line(errors.to_string()),
        "/nowhere/gregor.toml: there is no such file; name yours with --config, or start from the \
         example in the README and check it with `gregor config check --config FILE`"
    );
}

#[test]
fn what_is_required_is_asked_for() {
    assert_eq!(
        refused("", &[]),
        "\
gregor.toml:1: app: is missing; add app = \"my-app\": it becomes the group's id
gregor.toml:1: kafka.bootstrap.servers: is missing; name at least one broker: \"bootstrap.servers\" = \"localhost:9092\"
gregor.toml:1: pipeline: is missing; add a [[pipeline]] with `name`, `source` and a [[pipeline.stage]]
3 problems in the configuration"
    );
    let text =
        "app = \"a\"\n[kafka]\n\"bootstrap.servers\" = \"\"\n\n[[pipeline]]\n\n[[pipeline]]\n\n[[pipeline.stage]]\n";
    assert_eq!(
        refused(text, &[]),
        "\
gregor.toml:3: kafka.bootstrap.servers: is empty; name at least one broker: \"bootstrap.servers\" = \"localhost:9092\"
gregor.toml:5: pipeline[0].name: is missing; add name = \"...\"
gregor.toml:5: pipeline[0].source: is missing; add source = \"...\", the topic to read
gregor.toml:5: pipeline[0].stage: is missing; add a [[pipeline.stage]] with `plugin` below the pipeline
gregor.toml:7: pipeline[1].name: is missing; add name = \"...\"
gregor.toml:7: pipeline[1].source: is missing; add source = \"...\", the topic to read
gregor.toml:9: pipeline[1].stage[0].plugin: is missing; add plugin = \"...\", its file's name without .wasm
7 problems in the configuration"
    );
}

#[test]
fn an_unknown_key_gets_the_nearest_one_or_all() {
    assert_eq!(
        problem(&with_stage("time-out = \"1s\"")),
        "gregor.toml:9: pipeline.p.stage.s.time-out: unknown key; did you mean `timeout`?"
    );
    assert_eq!(
        problem(&with_stage("on_failure = \"skip\"")),
        "gregor.toml:9: pipeline.p.stage.s.on_failure: unknown key; did you mean `on-failure`?"
    );
    assert_eq!(
        problem(&with_table("[delivery]\nxyz = 1")),
        "gregor.toml:5: delivery.xyz: unknown key; known here: guarantee, commit-interval"
    );
}

#[test]
fn a_wrong_kind_or_unit_says_what_to_write() {
    for (line, told) in [
        ("timeout = 5", "timeout: 5 has no unit; write \"5s\""),
        ("timeout = \"5 sec\"", "timeout: \"5 sec\" is not a duration; write \"5s\""),
        ("timeout = \"soon\"", "timeout: \"soon\" is not a duration; write a whole number and a unit, from 10ms to 1m"),
        ("timeout = \"1.5s\"", "timeout: \"1.5s\" is not a duration; write a whole number and a unit, from 10ms to 1m"),
        (
            "timeout = true",
            "timeout: is a boolean, not a duration in quotes; write a whole number and a unit in quotes, from 10ms to 1m",
        ),
        ("timeout = \"2m\"", "timeout: \"2m\" is out of range; write from 10ms to 1m"),
        ("timeout = \"9ms\"", "timeout: \"9ms\" is out of range; write from 10ms to 1m"),
        (
            "timeout = \"99999999999999999999s\"",
            "timeout: \"99999999999999999999s\" is out of range; write from 10ms to 1m",
        ),
        (
            "timeout = \"18446744073709551615h\"",
            "timeout: \"18446744073709551615h\" is out of range; write from 10ms to 1m",
        ),
        ("memory = 64", "memory: 64 has no unit; write \"64MiB\""),
        ("memory = \"64 Mega\"", "memory: \"64 Mega\" is not a size; write \"64MiB\""),
        ("memory = \"64MB\"", "memory: \"64MB\" is not a size; write \"64MiB\""),
        ("memory = \"64 mib\"", "memory: \"64 mib\" is not a size; write \"64MiB\""),
        ("memory = 67108864", "memory: 67108864 has no unit; write \"67108864B\""),
        ("memory = \"64kilobytes\"", "memory: \"64kilobytes\" is not a size; write \"64KiB\""),
        ("memory = \"5GiB\"", "memory: \"5GiB\" is out of range; write from 1MiB to 4GiB"),
        ("outputs = 0", "outputs: 0 is out of range; write a whole number from 1 to 100000"),
        ("outputs = -1", "outputs: -1 is out of range; write a whole number from 1 to 100000"),
        ("outputs = 5000000000", "outputs: 5000000000 is out of range; write a whole number from 1 to 100000"),
        ("outputs = 99999999999999999999", "outputs: is out of range; write a whole number from 1 to 100000"),
        (
            "outputs = \"10\"",
            "outputs: is a string, not a whole number; write a whole number from 1 to 100000, without quotes",
        ),
        (
            "outputs = 1.5",
            "outputs: is a float, not a whole number; write a whole number from 1 to 100000, without quotes",
        ),
        (
            "isolation = \"tsk\"",
            "isolation: \"tsk\" is unknown here; did you mean \"task\"? It may be \"task\" or \"record\"",
        ),
        ("capsules = 5000", "capsules: 5000 is out of range; write a whole number from 0 to 1000, or \"off\""),
        (
            "capsules = \"on\"",
            "capsules: is a string, not a whole number; write a whole number from 0 to 1000, without quotes, or \"off\"",
        ),
        (
            "log = false",
            "log: is a boolean, not a string; write \"off\" or \"error\" or \"warn\" or \"info\" or \"debug\" or \"trace\"",
        ),
        ("state = \"memory\"", "state: is a string, not a table; write its keys in a table: { key = value }"),
        (
            "state = { changelog = \"no\" }",
            "state.changelog: is a string, not a boolean; write true or false, without quotes",
        ),
        ("topics = \"a\"", "topics: is a string, not an array; write [\"first\", \"second\"]"),
        ("topics = [\"a\", 1]", "topics[1]: is an integer, not a string; write it in quotes"),
        ("config = { a = [1] }", "config.a: is an array, not a string; write a string, a number or a boolean"),
        (
            "config = { a.b = 1 }",
            "config.a: is a table, not a string; write a string, a number or a boolean, and quote a key that has dots in it",
        ),
    ] {
        assert_eq!(problem(&with_stage(line)), format!("gregor.toml:9: pipeline.p.stage.s.{told}"));
    }
}

#[test]
fn an_element_on_a_line_of_its_own_is_told_by_it() {
    let line = problem(&with_stage("topics = [\n  \"good\",\n  \"not good\",\n]"));
    assert!(line.starts_with("gregor.toml:11: pipeline.p.stage.s.topics[1]: \"not good\""), "{line}");
}

#[test]
fn single_brackets_are_told_from_double_ones() {
    let text = LEAST.replace("[[pipeline]]", "[pipeline]").replace("[[pipeline.stage]]\nplugin = \"s\"\n", "");
    assert_eq!(
        problem(&text),
        "gregor.toml:4: pipeline: is a table, not an array of tables; open each one with [[pipeline]], in two brackets"
    );
    let text = LEAST.replace("[[pipeline.stage]]", "[pipeline.stage]");
    assert_eq!(
        problem(&text),
        "gregor.toml:7: pipeline.p.stage: is a table, not an array of tables; open each one with [[pipeline.stage]], in two brackets"
    );
}
