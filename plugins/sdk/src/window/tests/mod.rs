mod aggregates;
mod properties;

use std::time::Duration;

use super::*;
use crate::testing::{PluginTester, Record};
use crate::{Input, Output, Plugin, Timed};

/// Puts a number into the windows that the config asks for; tells each window as
/// `start-end=count/sum`, with `+` where it is an update.
struct Summed;

type Sums = Windows<(Count, Sum)>;

fn windows() -> Result<Sums, Failure> {
    let number =
        |name| crate::config::get(name).map(|text| text.and_then(|text| text.parse().ok()).map(Duration::from_millis));
    let length = number("length")?.unwrap_or(Duration::from_millis(10));
    let windows = match (number("slide")?, number("gap")?) {
        (Some(slide), _) => Windows::sliding("sums", length, slide)?,
        (_, Some(gap)) => Windows::session("sums", gap)?,
        _ => Windows::tumbling("sums", length)?,
    };
    let windows = windows.allowed_lateness(number("lateness")?.unwrap_or_default());
    Ok(if number("once")?.is_some() { windows.once() } else { windows })
}

fn told(results: Vec<Window<(u64, f64)>>) -> Vec<Output> {
    let told = |Window { key, start, end, updated, result: (count, sum) }| {
        let update = if updated { "+" } else { "" };
        Output::new(key.into_bytes(), format!("{start}-{end}={count}/{sum}{update}").into_bytes())
    };
    results.into_iter().map(told).collect()
}

impl Plugin for Summed {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        match windows()?.add(record.key_text()?, record.timestamp, ((), record.json()?))? {
            Added::Counted(results) => Ok(told(results)),
            Added::Late => Ok(vec![record.forward().with_topic(Some("late".into()))]),
        }
    }
}

impl Timed for Summed {
    fn on_timer(domain: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        Ok(told(windows()?.on_timer(domain, &name, at)?))
    }
}

crate::export!(Summed: Timed);

fn tester(config: &[(&str, u64)], max_out_of_orderness: u64) -> PluginTester {
    let tester = PluginTester::of::<Summed>().max_out_of_orderness(Duration::from_millis(max_out_of_orderness));
    config.iter().fold(tester, |tester, (name, value)| tester.config(*name, value.to_string()))
}

/// What comes of a record of value 1, as `key:result`; a late one as `late`.
fn push(tester: &mut PluginTester, key: &str, at: u64) -> Vec<String> {
    texts(tester.push(Record::new(key, "1").at(at)))
}

fn texts(outputs: Result<Vec<Output>, Failure>) -> Vec<String> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.expect("bytes")).expect("UTF-8");
    let told = |output: Output| match output.topic {
        Some(topic) => topic,
        None => format!("{}:{}", text(output.key), text(output.value)),
    };
    outputs.expect("outputs").into_iter().map(told).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_tumbling_window_is_told_once_the_watermark_reaches_its_end() {
    let mut tester = tester(&[], 0);
    assert_eq!(push(&mut tester, "a", 0), NOTHING);
    assert_eq!(push(&mut tester, "a", 9), NOTHING);
    assert_eq!(push(&mut tester, "a", 10), ["a:0-10=2/2"], "its end is not in it");
    assert_eq!(texts(tester.advance_watermark(19)), NOTHING);
    assert_eq!(texts(tester.advance_watermark(20)), ["a:10-20=1/1"]);
}

#[test]
fn windows_start_at_multiples_of_their_length_since_the_epoch() {
    let mut tester = tester(&[("length", 7)], 0);
    assert_eq!(push(&mut tester, "a", 1_700_000_000_003), NOTHING);
    let start = 1_700_000_000_003_u64 / 7 * 7;
    assert_eq!(texts(tester.advance_watermark(u64::MAX)), [format!("a:{start}-{}=1/1", start + 7)]);
}

#[test]
fn results_come_by_end_and_then_by_key() {
    let mut tester = tester(&[], 100);
    for (key, at) in [("b", 12), ("c", 2), ("a", 25), ("a", 3), ("b", 4)] {
        assert_eq!(push(&mut tester, key, at), NOTHING);
    }
    let expected = ["a:0-10=1/1", "b:0-10=1/1", "c:0-10=1/1", "b:10-20=1/1", "a:20-30=1/1"];
    assert_eq!(texts(tester.advance_watermark(30)), expected);
}

#[test]
fn nothing_is_left_of_a_key_whose_windows_are_closed() {
    let mut tester = tester(&[("lateness", 5)], 0);
    push(&mut tester, "a", 3);
    texts(tester.advance_watermark(10));
    assert_eq!((tester.cache().len(), tester.timers(Domain::EventTime).len()), (1, 1), "kept for late records");
    texts(tester.advance_watermark(15));
    assert_eq!((tester.cache().len(), tester.timers(Domain::EventTime).len()), (0, 0));
}

