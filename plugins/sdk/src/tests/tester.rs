use std::time::Duration;

use crate::logging::Level;
use crate::testing::{PluginTester, Record};
use crate::timers::{self, Domain};
use crate::{Failure, Input, Migration, Output, Plugin, Timed, cache, clock, metrics, reject, retry};

/// Schedules what its records ask for, `<domain>:<name>:<at>`, and tells its timers
/// and the watermark. Timers named `again` come once more, at their own time; those
/// named `fail` fail.
struct Alarm;

impl Plugin for Alarm {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let text = String::from_utf8(record.value.unwrap_or_default()).map_err(|_| reject("not UTF-8"))?;
        let words: Vec<&str> = text.split(':').collect();
        match words[..] {
            ["cancel", name] => Ok(vec![output(timers::cancel(Domain::EventTime, name).to_string())]),
            ["scheduleThenFail", name] => {
                cache::set("entry", b"1", None)?;
                timers::schedule(Domain::EventTime, name, 0)?;
                timers::cancel(Domain::EventTime, "kept");
                Err(retry("as asked"))
            }
            [domain, name, at] => {
                let domain = if domain == "event" { Domain::EventTime } else { Domain::ProcessingTime };
                timers::schedule(domain, name, at.parse().map_err(|_| reject("no time"))?)?;
                Ok(vec![])
            }
            _ => Ok(vec![output(format!("watermark {:?}", timers::watermark()))]),
        }
    }
}

impl Timed for Alarm {
    fn on_timer(_: Domain, name: String, at: u64) -> Result<Vec<Output>, Failure> {
        metrics::count("timers", 1);
        match &*name {
            "fail" if cache::get("mended").is_none() => {
                cache::set("entry", b"1", None)?;
                return Err(reject("as asked"));
            }
            "again" if cache::increment("again", 1)? < 3 => timers::schedule(Domain::EventTime, "again", at)?,
            _ => {}
        }
        Ok(vec![output(format!("{name}@{at}"))])
    }
}

impl Migration for Alarm {
    fn migrate(from_version: String) -> Result<(), String> {
        cache::set("from", from_version.as_bytes(), None).map_err(|_| "no room")?;
        if from_version == "bad" { Err("not from there".into()) } else { Ok(()) }
    }
}

crate::export!(Alarm: Timed, Migration);

fn output(text: String) -> Output {
    Output::new(None, text.into_bytes())
}

fn push(tester: &mut PluginTester, value: &str, at: u64) -> Vec<String> {
    texts(tester.push(Record::keyless(value).at(at)))
}

fn texts(outputs: Result<Vec<Output>, Failure>) -> Vec<String> {
    let text = |output: Output| String::from_utf8(output.value.expect("a value")).expect("UTF-8");
    outputs.expect("outputs").into_iter().map(text).collect()
}

#[test]
fn timers_run_in_the_order_of_their_time_before_the_record_that_makes_them_due() {
    let mut tester = PluginTester::of::<Alarm>().max_out_of_orderness(Duration::from_millis(5));
    for timer in ["event:b:20", "event:a:20", "event:z:10", "event:later:21"] {
        assert!(push(&mut tester, timer, 3).is_empty());
    }
    assert_eq!(push(&mut tester, "watermark", 25), ["z@10", "a@20", "b@20", "watermark Some(20)"]);
    assert_eq!(push(&mut tester, "watermark", 7), ["watermark Some(20)"], "it never goes back");
    assert_eq!(tester.timers(Domain::EventTime), &[("later".to_owned(), 21)].into());
}

#[test]
fn a_timer_of_the_same_domain_and_name_is_replaced() {
    let mut tester = PluginTester::of::<Alarm>();
    for timer in ["event:a:20", "event:a:10", "processing:a:15"] {
        push(&mut tester, timer, 0);
    }
    assert_eq!(texts(tester.advance_watermark(30)), ["a@10"]);
    assert_eq!(texts(tester.set_clock(14)), [""; 0]);
    assert_eq!(texts(tester.advance_clock(Duration::from_millis(1))), ["a@15"]);
}

#[test]
fn a_cancelled_timer_does_not_come() {
    let mut tester = PluginTester::of::<Alarm>();
    push(&mut tester, "event:a:20", 0);
    assert_eq!(push(&mut tester, "cancel:a", 0), ["true"]);
    assert_eq!(push(&mut tester, "cancel:a", 0), ["false"]);
    assert_eq!(texts(tester.advance_watermark(30)), [""; 0]);
}

