use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::*;
use crate::admin::fixture;
use crate::observe::Calls;
use crate::plugin::{Blame, Counts, Failure, Soft};

impl Metrics {
    fn tally(&self, stage: &str, tally: Tally) {
        self.0.stages.add("locations", stage, tally);
    }

    /// The values of all series, by name and labels.
    fn read(&self) -> HashMap<String, f64> {
        series(&self.encode(&Views::new(), &Copies::default()))
    }
}

fn series(text: &str) -> HashMap<String, f64> {
    let mut values = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert_eq!(values.insert(name.to_owned(), value.parse().unwrap()), None, "{name} comes twice");
    }
    values
}

fn own(totals: &[(&str, u64)], gauges: &[(&str, f64)]) -> Tally {
    let counts = Counts {
        totals: totals.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        gauges: gauges.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        ignored: 0,
    };
    Tally { counts: vec![counts], ..Tally::default() }
}

#[test]
fn topics_count_their_records() {
    let metrics = Metrics::new();
    metrics.consumed("locations", 3);
    metrics.clone().consumed("locations", 4);
    metrics.produced("locations-enriched", 5);
    let read = metrics.read();
    assert_eq!(read["gregor_records_consumed_total{topic=\"locations\"}"], 7.0);
    assert_eq!(read["gregor_records_produced_total{topic=\"locations-enriched\"}"], 5.0);
}

#[test]
fn tallies_of_tasks_add_up_by_stage() {
    let metrics = Metrics::new();
    for _ in 0..2 {
        let mut tally = Tally { ok: 10, retries: 3, skipped: 2, ..Tally::default() };
        tally.failure("reject");
        tally.failure("timeout");
        tally.failure("timeout");
        tally.dead_letter("timeout");
        tally.refused.push((Soft::CacheBytes, 4));
        metrics.tally("last-location", tally);
    }
    metrics.tally("other", Tally { ok: 1, ..Tally::default() });
    let read = metrics.read();
    let labels = "pipeline=\"locations\",stage=\"last-location\"";
    assert_eq!(read[&format!("gregor_plugin_calls_total{{{labels},outcome=\"ok\"}}")], 20.0);
    assert_eq!(read[&format!("gregor_plugin_calls_total{{{labels},outcome=\"reject\"}}")], 2.0);
    assert_eq!(read[&format!("gregor_plugin_calls_total{{{labels},outcome=\"timeout\"}}")], 4.0);
    assert_eq!(read[&format!("gregor_plugin_traps_total{{{labels},reason=\"timeout\"}}")], 4.0);
    assert_eq!(read[&format!("gregor_retries_total{{{labels}}}")], 6.0);
    assert_eq!(read[&format!("gregor_records_skipped_total{{{labels}}}")], 4.0);
    assert_eq!(read[&format!("gregor_dead_letters_total{{{labels},reason=\"timeout\"}}")], 2.0);
    assert_eq!(read[&format!("gregor_plugin_refusals_total{{{labels},limit=\"state.max-bytes\"}}")], 8.0);
    assert_eq!(read["gregor_plugin_calls_total{pipeline=\"locations\",stage=\"other\",outcome=\"ok\"}"], 1.0);
}

#[test]
fn a_version_is_not_judged_by_calls_for_what_was_parked() {
    let metrics = Metrics::new();
    let mut tally = Tally { ok: 10, ..Tally::default() };
    for kind in [None, Some("reject"), Some("reject"), Some("state")] {
        tally.call(kind);
        tally.released(kind);
    }
    tally.call(Some("trap"));
    metrics.tally("s", tally);
    assert_eq!(metrics.calls([("locations", "s")].into_iter()), Calls { all: 11, failed: 1 });
    let read = metrics.read();
    let total = |outcome: &str| {
        read[&format!("gregor_plugin_calls_total{{pipeline=\"locations\",stage=\"s\",outcome=\"{outcome}\"}}")]
    };
    assert_eq!((total("ok"), total("reject"), total("state")), (11.0, 2.0, 1.0));
}

#[test]
fn a_version_is_not_judged_by_what_speaks_against_records_or_the_host() {
    let metrics = Metrics::new();
    let mut tally = Tally { ok: 1, ..Tally::default() };
    Failure::KINDS.iter().for_each(|(kind, _)| tally.call(Some(kind)));
    metrics.tally("s", tally);
    // All but future-timestamp, record-too-large, too-many-headers, state, no-free-instance
    // and topic-unavailable.
    assert_eq!(metrics.calls([("locations", "s")].into_iter()), Calls { all: 20, failed: 19 });
}

