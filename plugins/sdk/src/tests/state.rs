use std::time::Duration;

use crate::state::{Entry, State};
use crate::testing::{PluginTester, Record};
use crate::{Failure, Input, Output, Plugin, cache};

const VISITS: State<u64> = State::new("visits");

/// Counts the visits of each key, and fails those whose value is `fail`.
struct Visits;

impl Plugin for Visits {
    fn process(record: Input) -> Result<Vec<Output>, Failure> {
        let visits = VISITS.of(record.key_text()?);
        let number = visits.get()?.unwrap_or(0) + 1;
        visits.set(&number)?;
        match record.value.as_deref() {
            Some(b"fail") => Err(crate::reject("as asked")),
            _ => Ok(vec![Output::json(record.key, &number)?]),
        }
    }
}

crate::export!(Visits);

#[test]
fn each_key_has_an_entry_and_a_record_that_fails_leaves_it_as_it_was() {
    let mut tester = PluginTester::of::<Visits>();
    for (key, value, expected) in
        [("a", "", Some("1")), ("b", "", Some("1")), ("a", "fail", None), ("a", "", Some("2"))]
    {
        let outputs = tester.push(Record::new(key, value)).ok();
        let told = outputs.and_then(|outputs| outputs[0].value.clone());
        assert_eq!(told.as_deref(), expected.map(str::as_bytes));
    }
    let entries =
        [("visits/a", "2"), ("visits/b", "1")].map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(tester.cache(), entries.into());
    assert_eq!(tester.entry("visits/a"), Ok(Some(2)));
    assert_eq!(tester.entry::<u64>("visits/c"), Ok(None));
}

#[test]
fn pages_go_through_all_keys_in_order() {
    let mut tester = PluginTester::of::<Visits>();
    tester.with_state(|| {
        for key in ["b", "", "a", "c/d"] {
            VISITS.of(key).set(&7).expect("room");
        }
        cache::set("visits", b"not of it", None).expect("room");
        cache::set("visits0", b"not of it", None).expect("room");
        let keys = |after, limit| -> Vec<String> {
            VISITS.page(after, limit).expect("numbers").into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(None, 3), ["", "a", "b"]);
        assert_eq!(keys(Some("b"), 3), ["c/d"]);
        assert!(keys(Some("c/d"), 3).is_empty());
    });
}

#[test]
fn an_entry_of_another_type_is_rejected_without_quoting_it() {
    let mut tester = PluginTester::of::<Visits>();
    tester.with_state(|| cache::set("visits/a", b"SECRET", None).expect("room"));
    let Err(Failure::Reject(reason)) = tester.push(Record::new("a", "")) else { panic!("not rejected") };
    assert!(reason.contains("another plugin or version") && !reason.contains("SECRET"), "{reason}");
}

#[test]
fn an_entry_with_a_time_to_live_goes_and_one_can_be_deleted() {
    let mut tester = PluginTester::of::<Visits>();
    let short = || Entry::<u8>::at("short");
    tester.with_state(|| short().set_for(&1, Duration::from_secs(1)).expect("room"));
    tester.advance_clock(Duration::from_millis(999)).expect("no timers");
    assert_eq!(tester.with_state(|| short().get()), Ok(Some(1)));
    tester.advance_clock(Duration::from_millis(1)).expect("no timers");
    assert_eq!(tester.with_state(|| short().get()), Ok(None));
    tester.with_state(|| short().set(&2).expect("room"));
    assert_eq!(tester.with_state(|| (short().delete(), short().delete())), (true, false));
}

#[test]
fn a_key_that_is_too_long_is_rejected() {
    let mut tester = PluginTester::of::<Visits>();
    assert!(tester.push(Record::new("k".repeat(505), "")).is_ok());
    let refused = tester.push(Record::new("k".repeat(506), ""));
    let expected = Err(crate::reject("a cache key is not 1 to 512 bytes long, or begins with U+10FFFF"));
    assert_eq!(refused, expected);
    tester.with_state(|| assert!(cache::set("\u{10ffff}e", b"", None).is_err()));
}