#[test]
fn a_timer_scheduled_by_one_that_is_due_comes_in_the_same_pass() {
    let mut tester = PluginTester::of::<Alarm>();
    push(&mut tester, "event:again:10", 0);
    push(&mut tester, "event:b:11", 0);
    assert_eq!(push(&mut tester, "watermark", 12), ["again@10", "again@10", "again@10", "b@11", "watermark Some(12)"]);
}

#[test]
fn a_timer_that_a_record_schedules_for_the_past_comes_after_it() {
    let mut tester = PluginTester::of::<Alarm>();
    push(&mut tester, "watermark", 10);
    assert_eq!(push(&mut tester, "event:a:10", 0), ["a@10"]);
    assert_eq!(push(&mut tester, "processing:b:0", 0), ["b@0"]);
}

#[test]
fn what_a_record_that_fails_did_to_timers_and_cache_is_undone() {
    let mut tester = PluginTester::of::<Alarm>();
    push(&mut tester, "event:kept:20", 0);
    assert_eq!(tester.push(Record::keyless("scheduleThenFail:gone").at(1)), Err(retry("as asked")));
    assert!(tester.cache().is_empty());
    assert_eq!(tester.timers(Domain::EventTime), &[("kept".to_owned(), 20)].into());
}

#[test]
fn a_timer_that_fails_is_back_and_what_waits_behind_it_has_not_gone_on() {
    let mut tester = PluginTester::of::<Alarm>();
    for timer in ["event:before:9", "event:fail:10", "event:after:11"] {
        push(&mut tester, timer, 0);
    }
    assert_eq!(tester.push(Record::keyless("watermark").at(12)), Err(reject("as asked")));
    assert!(tester.cache().is_empty());
    assert_eq!(tester.timers(Domain::EventTime).len(), 2);
    tester.with_state(|| cache::set("mended", b"1", None).expect("room"));
    assert_eq!(push(&mut tester, "watermark", 12), ["before@9", "fail@10", "after@11", "watermark Some(12)"]);
}

#[test]
fn names_are_of_1_to_256_bytes() {
    let mut tester = PluginTester::of::<Alarm>();
    push(&mut tester, &format!("event:{}:1", "n".repeat(256)), 0);
    for name in [String::new(), "n".repeat(257)] {
        let refused = tester.push(Record::keyless(format!("event:{name}:1")).at(0));
        let expected = format!("no timer could be scheduled: the name has {} bytes, not 1 to 256", name.len());
        assert_eq!(refused, Err(reject(expected)));
    }
}

#[test]
fn a_migration_that_fails_leaves_the_cache_as_it_was() {
    let mut tester = PluginTester::of::<Alarm>();
    assert_eq!(tester.migrate("bad"), Err("not from there".into()));
    assert!(tester.cache().is_empty());
    assert_eq!(tester.migrate("good"), Ok(()));
    assert_eq!(tester.cache().len(), 1);
}

/// Has no timers, logs and tells the time.
struct Plain;

impl Plugin for Plain {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        crate::info!("record {} of {}", record.offset, record.partition);
        metrics::observe("offset", record.offset as f64);
        if record.value.is_none() {
            timers::schedule(Domain::EventTime, "t", 1)?;
        }
        Ok(vec![output(format!("{} {} {}", clock::now(), record.timestamp, record.topic))])
    }
}

crate::export!(Plain);

#[test]
fn records_are_numbered_and_of_the_clocks_time_unless_told_otherwise() {
    let mut tester = PluginTester::of::<Plain>();
    assert_eq!(texts(tester.push(Record::new("k", "v"))), ["0 0 input"]);
    tester.set_clock(5).expect("no timers");
    let record = Record::new("k", "v").topic("t").partition(3).header("h", None);
    assert_eq!(texts(tester.push(record)), ["5 5 t"]);
    assert_eq!((tester.gauge("offset"), tester.gauge("none"), tester.count("none")), (Some(1.0), None, 0));
    assert_eq!(tester.watermark(), Some(5));
}

#[test]
fn log_lines_say_where_they_come_from() {
    let mut tester = PluginTester::of::<Plain>();
    tester.push(Record::empty().at(7)).expect_err("no timers");
    let [line] = tester.lines() else { panic!("not one line") };
    assert_eq!((line.level, &*line.context), (Level::Info, "gregor_sdk::tests::tester"));
    assert_eq!(line.text, "record 0 of 0");
}

#[test]
fn only_a_plugin_that_exports_timed_has_timers() {
    let mut tester = PluginTester::of::<Plain>();
    let expected = "no timer could be scheduled: the plugin does not export `timer-processor`";
    assert_eq!(tester.push(Record::tombstone("k")), Err(reject(expected)));
}

#[test]
#[should_panic(expected = "call the plugin through a PluginTester")]
fn without_a_tester_the_host_does_not_answer() {
    cache::get("k");
}