#[test]
fn every_kind_of_failure_is_there_before_it_happens() {
    let metrics = Metrics::new();
    metrics.tally("s", Tally::default());
    let read = metrics.read();
    for (kind, blame) in Failure::KINDS {
        let labels = |label: &str| format!("{{pipeline=\"locations\",stage=\"s\",{label}=\"{kind}\"}}");
        assert_eq!(read[&format!("gregor_plugin_calls_total{}", labels("outcome"))], 0.0);
        assert_eq!(read[&format!("gregor_dead_letters_total{}", labels("reason"))], 0.0);
        let trap = read.get(&format!("gregor_plugin_traps_total{}", labels("reason")));
        assert_eq!(trap.is_some(), blame == Blame::Breach, "{kind}");
    }
}

#[test]
fn call_times_are_one_histogram_for_a_stage() {
    let metrics = Metrics::new();
    for micros in [1, 3, 4, 3_000_000] {
        let mut tally = Tally::default();
        tally.times.record(Duration::from_micros(micros));
        metrics.tally("s", tally);
    }
    let read = metrics.read();
    let name = "gregor_plugin_call_seconds";
    let labels = "pipeline=\"locations\",stage=\"s\"";
    let bucket = |bound: &str| read[&format!("{name}_bucket{{le=\"{bound}\",{labels}}}")];
    assert_eq!((bucket("0.000002"), bucket("0.000005"), bucket("2.0"), bucket("+Inf")), (1.0, 3.0, 3.0, 4.0));
    assert_eq!(read[&format!("{name}_count{{{labels}}}")], 4.0);
    assert!((read[&format!("{name}_sum{{{labels}}}")] - 3.000_008).abs() < 1e-9);
}

#[test]
fn commits_and_swaps_are_timed_and_counted() {
    let metrics = Metrics::new();
    metrics.commit(Duration::from_millis(3));
    metrics.swap("key-by", "activated");
    metrics.swap("key-by", "refused");
    metrics.swap("key-by", "refused");
    metrics.swap_pause("key-by", Duration::from_micros(70));
    let read = metrics.read();
    assert_eq!(read["gregor_commit_seconds_bucket{le=\"0.0025\"}"], 0.0);
    assert_eq!(read["gregor_commit_seconds_bucket{le=\"0.005\"}"], 1.0);
    assert_eq!(read["gregor_plugin_swaps_total{plugin=\"key-by\",outcome=\"refused\"}"], 2.0);
    assert_eq!(read["gregor_plugin_swap_pause_seconds_count{plugin=\"key-by\"}"], 1.0);
    assert_eq!(read["gregor_plugin_swap_pause_seconds_bucket{le=\"0.0001\",plugin=\"key-by\"}"], 1.0);
}

#[test]
fn a_plugins_own_totals_add_up_and_its_gauges_are_replaced() {
    let metrics = Metrics::new();
    metrics.tally("s", own(&[("visits", 2)], &[("speed", 1.5)]));
    metrics.tally("s", own(&[("visits", 3)], &[("speed", 0.5)]));
    metrics.tally("t", own(&[("visits", 1)], &[]));
    let read = metrics.read();
    assert_eq!(read["gregor_plugin_visits_total{pipeline=\"locations\",stage=\"s\"}"], 5.0);
    assert_eq!(read["gregor_plugin_visits_total{pipeline=\"locations\",stage=\"t\"}"], 1.0);
    assert_eq!(read["gregor_plugin_speed{pipeline=\"locations\",stage=\"s\"}"], 0.5);
}

#[test]
fn a_plugin_cannot_take_a_name_that_is_taken() {
    let metrics = Metrics::new();
    metrics.swap("p", "activated");
    metrics.swap_pause("p", Duration::ZERO);
    metrics.tally("s", Tally::default());
    let before = metrics.read();
    let hosts = [("calls", 9), ("traps", 9), ("swaps", 9), ("call_seconds", 9), ("swap_pause_seconds", 9)];
    let gauges = [("calls", 9.0), ("calls_total", 9.0), ("call_seconds_count", 9.0), ("swap_pause_seconds_sum", 9.0)];
    metrics.tally("s", own(&hosts, &gauges));
    let refusals = "gregor_plugin_refusals_total{pipeline=\"locations\",stage=\"s\",limit=\"metric-names\"}";
    let mut after = metrics.read();
    assert_eq!(after.insert(refusals.to_owned(), 0.0), Some(9.0));
    assert_eq!(after, before);

    metrics.tally("s", own(&[("visits", 1)], &[("speed", 1.0), ("laps_total", 1.0)]));
    metrics.tally("t", own(&[("speed", 9), ("laps", 9)], &[("visits", 9.0), ("visits_total", 9.0)]));
    let read = metrics.read();
    assert_eq!(read["gregor_plugin_speed{pipeline=\"locations\",stage=\"s\"}"], 1.0);
    for name in ["visits", "speed", "laps"] {
        let shown = |series: &&String| series.contains("stage=\"t\"") && series.contains(name);
        assert_eq!(read.keys().find(shown), None);
    }
}