#[test]
fn a_record_is_late_once_the_watermark_has_passed_its_window() {
    let mut tester = tester(&[], 5);
    push(&mut tester, "a", 14);
    assert_eq!(push(&mut tester, "a", 9), NOTHING, "the watermark is 9");
    assert_eq!(push(&mut tester, "b", 15), ["a:0-10=1/1"]);
    assert_eq!(push(&mut tester, "a", 9), ["late"]);
}

#[test]
fn within_the_allowed_lateness_each_late_record_gives_the_result_again() {
    let mut tester = tester(&[("lateness", 5)], 0);
    push(&mut tester, "a", 5);
    assert_eq!(push(&mut tester, "x", 10), ["a:0-10=1/1"]);
    assert_eq!(push(&mut tester, "a", 6), ["a:0-10=2/2+"]);
    assert_eq!(push(&mut tester, "b", 7), ["b:0-10=1/1"], "the first of its window, and late");
    assert_eq!(push(&mut tester, "x", 14), NOTHING);
    assert_eq!(push(&mut tester, "b", 8), ["b:0-10=2/2+"]);
    assert_eq!(push(&mut tester, "x", 15), NOTHING);
    assert_eq!(push(&mut tester, "b", 9), ["late"]);
}

#[test]
fn once_gives_one_result_when_the_lateness_is_over() {
    let mut tester = tester(&[("lateness", 5), ("once", 1)], 0);
    push(&mut tester, "a", 5);
    assert_eq!(push(&mut tester, "x", 12), NOTHING);
    assert_eq!(push(&mut tester, "a", 6), NOTHING);
    assert_eq!(push(&mut tester, "x", 15), ["a:0-10=2/2"]);
    assert_eq!(push(&mut tester, "a", 7), ["late"]);
}

#[test]
fn a_record_is_in_every_sliding_window_that_holds_it() {
    let mut tester = tester(&[("slide", 4)], 0);
    push(&mut tester, "a", 9);
    push(&mut tester, "a", 12);
    let all = ["a:0-10=1/1", "a:4-14=2/2", "a:8-18=2/2", "a:12-22=1/1"];
    assert_eq!(texts(tester.advance_watermark(14)), all[1..2], "the first came with the record at 12");
    assert_eq!(texts(tester.advance_watermark(99)), all[2..]);
}

#[test]
fn a_record_that_is_late_for_some_sliding_windows_counts_in_the_others() {
    let mut tester = tester(&[("slide", 5)], 0);
    push(&mut tester, "x", 12);
    assert_eq!(push(&mut tester, "a", 7), NOTHING);
    assert_eq!(texts(tester.advance_watermark(15)), ["a:5-15=1/1", "x:5-15=1/1"]);
    assert_eq!(push(&mut tester, "a", 4), ["late"]);
}

#[test]
fn a_session_ends_its_gap_after_its_last_record() {
    let mut tester = tester(&[("gap", 10)], 0);
    push(&mut tester, "a", 3);
    push(&mut tester, "a", 8);
    assert_eq!(texts(tester.advance_watermark(17)), NOTHING);
    assert_eq!(texts(tester.advance_watermark(18)), ["a:3-18=2/2"]);
    assert_eq!((tester.cache().len(), tester.timers(Domain::EventTime).len()), (0, 0));
}

#[test]
fn a_record_between_two_sessions_makes_them_one() {
    let mut tester = tester(&[("gap", 10)], 100);
    push(&mut tester, "a", 0);
    push(&mut tester, "a", 20);
    push(&mut tester, "a", 50);
    push(&mut tester, "a", 10);
    assert_eq!(texts(tester.advance_watermark(1_000)), ["a:0-30=3/3", "a:50-60=1/1"], "exactly a gap apart is one");
}

#[test]
fn records_more_than_a_gap_apart_are_two_sessions() {
    let mut tester = tester(&[("gap", 10)], 100);
    push(&mut tester, "a", 0);
    push(&mut tester, "a", 11);
    assert_eq!(texts(tester.advance_watermark(1_000)), ["a:0-10=1/1", "a:11-21=1/1"]);
}

#[test]
fn a_late_record_makes_a_session_grow_and_it_is_told_with_its_new_bounds() {
    let mut tester = tester(&[("gap", 10), ("lateness", 20)], 0);
    push(&mut tester, "a", 100);
    assert_eq!(push(&mut tester, "x", 115), ["a:100-110=1/1"]);
    assert_eq!(push(&mut tester, "a", 100), ["a:100-110=2/2+"], "the same bounds");
    assert_eq!(push(&mut tester, "a", 95), ["a:95-110=3/3"], "earlier");
    assert_eq!(push(&mut tester, "a", 109), NOTHING, "later: it ends at 119 now");
    assert_eq!(texts(tester.advance_watermark(119)), ["a:95-119=4/4"]);
    assert_eq!(push(&mut tester, "a", 70), ["late"], "its own session would have closed at 100");
}

