use gregor_sdk::testing::{PluginTester, Record};
use gregor_sdk::{Header, reject};
use proptest::prelude::*;

use super::*;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    config.iter().fold(PluginTester::of::<Changes>(), |tester, (name, value)| tester.config(*name, *value))
}

fn push(tester: &mut PluginTester, key: &str, value: &str) -> Vec<String> {
    let text = |output: Output| String::from_utf8(output.value.expect("a value")).expect("text");
    tester.push(Record::new(key, value)).expect("outputs").into_iter().map(text).collect()
}

#[test]
fn a_change_is_told_with_old_and_new() {
    let mut tester = tester(&[("fields", "/ward, /bed")]);
    let told = push(&mut tester, "1", r#"{"ward":"A","bed":1,"pulse":60}"#);
    assert_eq!(told, [r#"{"changes":[{"field":"/ward","new":"A"},{"field":"/bed","new":1}]}"#]);
    assert!(push(&mut tester, "1", r#"{"ward":"A","bed":1.0,"pulse":61}"#).is_empty());
    let told = push(&mut tester, "1", r#"{"ward":"B","bed":1}"#);
    assert_eq!(told, [r#"{"changes":[{"field":"/ward","old":"A","new":"B"}]}"#]);
}

#[test]
fn a_field_that_comes_or_goes_has_changed() {
    let mut tester = tester(&[("fields", "/ward"), ("first", "skip")]);
    assert!(push(&mut tester, "1", "{}").is_empty());
    assert_eq!(push(&mut tester, "1", r#"{"ward":null}"#), [r#"{"changes":[{"field":"/ward","new":null}]}"#]);
    assert_eq!(push(&mut tester, "1", "{}"), [r#"{"changes":[{"field":"/ward","old":null}]}"#]);
}

#[test]
fn keys_are_apart() {
    let mut tester = tester(&[("fields", "/w"), ("first", "skip")]);
    assert!(push(&mut tester, "1", r#"{"w":1}"#).is_empty());
    assert!(push(&mut tester, "2", r#"{"w":2}"#).is_empty());
    assert!(push(&mut tester, "1", r#"{"w":1}"#).is_empty());
}

#[test]
fn small_changes_of_numbers_add_up() {
    let mut tester = tester(&[("fields", "/t"), ("tolerance", "0.5")]);
    assert_eq!(push(&mut tester, "1", r#"{"t":37.0}"#).len(), 1);
    assert!(push(&mut tester, "1", r#"{"t":37.3}"#).is_empty());
    let told = push(&mut tester, "1", r#"{"t":37.6}"#);
    assert_eq!(told, [r#"{"changes":[{"field":"/t","old":37.0,"new":37.6}]}"#], "from what was told last");
}

#[test]
fn the_record_itself_is_passed_where_asked() {
    let mut tester = tester(&[("fields", "value"), ("emit", "record")]);
    let record = || Record::new("1", r#"{ "w": 1.00 }"#).at(9).header("trace", Some(b"t"));
    let headers = vec![Header { name: "trace".into(), value: Some(b"t".into()) }];
    let expected = Output::new(b"1".to_vec(), br#"{ "w": 1.00 }"#.to_vec()).with_timestamp(9).with_headers(headers);
    assert_eq!(tester.push(record()), Ok(vec![expected]));
    assert_eq!(tester.push(record()), Ok(vec![]));
}

#[test]
fn a_tombstone_forgets_its_key_and_is_passed_on() {
    let mut tester = tester(&[("fields", "/w")]);
    push(&mut tester, "1", r#"{"w":1}"#);
    assert_eq!(tester.push(Record::tombstone("1")), Ok(vec![Output::new(b"1".to_vec(), None).with_timestamp(0)]));
    assert!(tester.cache().is_empty());
    assert_eq!(push(&mut tester, "1", r#"{"w":1}"#).len(), 1, "new again");
}

#[test]
fn numbers_of_many_digits_are_compared_as_written() {
    let mut tester = tester(&[("fields", "/n")]);
    assert_eq!(push(&mut tester, "1", r#"{"n":9007199254740993}"#).len(), 1);
    let told = push(&mut tester, "1", r#"{"n":9007199254740992}"#);
    assert_eq!(told, [r#"{"changes":[{"field":"/n","old":9007199254740993,"new":9007199254740992}]}"#]);
}

#[test]
fn bad_input_is_rejected_and_changes_nothing() {
    let mut tester = tester(&[("fields", "/w"), ("by", "/id")]);
    for (record, told) in [
        (Record::new("k", "nonsense"), "the value is not JSON: see byte 0"),
        (Record::new("k", r#"{"w":1}"#), "`/id` is missing or null"),
        (Record::tombstone("k"), "a tombstone has no JSON value"),
    ] {
        assert_eq!(tester.push(record), Err(reject(told)));
    }
    assert!(tester.cache().is_empty());
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, told) in [
        (&[][..], "there are no `fields`"),
        (&[("fields", "ward")], "write `/ward`"),
        (&[("fields", "/a,")], "an empty item"),
        (&[("fields", "/a"), ("tolerance", "-1")], "0 or more"),
        (&[("fields", "/a"), ("tolerance", "NaN")], "0 or more"),
        (&[("fields", "/a"), ("emit", "both")], "one of `change`, `record`"),
        (&[("fields", "/a"), ("first", "no")], "one of `emit`, `skip`"),
        (&[("fields", "/a"), ("by", "id")], "`by` in the config"),
        (&[("field", "/a")], "unknown"),
    ] {
        let refused = tester(config).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:0-9ae]{0,24}"#) {
        for value in [bytes, text.into_bytes()] {
            let mut tester = tester(&[("fields", "/a, value")]);
            for _ in 0..2 {
                let outcome = tester.push(Record::new("k", value.clone()));
                prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
            }
        }
    }
}