#[test]
fn no_name_of_a_plugins_shows_a_series_of_another_metric() {
    for hosts in ["calls", "refusals", "traps", "loads", "swaps", "call_seconds", "swap_pause_seconds"] {
        for suffix in ["_total", "_created", "_bucket", "_count", "_sum", "_info", "_gcount", "_gsum", "_total_created"]
        {
            let metrics = Metrics::new();
            let name = format!("{hosts}{suffix}");
            metrics.tally("s", own(&[(&name, 1)], &[]));
            metrics.tally("s", own(&[], &[(&name, 1.0)]));
            assert!(
                !metrics.encode(&Views::new(), &Copies::default()).contains(&format!("plugin_{name} gauge")),
                "{name}"
            );
            let series = metrics.read().into_keys().filter(|series| series.contains(&format!("{name}_total"))).count();
            assert_eq!(series, 0, "{name}");
        }
    }
    let metrics = Metrics::new();
    metrics.tally("s", own(&[("visits", 1)], &[]));
    metrics.tally("s", own(&[], &[("visits_created", 1.0), ("queue_count", 2.0)]));
    let read = metrics.read();
    let labels = "{pipeline=\"locations\",stage=\"s\"}";
    assert_eq!(read.get(&format!("gregor_plugin_visits_created{labels}")), None);
    assert_eq!(read[&format!("gregor_plugin_queue_count{labels}")], 2.0, "nothing else is called so");
}

#[test]
fn every_metric_of_plugins_that_is_the_hosts_is_taken() {
    let metrics = Metrics::new();
    metrics.swap("p", "activated");
    metrics.swap_pause("p", Duration::ZERO);
    metrics.load("kept");
    metrics.tally("s", Tally::default());
    let text = metrics.encode(&fixture::views(), &Copies::default());
    let hosts = text.lines().filter_map(|line| line.strip_prefix("# TYPE gregor_plugin_")?.split(' ').next());
    let hosts: Vec<&str> = hosts.collect();
    assert!(hosts.len() >= 7, "{hosts:?}");
    for name in hosts {
        metrics.tally("s", own(&[(name, 1_234_567)], &[]));
        metrics.tally("s", own(&[], &[(name, 1_234_567.0)]));
        assert!(!metrics.encode(&Views::new(), &Copies::default()).contains("1234567"), "{name}");
    }
}

#[test]
fn names_stay_bounded_over_commits_and_versions() {
    let metrics = Metrics::new();
    for commit in 0..100 {
        metrics.tally("s", own(&[(&format!("patient_{commit}"), 1)], &[(&format!("speed_{commit}"), 1.0)]));
    }
    metrics.tally("s", own(&[("patient_0", 1)], &[]));
    metrics.tally("t", own(&[("patient_99", 1)], &[]));
    let read = metrics.read();
    let of_s = |name: &&String| name.contains("stage=\"s\"") && (name.contains("patient_") || name.contains("speed_"));
    assert_eq!(read.keys().filter(of_s).count(), 64);
    assert_eq!(read["gregor_plugin_patient_0_total{pipeline=\"locations\",stage=\"s\"}"], 2.0);
    assert_eq!(read["gregor_plugin_patient_99_total{pipeline=\"locations\",stage=\"t\"}"], 1.0);
}

#[test]
fn partitions_are_read_from_their_views() {
    let read = series(&Metrics::new().encode(&fixture::views(), &Copies::default()));
    assert_eq!(read["gregor_consumer_lag{topic=\"locations\",partition=\"2\"}"], 42.0);
    assert_eq!(read.get("gregor_consumer_lag{topic=\"locations\",partition=\"10\"}"), None);
    let state = |partition, state: &str| {
        read[&format!("gregor_partition_state{{topic=\"locations\",partition=\"{partition}\",state=\"{state}\"}}")]
    };
    assert_eq!(["running", "retrying", "held", "finished"].map(|name| state(2, name)), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(["running", "retrying", "held", "finished"].map(|name| state(10, name)), [0.0, 0.0, 1.0, 0.0]);
    let labels = "{pipeline=\"locations\",stage=\"last-location\",topic=\"locations\",partition=\"2\"}";
    assert_eq!(read[&format!("gregor_state_entries{labels}")], 3.0);
    assert_eq!(read[&format!("gregor_state_bytes{labels}")], 500.0);
    assert_eq!(read[&format!("gregor_quarantined_records{labels}")], 3.0);
    assert_eq!(read[&format!("gregor_quarantined_keys{labels}")], 1.0);
}

#[test]
fn every_metric_is_declared_once_and_named_after_gregor() {
    let metrics = Metrics::new();
    metrics.consumed("t", 1);
    metrics.tally("s", own(&[("visits", 1)], &[("speed", 1.0)]));
    let views = fixture::views();
    let text = metrics.encode(&views, &Copies::default());
    let mut declared = HashSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(name.starts_with("gregor_"), "{name}");
        assert!(declared.insert(name), "{name} is declared twice");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let declares = |suffix| name.strip_suffix(suffix).is_some_and(|stem| declared.contains(stem));
        assert!(["", "_total", "_bucket", "_count", "_sum"].into_iter().any(declares), "{name} is not declared");
    }
}