#[test]
fn a_record_that_fails_is_in_no_window() {
    let mut tester = tester(&[], 0);
    push(&mut tester, "a", 1);
    assert!(tester.push(Record::new("a", "no number").at(2)).is_err());
    assert_eq!(texts(tester.advance_watermark(10)), ["a:0-10=1/1"]);
}

#[test]
fn a_key_that_makes_no_timers_name_is_rejected() {
    let mut tester = tester(&[], 0);
    assert_eq!(push(&mut tester, &"k".repeat(251), 1), NOTHING);
    let Err(Failure::Reject(reason)) = tester.push(Record::new("k".repeat(252), "1").at(1)) else {
        panic!("no reject")
    };
    assert_eq!(reason, "the key of a window is 252 bytes long: at most 251 are allowed");
    assert_eq!(push(&mut tester, "", 1), NOTHING, "empty text is a key");
    assert_eq!(push(&mut tester, "a/é", 1), NOTHING);
    let told = texts(tester.advance_watermark(10));
    assert_eq!(told, [":0-10=1/1", "a/é:0-10=1/1", &format!("{}:0-10=1/1", "k".repeat(251))]);
}

#[test]
fn a_window_that_no_timer_reaches_is_rejected_and_nothing_overflows() {
    let latest = i64::MAX as u64;
    for config in [[("length", u64::MAX)], [("gap", u64::MAX)], [("slide", 3)]] {
        for at in [0, latest, u64::MAX - 1] {
            let outcome = tester(&config, 0).push(Record::new("a", "1").at(at));
            let reached = config[0] == ("slide", 3) && at == 0;
            assert_eq!(outcome.is_ok(), reached, "{config:?} at {at}");
        }
    }
    let mut tester = tester(&[("length", 1)], 0);
    assert_eq!(push(&mut tester, "a", latest - 1), NOTHING);
    assert_eq!(texts(tester.advance_watermark(latest)), [format!("a:{}-{latest}=1/1", latest - 1)]);
}

#[test]
fn windows_of_another_length_finish_as_they_were_begun() {
    let mut old = tester(&[], 0);
    push(&mut old, "a", 1);
    let entry = old.cache().remove("sums/a").expect("an entry");
    let mut new = tester(&[("length", 20)], 0);
    new.with_state(|| {
        crate::cache::set("sums/a", &entry, None).expect("room");
        timers::schedule(Domain::EventTime, "sums/a", 10).expect("room");
    });
    push(&mut new, "a", 2);
    assert_eq!(texts(new.advance_watermark(20)), ["a:0-10=1/1", "a:0-20=1/1"]);
}

#[test]
fn a_key_whose_timer_is_lost_gets_another() {
    let mut tester = tester(&[], 0);
    push(&mut tester, "a", 1);
    tester.with_state(|| timers::cancel(Domain::EventTime, "sums/a"));
    assert_eq!(push(&mut tester, "a", 12), ["a:0-10=1/1"]);
    assert_eq!(texts(tester.advance_watermark(20)), ["a:10-20=1/1"]);
}

#[test]
fn an_entry_of_another_plugin_is_rejected() {
    let mut tester = tester(&[], 0);
    tester.with_state(|| crate::cache::set("sums/a", b"17", None).expect("room"));
    let Err(Failure::Reject(reason)) = tester.push(Record::new("a", "1").at(1)) else { panic!("no reject") };
    assert!(reason.contains("another plugin or version"), "{reason}");
}

#[test]
fn a_timer_of_another_name_or_domain_is_not_theirs() {
    let windows = Sums::tumbling("sums", Duration::from_millis(10)).expect("good");
    assert!(windows.owns(Domain::EventTime, "sums/a"));
    for (domain, name) in
        [(Domain::ProcessingTime, "sums/a"), (Domain::EventTime, "sums"), (Domain::EventTime, "sum/a")]
    {
        assert!(!windows.owns(domain, name), "{name}");
    }
}

#[test]
fn what_is_forgotten_gives_no_result() {
    let mut tester = tester(&[], 0);
    push(&mut tester, "a", 1);
    let forgotten = tester.with_state(|| {
        let windows = windows().expect("good");
        (windows.forget("a"), windows.forget("a"))
    });
    assert_eq!(forgotten, (true, false));
    assert_eq!(texts(tester.advance_watermark(10)), NOTHING);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let ms = Duration::from_millis;
    let refused = [
        Sums::tumbling("w", ms(0)),
        Sums::sliding("w", ms(10), ms(0)),
        Sums::sliding("w", ms(10), ms(11)),
        Sums::sliding("w", ms(1_001), ms(1)),
        Sums::session("w", ms(0)),
    ];
    assert!(refused.iter().all(Result::is_err));
    assert!(Sums::sliding("w", ms(1_000), ms(1)).is_ok());
}
