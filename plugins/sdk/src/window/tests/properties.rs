use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Domain, NOTHING, push, tester, texts};

/// `key:start-end=count/count` of each window, by end, key and start.
fn in_order(windows: BTreeMap<(u64, &str, u64), u64>) -> Vec<String> {
    windows.into_iter().map(|((end, key, start), count)| format!("{key}:{start}-{end}={count}/{count}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn sliding_windows_hold_what_looking_at_all_records_at_once_would_find(
        records in prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), 0..200_u64), 1..60),
        (length, slide) in (1..30_u64).prop_flat_map(|length| (Just(length), 1..=length)),
    ) {
        let mut tester = tester(&[("length", length), ("slide", slide)], 200);
        let mut expected = BTreeMap::new();
        for (key, at) in &records {
            prop_assert_eq!(push(&mut tester, key, *at), NOTHING);
            let starts = (0..=*at).filter(|start| start % slide == 0 && *at < start + length);
            starts.for_each(|start| *expected.entry((start + length, *key, start)).or_default() += 1);
        }
        prop_assert_eq!(texts(tester.advance_watermark(1_000)), in_order(expected));
        prop_assert!(tester.cache().is_empty() && tester.timers(Domain::EventTime).is_empty());
    }

    #[test]
    fn sessions_are_what_sorting_the_records_would_give(
        mut records in prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), 0..200_u64), 1..60),
        gap in 1..30_u64,
    ) {
        let mut tester = tester(&[("gap", gap)], 200);
        for (key, at) in &records {
            prop_assert_eq!(push(&mut tester, key, *at), NOTHING);
        }
        records.sort_unstable();
        let mut sessions = BTreeMap::new();
        for together in records.chunk_by(|(key, at), (next_key, next)| key == next_key && next - at <= gap) {
            let ((key, first), (_, last)) = (together[0], together[together.len() - 1]);
            sessions.insert((last + gap, key, first), together.len() as u64);
        }
        prop_assert_eq!(texts(tester.advance_watermark(1_000)), in_order(sessions));
        prop_assert!(tester.cache().is_empty() && tester.timers(Domain::EventTime).is_empty());
    }

    /// Whatever comes late, the last result of a window has every record that was not
    /// called late, and with `once` it is the only one.
    #[test]
    fn the_last_result_of_a_window_counts_every_record_that_was_not_late(
        times in prop::collection::vec(0..200_u64, 1..60),
        out_of_orderness in 0..40_u64,
        lateness in 0..40_u64,
        once: bool,
    ) {
        let once = if once { Some(("once", 1)) } else { None };
        let config: Vec<_> = [("length", 10), ("lateness", lateness)].into_iter().chain(once).collect();
        let mut tester = tester(&config, out_of_orderness);
        let (mut told, mut expected, mut latest) = (Vec::new(), BTreeMap::new(), 0);
        for at in times {
            latest = latest.max(at);
            let start = at / 10 * 10;
            let late = start + 10 + lateness <= latest.saturating_sub(out_of_orderness);
            let mut outputs = push(&mut tester, "a", at);
            prop_assert_eq!(outputs.last().is_some_and(|told| told == "late"), late);
            if late {
                outputs.pop();
            } else {
                *expected.entry((start + 10, "a", start)).or_default() += 1;
            }
            told.extend(outputs);
        }
        told.extend(texts(tester.advance_watermark(1_000)));
        let mut last = BTreeMap::new();
        for text in &told {
            let (window, result) = text.trim_end_matches('+').split_once('=').expect("a result");
            let before = last.insert(window.to_owned(), result.to_owned());
            prop_assert_eq!(before.is_some(), text.ends_with('+'), "{}", text);
            prop_assert!(once.is_none() || before.is_none());
        }
        let expected = in_order(expected).into_iter().map(|text| text.split_once('=').map(|(a, b)| (a.into(), b.into())));
        prop_assert_eq!(last, expected.flatten().collect());
    }
}
