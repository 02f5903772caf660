use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

const SCHEMA: &str = r##"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["patientId", "pulse"],
    "properties": {
        "patientId": {"type": ["string", "integer"], "minLength": 1},
        "pulse": {"$ref": "#/$defs/rate"},
        "born": {"type": "string", "format": "date"},
        "ward": {"type": "string", "pattern": "^[A-C]$"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2}
    },
    "patternProperties": {"^x-": {"type": "integer"}},
    "$defs": {"rate": {"type": "number", "minimum": 0, "maximum": 400}}
}"##;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    let tester = PluginTester::of::<Validate>().config("schema", SCHEMA);
    config.iter().fold(tester, |tester, (name, value)| tester.config(*name, *value))
}

fn checked(value: &str) -> Result<Vec<Output>, Failure> {
    tester(&[]).push(Record::new("k", value))
}

#[test]
fn a_valid_record_passes_as_it_came() {
    let value = r#"{ "patientId": 7, "pulse": 60.50, "born": "1970-12-31", "ward": "A", "other": 1e999 }"#;
    let expected = Output::new(b"k".to_vec(), value.as_bytes().to_vec()).with_timestamp(0);
    assert_eq!(checked(value), Ok(vec![expected]));
}

#[test]
fn a_breach_is_rejected_with_its_place_and_not_quoted() {
    for (value, told) in [
        (r#"{"pulse":60}"#, "the value breaks `/required` of the schema"),
        (r#"{"patientId":"","pulse":60}"#, "`/patientId` breaks `/properties/patientId/minLength` of the schema"),
        (r#"{"patientId":1,"pulse":401}"#, "`/pulse` breaks `/$defs/rate/maximum` of the schema"),
        (r#"{"patientId":1,"pulse":1e999}"#, "`/pulse` breaks `/$defs/rate/maximum` of the schema"),
        (r#"{"patientId":1,"pulse":"SECRET"}"#, "`/pulse` breaks `/$defs/rate/type` of the schema"),
        (r#"{"patientId":1,"pulse":1,"born":"SECRET"}"#, "`/born` breaks `/properties/born/format` of the schema"),
        (r#"{"patientId":1,"pulse":1,"ward":"SECRET"}"#, "`/ward` breaks `/properties/ward/pattern` of the schema"),
        (r#"{"patientId":1,"pulse":1,"tags":["a",1]}"#, "`/tags/1` breaks `/properties/tags/items/type` of the schema"),
        (r#"{"patientId":1,"pulse":1,"x-SECRET":"a"}"#, "`/*` breaks `/patternProperties/^x-/type` of the schema"),
        ("SECRET", "the value is not JSON: see byte 0"),
        ("", "the value is not JSON: see byte 0"),
        (r#"{"pulse":1,"pulse":2}"#, "an object has a member twice: see byte 11"),
    ] {
        assert_eq!(checked(value), Err(reject(told)), "{value}");
    }
}

#[test]
fn an_invalid_record_is_annotated_or_routed() {
    let record = || Record::new("k", r#"{"patientId":1,"pulse":"x","ward":"D"}"#).at(7).header("trace", Some(b"t"));
    for (config, topic) in
        [(&[("invalid", "annotate")][..], None), (&[("invalid", "route"), ("topic", "bad")], Some("bad"))]
    {
        let mut tester = tester(config);
        let outputs = tester.push(record()).expect("an output");
        let [output] = &outputs[..] else { panic!("{} outputs", outputs.len()) };
        assert_eq!((output.topic.as_deref(), output.timestamp, output.headers.len()), (topic, Some(7), 2));
        let told = String::from_utf8(output.headers[1].value.clone().expect("a value")).expect("text");
        assert_eq!(output.headers[1].name, "schema-error");
        assert!(
            told.contains("`/pulse` breaks `/$defs/rate/type` of the schema") && told.contains("`/ward` breaks"),
            "{told}"
        );
        assert_eq!(tester.count("invalid_records"), 1);
        assert_eq!(tester.push(Record::new("k", "nonsense")).expect("an output")[0].topic.as_deref(), topic);
    }
}

#[test]
fn a_tombstone_passes_or_is_rejected() {
    let expected = Output::new(b"k".to_vec(), None).with_timestamp(0);
    assert_eq!(tester(&[]).push(Record::tombstone("k")), Ok(vec![expected]));
    let refused = tester(&[("tombstones", "reject")]).push(Record::tombstone("k"));
    assert_eq!(refused, Err(reject("a tombstone has no JSON value")));
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, told) in [
        (&[("schema", "{")][..], "`schema` in the config: the value is not JSON"),
        (&[("schema", r#"{"type":"text"}"#)], "no JSON Schema that can be used"),
        (&[("schema", r#"{"pattern":"(?=a)"}"#)], "no JSON Schema that can be used"),
        (&[("schema", r#"{"$ref":"https://example.org/x"}"#)], "no JSON Schema that can be used"),
        (&[("invalid", "drop")], "one of `reject`, `annotate`, `route`"),
        (&[("invalid", "route")], "needs a `topic`"),
        (&[("topic", "bad")], "needs `invalid = \"route\"`"),
        (&[("schemas", "{}")], "unknown"),
    ] {
        let refused = tester(config).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
    assert!(PluginTester::of::<Validate>().init().expect_err("refused").contains("there is no `schema`"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:.0-9abt]{0,32}"#) {
        for value in [bytes, text.into_bytes()] {
            let outcome = tester(&[]).push(Record::new("k", value));
            prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
        }
    }
}
