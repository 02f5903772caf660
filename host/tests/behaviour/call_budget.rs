//! What one call can make the host keep.

use crate::support::extra::Line;
use crate::support::until;

const MIB: u64 = 1 << 20;

/// A record on which `guest` misbehaves comes out, and the host's memory has not grown by it.
#[track_caller]
fn passes_in_little_memory(guest: &str) {
    let line = Line::start(1, guest, "timeout = \"60s\"");
    assert_eq!(line.ask(0, "before"), "before");
    let before = line.host.peak_memory();
    assert_eq!(line.ask(0, "!"), "!");
    let grown = line.host.peak_memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "{grown} bytes more");
    line.settle();
    assert_eq!(line.dead().len(), 0);
}

#[test]
fn a_key_set_again_and_again_is_noted_once() {
    passes_in_little_memory("rewrites");
}

#[test]
fn a_key_that_comes_and_goes_is_noted_a_few_times() {
    passes_in_little_memory("alternates");
}

#[test]
fn writes_past_the_budget_fail_their_record_only() {
    let line = Line::start(1, "spreads", "call-memory = \"2MiB\"");
    line.send(0, "key", "!");
    assert_eq!(line.ask(0, "after"), "after");
    line.settle();
    let dead = line.dead();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("gregor-error"), Some("call-memory-limit"));
    let reason = dead[0].header("gregor-reason").expect("a reason");
    assert!(reason.ends_with("the limit is 2097152 (`call-memory`)"), "{reason}");
    line.expect_metric("gregor_plugin_traps_total", &[r#"reason="call-memory-limit""#], 2.0);
    assert_eq!(line.view(0)["stages"][0]["entries"], 0, "its writes are undone");
}

#[test]
fn writes_within_the_default_budget_are_kept() {
    let line = Line::start(1, "spreads", "timeout = \"60s\"");
    assert_eq!(line.ask(0, "!"), "!");
    until("its entries are there", || line.view(0)["stages"][0]["entries"] == 1_000);
}

#[test]
fn long_words_of_a_plugin_are_cut() {
    let line = Line::start(1, "confesses", "log = \"info\"");
    // It tells of an entry of 3,000 bytes in 15,000 characters.
    line.send(0, "key", "confess");
    line.settle();
    let log = line.host.log();
    let told: Vec<&str> = log.lines().filter(|text| text.contains("gregor::guest")).collect();
    let begins = told.iter().any(|text| text.contains("counted") && text.contains("bytes in all"));
    assert!(begins && told.iter().all(|text| text.len() < 9_000), "{told:?}");
}
