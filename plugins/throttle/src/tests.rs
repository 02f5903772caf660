use std::collections::BTreeMap;

use gregor_sdk::reject;
use gregor_sdk::testing::{PluginTester, Record};
use proptest::prelude::*;

use super::*;

fn tester(config: &[(&str, &str)]) -> PluginTester {
    config.iter().fold(PluginTester::of::<Throttle>(), |tester, (name, value)| tester.config(*name, *value))
}

fn values(outputs: Result<Vec<Output>, Failure>) -> Vec<String> {
    let text = |output: Output| String::from_utf8(output.value.expect("a value")).expect("text");
    outputs.expect("outputs").into_iter().map(text).collect()
}

fn push(tester: &mut PluginTester, key: &str, value: &str, at: u64) -> Vec<String> {
    values(tester.push(Record::new(key, value).at(at)))
}

fn wait(tester: &mut PluginTester, millis: u64) -> Vec<String> {
    values(tester.advance_clock(Duration::from_millis(millis)))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_first_of_each_window_and_key_pass() {
    let mut tester = tester(&[("per", "10s"), ("at-most", "2")]);
    let told: Vec<_> = ["a", "b", "c"].into_iter().flat_map(|value| push(&mut tester, "1", value, 0)).collect();
    assert_eq!(told, ["a", "b"]);
    assert_eq!(push(&mut tester, "2", "d", 0), ["d"]);
    assert!(wait(&mut tester, 10_000).is_empty());
    assert!(tester.cache().is_empty(), "what is over is forgotten");
    assert_eq!(push(&mut tester, "1", "e", 0), ["e"]);
    assert_eq!(tester.count("throttled_records"), 1);
}

#[test]
fn the_last_of_each_window_pass_when_it_is_over() {
    let mut tester = tester(&[("per", "10s"), ("at-most", "2"), ("keep", "last")]);
    for value in ["a", "b", "c"] {
        assert!(push(&mut tester, "1", value, 7).is_empty());
    }
    let outputs = tester.advance_clock(seconds(10)).expect("outputs");
    assert!(outputs.iter().all(|output| output.timestamp == Some(7)));
    assert_eq!(values(Ok(outputs)), ["b", "c"]);
    assert!(tester.cache().is_empty() && tester.timers(Domain::ProcessingTime).is_empty());
}

#[test]
fn a_sample_is_of_all_and_the_same_again() {
    let sample = || {
        let mut tester = tester(&[("per", "1h"), ("at-most", "10"), ("keep", "sample")]);
        for value in 0..1_000 {
            assert!(push(&mut tester, "1", &value.to_string(), 0).is_empty());
        }
        let told = wait(&mut tester, 3_600_000);
        told.into_iter().map(|value| value.parse().expect("a number")).collect::<Vec<u64>>()
    };
    let first = sample();
    assert_eq!((first.len(), first.is_sorted()), (10, true));
    assert!(first[0] < 500 && first[9] >= 500, "from both halves: {first:?}");
    assert_eq!(sample(), first);
}

#[test]
fn by_event_time_each_record_counts_in_its_own_window() {
    let mut tester = tester(&[("per", "10s"), ("time", "event")]).max_out_of_orderness(seconds(20));
    assert_eq!(push(&mut tester, "1", "a", 10_000), ["a"]);
    assert_eq!(push(&mut tester, "1", "b", 25_000), ["b"]);
    assert!(push(&mut tester, "1", "c", 19_999).is_empty());
    assert_eq!(push(&mut tester, "1", "d", 5_000), ["d"], "that window was empty");
    assert!(values(tester.advance_watermark(20_000)).is_empty());
    assert!(push(&mut tester, "1", "e", 9_000).is_empty());
    assert_eq!((tester.count("late_records"), tester.count("throttled_records")), (1, 1));
    values(tester.advance_watermark(30_000));
    assert!(tester.cache().is_empty());
}

#[test]
fn a_burst_gives_its_last_record_once_it_is_quiet() {
    let mut tester = tester(&[("per", "10s"), ("keep", "debounce")]);
    for value in ["a", "b", "c"] {
        assert!(push(&mut tester, "1", value, 0).is_empty());
        assert!(wait(&mut tester, 6_000).is_empty());
    }
    assert_eq!(wait(&mut tester, 4_000), ["c"]);
    assert!(wait(&mut tester, 100_000).is_empty());
    assert!(tester.cache().is_empty());
}

#[test]
fn a_burst_that_does_not_end_gives_a_record_after_max_wait() {
    let mut tester = tester(&[("per", "10s"), ("keep", "debounce"), ("max-wait", "15s")]);
    for value in ["a", "b", "c"] {
        assert!(push(&mut tester, "1", value, 0).is_empty());
        assert_eq!(wait(&mut tester, 5_000), if value == "c" { vec!["c"] } else { vec![] });
    }
}

#[test]
fn bursts_by_event_time_end_at_the_gap_between_timestamps() {
    let mut tester =
        tester(&[("per", "10s"), ("keep", "debounce"), ("time", "event")]).max_out_of_orderness(seconds(60));
    for (value, at) in [("a", 100_000), ("c", 108_000), ("b", 104_000)] {
        assert!(push(&mut tester, "1", value, at).is_empty());
    }
    assert_eq!(push(&mut tester, "1", "next", 118_000), ["c"]);
    assert_eq!(values(tester.advance_watermark(128_000)), ["next"]);
}

#[test]
fn records_without_a_key_share_a_limit_of_their_own() {
    let mut tester = tester(&[("per", "10s")]);
    assert_eq!(values(tester.push(Record::keyless("a"))), ["a"]);
    assert!(values(tester.push(Record::keyless("b"))).is_empty());
    assert_eq!(push(&mut tester, "", "c", 0), ["c"]);
    assert_eq!(push(&mut tester, "#null", "d", 0), ["d"]);
}

#[test]
fn what_is_held_goes_out_after_a_change_of_config() {
    let mut before = tester(&[("per", "10s"), ("keep", "last")]);
    assert!(push(&mut before, "1", "a", 0).is_empty());
    let mut after = before.config("keep", "debounce");
    after.restart();
    assert_eq!(wait(&mut after, 10_000), ["a"]);
    let mut before = tester(&[("per", "10s"), ("keep", "debounce")]);
    assert!(push(&mut before, "1", "a", 0).is_empty());
    let mut after = before.config("keep", "first");
    after.restart();
    assert_eq!(wait(&mut after, 10_000), ["a"]);
}

#[test]
fn bad_input_is_rejected_and_changes_nothing() {
    let mut tester = tester(&[("per", "10s"), ("by", "/ward")]);
    for (record, told) in [
        (Record::new("k", "nonsense"), "the value is not JSON: see byte 0"),
        (Record::new("k", "[]"), "`/ward` is missing or null"),
        (Record::tombstone("k"), "`/ward` is missing or null"),
    ] {
        assert_eq!(tester.push(record), Err(reject(told)));
    }
    assert!(tester.cache().is_empty());
}

#[test]
fn a_config_that_cannot_work_is_refused_at_start() {
    for (config, told) in [
        (&[][..], "there is no `per` in the config: add"),
        (&[("per", "0s")], "longer than nothing"),
        (&[("per", "1m"), ("at-most", "0")], "1 or more"),
        (&[("per", "1m"), ("at-most", "101"), ("keep", "last")], "100 or less"),
        (&[("per", "1m"), ("at-most", "2"), ("keep", "debounce")], "no meaning"),
        (&[("per", "1m"), ("max-wait", "2m")], "for `keep = \"debounce\"` only"),
        (&[("per", "1m"), ("keep", "some")], "one of `first`, `last`, `sample`, `debounce`"),
        (&[("per", "1m"), ("by", "ward")], "`by` in the config"),
        (&[("per", "1m"), ("rate", "2")], "unknown"),
    ] {
        let refused = tester(config).init().expect_err("refused");
        assert!(refused.contains(told), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    /// The first two, or the last two, of each key's records in every three seconds.
    #[test]
    fn what_passes_equals_an_oracle(
        steps in prop::collection::vec((0..4_u8, 0..2_000_u64), 1..200),
        last: bool,
        event: bool,
    ) {
        let mut tester = tester(&[
            ("per", "3s"),
            ("at-most", "2"),
            ("keep", if last { "last" } else { "first" }),
            ("time", if event { "event" } else { "processing" }),
        ]);
        let mut windows = BTreeMap::<(u64, u8), Vec<String>>::new();
        let (mut now, mut told) = (0, vec![]);
        for (number, (key, pause)) in steps.into_iter().enumerate() {
            now += pause;
            told.extend(values(tester.set_clock(now)));
            told.extend(push(&mut tester, &key.to_string(), &number.to_string(), now));
            windows.entry((now / 3_000, key)).or_default().push(number.to_string());
        }
        told.extend(wait(&mut tester, 3_000));
        told.extend(values(tester.advance_watermark(now + 3_000)));
        let passes = |window: Vec<String>| {
            let from = if last { window.len().saturating_sub(2) } else { 0 };
            window.into_iter().skip(from).take(2).collect::<Vec<_>>()
        };
        let mut expected: Vec<String> = windows.into_values().flat_map(passes).collect();
        told.sort();
        expected.sort();
        prop_assert_eq!(told, expected);
        prop_assert!(tester.cache().is_empty());
    }

    #[test]
    fn any_bytes_pass_or_are_rejected(bytes in prop::collection::vec(any::<u8>(), 0..64), at: u64) {
        for by in ["value", "key, /a"] {
            for keep in ["first", "last", "sample", "debounce"] {
                let mut tester = tester(&[("by", by), ("keep", keep), ("per", "1m"), ("time", "event")]);
                let outcome = tester.push(Record::new(bytes.clone(), bytes.clone()).at(at));
                prop_assert!(!matches!(outcome, Err(Failure::Retry(_))));
            }
        }
    }
}
