use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    config.iter().fold(PluginTester::of::<Jq>(), |tester, (name, value)| tester.config(*name, *value))
}

fn values(outputs: Result<Vec<Output>, Failure>) -> Vec<String> {
    let text =
        |output: Output| output.value.map_or("tombstone".into(), |value| String::from_utf8(value).expect("text"));
    outputs.expect("outputs").into_iter().map(text).collect()
}

fn run(program: &str, value: &str) -> Vec<String> {
    values(tester(&[("program", program)]).push(Record::new("k", value).header("trace", Some(b"t"))))
}

#[test]
fn a_program_gives_none_one_or_many_outputs() {
    for (program, value, expected) in [
        (
            ".value",
            r#"{"n":1.0,"big":123456789012345678901234567890}"#,
            &[r#"{"n":1.0,"big":123456789012345678901234567890}"#][..],
        ),
        (".value.l[]", r#"{"l":[1,"x",{"b":1,"a":2}]}"#, &["1", r#""x""#, r#"{"b":1,"a":2}"#]),
        ("empty", "{}", &[]),
        (
            "select(.value.n > 3) | {n: .value.n, k: .key, h: .headers.trace}",
            r#"{"n":5}"#,
            &[r#"{"n":5,"k":"k","h":"t"}"#],
        ),
        ("[.topic, .partition, .offset, .timestamp]", "null", &[r#"["input",0,0,0]"#]),
        (".value | map(. + 1) | add", "[1,2]", &["5"]),
        (".value.a |= ascii_upcase | .value", r#"{"a":"x","b":1}"#, &[r#"{"a":"X","b":1}"#]),
        (".value | test(\"^w\")", r#""ward""#, &["true"]),
        ("nan", "{}", &["tombstone"]),
    ] {
        assert_eq!(run(program, value), expected, "{program}");
    }
}

#[test]
fn what_is_not_returned_stays_as_it_was() {
    let record = Record::new("k", r#"{"n":1}"#).at(7).header("trace", None);
    let headers = vec![Header { name: "trace".into(), value: None }];
    let expected = Output::new(b"k".to_vec(), b"1".to_vec()).with_timestamp(7).with_headers(headers);
    assert_eq!(tester(&[("program", ".value.n")]).push(record), Ok(vec![expected]));
}

#[test]
fn whole_records_are_returned_where_asked() {
    let program =
        r#"., {key: "other", value: "text", topic: "alarms", timestamp: 9, headers: {a: "x", b: null}}, {key: null}"#;
    let outputs = tester(&[("program", program), ("output", "record")]).push(Record::new("k", "{}").at(7));
    let outputs = outputs.expect("outputs");
    assert_eq!(outputs[0], Output::new(b"k".to_vec(), b"{}".to_vec()).with_timestamp(7), "as it was given");
    let headers = vec![Header { name: "a".into(), value: Some(b"x".into()) }, Header { name: "b".into(), value: None }];
    let expected = Output::new(b"other".to_vec(), b"\"text\"".to_vec()).with_timestamp(9).with_headers(headers);
    assert_eq!(outputs[1], expected.with_topic(Some("alarms".into())));
    assert_eq!(outputs[2], Output::new(None, None).with_timestamp(7));
}

#[test]
fn the_state_of_a_key_is_kept_and_forgotten() {
    let program =
        r#"($state // 0) as $n | if .value == "end" then {"$state": null} else {"$state": ($n + .value)}, $n end"#;
    let mut tester = tester(&[("program", program)]);
    for (key, value, expected) in
        [("1", "5", &["0"][..]), ("2", "7", &["0"]), ("1", "2", &["5"]), ("1", "\"end\"", &[]), ("1", "1", &["0"])]
    {
        assert_eq!(values(tester.push(Record::new(key, value))), expected);
    }
    tester.restart();
    assert_eq!(values(tester.push(Record::new("2", "1"))), ["7"]);
    assert_eq!(tester.push(Record::keyless("1")), Err(reject("`key` is missing or null")));
}

#[test]
fn a_failure_of_the_program_is_a_reject_without_quoting() {
    for (program, value, told) in [
        (".value.a", "nonsense", "the value is not JSON: see byte 0"),
        (".value | keys", "\"SECRET\"", "the program fails with this record"),
        (".value | error", "\"SECRET\"", "the program fails with this record"),
        ("halt", "{}", "the program fails with this record"),
        ("{\"$state\": 1}", "{}", "`key` is missing"),
        ("reduce range(200) as $i (1; [.])", "{}", "the program returns what is nested deeper than 128"),
        ("{(1): 2}", "{}", "an object with a name that is no text"),
    ] {
        match tester(&[("program", program)]).push(Record::new("k", value)) {
            Err(Failure::Reject(reason)) => {
                assert!(reason.contains(told) && !reason.contains("SECRET"), "{program}: {reason}")
            }
            Ok(outputs) => assert!(program.contains("$state") && outputs.is_empty(), "{program}"),
            other => panic!("{other:?}"),
        }
    }
    for (returned, told) in [
        ("5", "the program returns a number, not a record as an object"),
        ("{timestamp: \"x\"}", "the program returns text as `timestamp` of a record"),
        ("{timestamp: -1}", "the program returns a number as `timestamp` of a record"),
        ("{ward: 1}", "the program returns a record with a member that no record has"),
    ] {
        let outcome = tester(&[("program", returned), ("output", "record")]).push(Record::new("k", "{}"));
        assert_eq!(outcome, Err(reject(told)), "{returned}");
    }
}

#[test]
fn a_tombstone_is_null() {
    let mut tester = tester(&[("program", ".value")]);
    assert_eq!(tester.push(Record::tombstone("k")), Ok(vec![Output::new(b"k".to_vec(), None).with_timestamp(0)]));
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, told) in [
        (&[][..], "there is no `program`"),
        (&[("program", ".value |")], "the program is no jq at character"),
        (&[("program", "{a")], "expected closing brace"),
        (&[("program", "nosuch(1)")], "has `nosuch`, which is no filter of jq"),
        (&[("program", "$other")], "has `$other`, which is no variable of jq"),
        (&[("program", "import \"a\" as a; .")], "modules"),
        (&[("program", "."), ("output", "both")], "one of `value`, `record`"),
        (&[("filter", ".")], "unknown"),
    ] {
        let refused = tester(config).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:.0-9abt]{0,32}"#) {
        for value in [bytes, text.into_bytes()] {
            for program in [".value", ".value[]?, ($state | {\"$state\": .})"] {
                let outcome = tester(&[("program", program)]).push(Record::new(value.clone(), value.clone()));
                prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
            }
        }
    }

    #[test]
    fn the_value_comes_back_as_it_was(text in r#"\{"a":(-?[1-9][0-9]{0,30}(\.[0-9]{1,9})?|"[a-zé ]{0,5}"|\[true,null\])\}"#) {
        prop_assert_eq!(run(".value", &text), [text]);
    }
}
