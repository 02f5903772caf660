use std::collections::BTreeMap;

use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    config.iter().fold(PluginTester::of::<Aggregates>(), |tester, (name, value)| tester.config(*name, *value))
}

fn told(outputs: Result<Vec<Output>, Failure>) -> Vec<String> {
    let text = |output: Output| String::from_utf8(output.value.expect("a value")).expect("text");
    outputs.expect("outputs").into_iter().map(text).collect()
}

fn push(tester: &mut PluginTester, key: &str, value: &str, at: u64) -> Vec<String> {
    told(tester.push(Record::new(key, value).at(at)))
}

const ALL: &str = "
    count = count
    known = count /n
    sum = sum /n
    min = min /n
    max = max /n
    mean = mean /n
    first = first /w
    last = last /w
    wards = distinct /w
    median = quantile 0.5 /n
";

#[test]
fn every_function_is_told_of_each_window_of_each_key() {
    let mut tester = tester(&[("window", "10s"), ("aggregates", ALL)]);
    for (key, value, at) in [
        ("1", r#"{"n":1,"w":"A"}"#, 0),
        ("2", r#"{"w":"Z"}"#, 1),
        ("1", r#"{"n":2.5,"w":"B"}"#, 9_999),
        ("1", r#"{"n":4,"w":"A"}"#, 5_000),
        ("1", r#"{"n":null}"#, 5_001),
    ] {
        assert!(push(&mut tester, key, value, at).is_empty());
    }
    let outputs = tester.advance_watermark(10_000).expect("outputs");
    assert!(outputs.iter().all(|output| output.timestamp == Some(9_999)));
    assert_eq!(outputs.iter().map(|output| output.key.as_deref()).collect::<Vec<_>>(), [Some(&b"1"[..]), Some(b"2")]);
    let window = r#""windowStart":0,"windowEnd":10000"#;
    assert_eq!(
        told(Ok(outputs)),
        [
            format!(
                r#"{{{window},"count":4,"known":3,"sum":7.5,"min":1,"max":4,"mean":2.5,"first":"A","last":"B","wards":2,"median":2.5}}"#
            ),
            format!(
                r#"{{{window},"count":1,"known":0,"sum":null,"min":null,"max":null,"mean":null,"first":"Z","last":"Z","wards":1,"median":null}}"#
            ),
        ]
    );
    assert!(tester.cache().is_empty());
}

#[test]
fn sliding_windows_overlap_and_sessions_join() {
    let mut sliding = tester(&[("window", "10s"), ("slide", "5s")]);
    push(&mut sliding, "1", "", 7_000);
    let starts =
        [r#"{"windowStart":0,"windowEnd":10000,"count":1}"#, r#"{"windowStart":5000,"windowEnd":15000,"count":1}"#];
    assert_eq!(told(sliding.advance_watermark(15_000)), starts);
    let mut session = tester(&[("session", "5s"), ("aggregates", "n = sum /n\nfirst = first /n\nlast = last /n")])
        .max_out_of_orderness(Duration::from_secs(60));
    for (value, at) in [("{\"n\":1}", 1_000), ("{\"n\":4}", 9_000), ("{\"n\":2}", 5_000)] {
        assert!(push(&mut session, "1", value, at).is_empty());
    }
    let expected = r#"{"windowStart":1000,"windowEnd":14000,"n":7,"first":1,"last":4}"#;
    assert_eq!(told(session.advance_watermark(20_000)), [expected]);
}

#[test]
fn groups_are_named_where_they_are_not_the_key() {
    let mut tester = tester(&[("window", "10s"), ("by", "/ward, /sex")]);
    for (key, sex) in [("1", "f"), ("2", "m"), ("3", "f")] {
        push(&mut tester, key, &format!(r#"{{"ward":"A","sex":"{sex}"}}"#), 0);
    }
    let group = |sex: &str, count: u64| {
        format!(r#"{{"of":{{"/ward":"A","/sex":"{sex}"}},"windowStart":0,"windowEnd":10000,"count":{count}}}"#)
    };
    assert_eq!(told(tester.advance_watermark(10_000)), [group("f", 2), group("m", 1)]);
}

#[test]
fn late_records_update_or_go_to_their_topic() {
    let mut tester = tester(&[("window", "10s"), ("allowed-lateness", "5s"), ("late-topic", "late")]);
    push(&mut tester, "1", "", 0);
    assert_eq!(push(&mut tester, "2", "", 10_000).len(), 1);
    let again = push(&mut tester, "1", "", 1);
    assert_eq!(again, [r#"{"windowStart":0,"windowEnd":10000,"updated":true,"count":2}"#]);
    push(&mut tester, "2", "", 15_000);
    let late = tester.push(Record::new("1", "x").at(2));
    let expected = Output::new(b"1".to_vec(), b"x".to_vec()).with_topic(Some("late".into())).with_timestamp(2);
    assert_eq!((late, tester.count("late_records")), (Ok(vec![expected]), 1));
}

#[test]
fn with_once_a_window_is_told_when_its_lateness_is_over() {
    let mut tester = tester(&[("window", "10s"), ("allowed-lateness", "5s"), ("once", "true")]);
    for at in [0, 14_999, 1] {
        assert!(push(&mut tester, "1", "", at).is_empty());
    }
    assert_eq!(told(tester.advance_watermark(15_000)), [r#"{"windowStart":0,"windowEnd":10000,"count":2}"#]);
}

#[test]
fn a_tombstone_drops_the_open_windows_of_its_key() {
    let mut tester = tester(&[("window", "10s")]);
    push(&mut tester, "1", "", 0);
    assert_eq!(tester.push(Record::tombstone("1").at(1)), Ok(vec![Output::new(b"1".to_vec(), None).with_timestamp(1)]));
    assert!(tester.cache().is_empty());
}

#[test]
fn a_window_of_another_config_tells_only_what_it_has() {
    let mut before = tester(&[("window", "10s"), ("aggregates", "a = max /n\nb = min /n")]);
    push(&mut before, "1", r#"{"n":5,"m":9}"#, 0);
    let mut after = before.config("aggregates", "b = max /m\na = max /n");
    after.restart();
    push(&mut after, "1", r#"{"n":7,"m":9}"#, 1);
    assert_eq!(told(after.advance_watermark(10_000)), [r#"{"windowStart":0,"windowEnd":10000,"b":null,"a":7}"#]);
}

#[test]
fn numbers_past_a_double_leave_a_window_that_can_be_read() {
    let mut tester = tester(&[("window", "10s"), ("aggregates", "s = sum /n\nq = quantile 0.5 /n\nm = mean /n")]);
    for number in ["1e308", "1e308", "-1e308"].repeat(200) {
        push(&mut tester, "1", &format!("{{\"n\":{number}}}"), 0);
    }
    let told = told(tester.advance_watermark(10_000));
    assert!(told[0].contains(r#""s":null,"q":"#) && told[0].ends_with(r#""m":null}"#), "{told:?}");
}

#[test]
fn bad_input_is_rejected_and_counts_nowhere() {
    let mut tester = tester(&[("window", "10s"), ("aggregates", "n = sum /n"), ("missing", "reject")]);
    for (record, why) in [
        (Record::new("k", "nonsense"), "the value is not JSON: see byte 0"),
        (Record::new("k", r#"{"n":"SECRET"}"#), "`/n` is text, not a finite number"),
        (Record::new("k", r#"{"n":1e999}"#), "`/n` is a number, not a finite number"),
        (Record::new("k", "{}"), "`/n` is missing or null"),
        (Record::keyless(r#"{"n":1}"#), "`key` is missing or null"),
    ] {
        assert_eq!(tester.push(record), Err(reject(why)));
    }
    assert!(tester.cache().is_empty());
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, why) in [
        (&[][..], "needs `window`"),
        (&[("window", "1m"), ("session", "1m")], "needs `window`"),
        (&[("window", "0s")], "at least a millisecond"),
        (&[("window", "1m"), ("slide", "2m")], "leaves gaps"),
        (&[("window", "1m"), ("aggregates", "count")], "line 1 of the steps: write it as NAME = FUNCTION"),
        (&[("window", "1m"), ("aggregates", "a = median /n")], "`median /n` is no function"),
        (&[("window", "1m"), ("aggregates", "a = quantile 95 /n")], "a share from 0 to 1"),
        (&[("window", "1m"), ("aggregates", "of = count")], "the name `of` is taken"),
        (&[("window", "1m"), ("aggregates", "a = sum n")], "write `/n`"),
        (&[("window", "1m"), ("once", "yes")], "true or false"),
        (&[("windows", "1m")], "unknown"),
    ] {
        let refused = tester(config).init().expect_err("refused");
        assert!(refused.contains(why), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() })]

    #[test]
    fn windows_equal_an_oracle(records in prop::collection::vec((0..4_u8, -50..50_i32, 0..60_000_u64), 1..150)) {
        let mut tester = tester(&[("window", "10s"), ("aggregates", "n = count\ns = sum /n\nlo = min /n\nhi = max /n\nd = distinct /n")])
            .max_out_of_orderness(Duration::from_secs(60));
        let mut windows = BTreeMap::<(u64, String), Vec<i32>>::new();
        for (key, number, at) in records {
            push(&mut tester, &key.to_string(), &format!("{{\"n\":{number}}}"), at);
            windows.entry((at / 10_000 * 10_000, key.to_string())).or_default().push(number);
        }
        let expected: Vec<String> = windows.into_iter().map(|((start, _), mut numbers)| {
            let (count, sum) = (numbers.len(), numbers.iter().sum::<i32>());
            numbers.sort_unstable();
            let (low, high) = (numbers[0], numbers[count - 1]);
            numbers.dedup();
            let distinct = numbers.len();
            let end = start + 10_000;
            format!(r#"{{"windowStart":{start},"windowEnd":{end},"n":{count},"s":{sum},"lo":{low},"hi":{high},"d":{distinct}}}"#)
        }).collect();
        prop_assert_eq!(told(tester.advance_watermark(u64::MAX / 4)), expected);
        prop_assert!(tester.cache().is_empty());
    }

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), at: u64) {
        for config in [&[("window", "1m"), ("aggregates", ALL)][..], &[("session", "1m")]] {
            let outcome = tester(config).push(Record::new(bytes.clone(), bytes.clone()).at(at));
            prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
        }
    }
}
