use gregor_sdk::reject;
use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    config.iter().fold(PluginTester::of::<Filter>(), |tester, (name, value)| tester.config(*name, *value))
}

fn passes(config: &[(&str, &str)], value: &str) -> Result<bool, Failure> {
    tester(config).push(Record::new("k", value)).map(|outputs| !outputs.is_empty())
}

#[test]
fn records_are_kept_or_dropped_as_they_came() {
    let (yes, no) = (r#"{ "ward": "A", "n": 1.00 }"#, r#"{"ward":"B"}"#);
    let keep = [("keep", "value.ward == 'A'")];
    let record = Record::new("k", yes).at(7).header("trace", None);
    let headers = vec![gregor_sdk::Header { name: "trace".into(), value: None }];
    let expected = Output::new(b"k".to_vec(), yes.as_bytes().to_vec()).with_timestamp(7).with_headers(headers);
    assert_eq!(tester(&keep).push(record), Ok(vec![expected]));
    assert_eq!(passes(&keep, no), Ok(false));
    let drop = [("drop", "value.ward == 'A'")];
    assert_eq!((passes(&drop, yes), passes(&drop, no)), (Ok(false), Ok(true)));
}

#[test]
fn what_cannot_be_decided_is_rejected_kept_or_dropped() {
    for (value, told) in [
        ("{}", "the expression asks for a field that is not there: use has()"),
        ("nonsense", "the value is not JSON: see byte 0"),
    ] {
        for name in ["keep", "drop"] {
            assert_eq!(passes(&[(name, "value.n > 1")], value), Err(reject(told)));
            assert_eq!(passes(&[(name, "value.n > 1"), ("on-error", "keep")], value), Ok(true));
            assert_eq!(passes(&[(name, "value.n > 1"), ("on-error", "drop")], value), Ok(false));
        }
    }
}

#[test]
fn tombstones_are_decided_like_any_record() {
    let mut keeps = tester(&[("keep", "value == null || value.n > 1")]);
    assert_eq!(keeps.push(Record::tombstone("k")), Ok(vec![Output::new(b"k".to_vec(), None).with_timestamp(0)]));
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, told) in [
        (&[][..], "either `keep` or `drop`"),
        (&[("keep", "true"), ("drop", "false")], "either `keep` or `drop`"),
        (&[("keep", "value.n >")], "no CEL expression"),
        (&[("keep", "ward == 'A'")], "has `ward`, which a record has not"),
        (&[("keep", "true"), ("on-error", "skip")], "one of `reject`, `keep`, `drop`"),
        (&[("when", "true")], "unknown"),
    ] {
        let refused = tester(config).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let outcome = tester(&[("keep", "value.a > 1 && key != ''")]).push(Record::new(bytes.clone(), bytes));
        prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
    }
}
