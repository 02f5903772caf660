use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

const RULES: &str = "
    # the first that holds
    alarms: value.pulse > 140
    wards: has(value.ward)
    drop: value.pulse == 0
";

fn tester(config: &[(&str, &str)]) -> PluginTester {
    config.iter().fold(PluginTester::of::<Route>(), |tester, (name, value)| tester.config(*name, *value))
}

/// Topic and value of each output.
fn routed(config: &[(&str, &str)], value: &str) -> Result<Vec<(Option<String>, String)>, Failure> {
    let told = |output: Output| (output.topic, String::from_utf8(output.value.expect("a value")).expect("text"));
    tester(config).push(Record::new("k", value)).map(|outputs| outputs.into_iter().map(told).collect())
}

fn to(topic: Option<&str>, value: &str) -> (Option<String>, String) {
    (topic.map(str::to_owned), value.to_owned())
}

#[test]
fn the_first_rule_that_holds_decides() {
    for (value, topic) in [
        (r#"{"pulse":150,"ward":"A"}"#, Some("alarms")),
        (r#"{"pulse":60,"ward":"A"}"#, Some("wards")),
        (r#"{"pulse":60}"#, None),
    ] {
        assert_eq!(routed(&[("rules", RULES)], value), Ok(vec![to(topic, value)]));
    }
    assert_eq!(routed(&[("rules", RULES)], r#"{"pulse":0}"#), Ok(vec![]));
    let value = r#"{"pulse":60}"#;
    assert_eq!(routed(&[("rules", RULES), ("default", "rest")], value), Ok(vec![to(Some("rest"), value)]));
    assert_eq!(routed(&[("rules", RULES), ("default", "drop")], value), Ok(vec![]));
}

#[test]
fn a_list_is_split_and_each_item_routed() {
    let value = r#"{"l":[{"pulse":150},{"pulse":6.50},{"pulse":0}],"rest":1}"#;
    let expected = vec![to(Some("alarms"), r#"{"pulse":150}"#), to(None, r#"{"pulse":6.50}"#)];
    assert_eq!(routed(&[("rules", RULES), ("split", "/l")], value), Ok(expected));
    assert_eq!(routed(&[("split", "")], "[1,\"x\"]"), Ok(vec![to(None, "1"), to(None, "\"x\"")]));
    let record = Record::new("k", "[1]").at(7).header("trace", Some(b"t"));
    let headers = vec![gregor_sdk::Header { name: "trace".into(), value: Some(b"t".into()) }];
    let expected = Output::new(b"k".to_vec(), b"1".to_vec()).with_timestamp(7).with_headers(headers);
    assert_eq!(tester(&[("split", "")]).push(record), Ok(vec![expected]));
}

#[test]
fn what_cannot_be_decided_is_rejected_or_goes_where_it_is_told() {
    for (value, told) in [
        ("{}", "the expression asks for a field that is not there: use has()"),
        ("nonsense", "the value is not JSON: see byte 0"),
    ] {
        assert_eq!(routed(&[("rules", RULES)], value), Err(reject(told)));
        assert_eq!(routed(&[("rules", RULES), ("on-error", "odd")], value), Ok(vec![to(Some("odd"), value)]));
        assert_eq!(routed(&[("rules", RULES), ("on-error", "drop")], value), Ok(vec![]));
    }
    assert_eq!(routed(&[("split", "/l")], "{}"), Err(reject("`/l` is no list, and cannot be split")));
}

#[test]
fn a_tombstone_is_routed_whole() {
    let outputs = tester(&[("rules", "gone: value == null"), ("split", "/l")]).push(Record::tombstone("k"));
    let expected = Output::new(b"k".to_vec(), None).with_timestamp(0).with_topic(Some("gone".into()));
    assert_eq!(outputs, Ok(vec![expected]));
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, told) in [
        (&[][..], "neither `rules` nor `split`"),
        (&[("rules", "alarms value.n > 1")], "write it as TOPIC: CONDITION"),
        (&[("rules", "\na: true\nb: value.n >")], "line 3 of the steps: `value.n >` is no CEL expression"),
        (&[("rules", "a: ward == 'A'")], "has `ward`, which a record has not"),
        (&[("split", "l")], "`split` in the config: `l` is no JSON pointer"),
        (&[("split", "/l"), ("default", "")], "`default` in the config is empty"),
        (&[("rule", "a: true")], "unknown"),
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
            for config in [&[("rules", RULES)][..], &[("split", ""), ("rules", RULES)]] {
                let outcome = tester(config).push(Record::new(value.clone(), value.clone()));
                prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
            }
        }
    }
}
