use clap::Parser;
use serde_json::Value;

use super::*;
use crate::admin::fixture::Served;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    status: StatusArgs,
}

/// What `gregor status` with `line` prints, or its exit code and error.
fn status(line: &[&str], token: Option<&str>) -> Result<String, (u8, String)> {
    let args = Line::parse_from([&["status"], line].concat()).status;
    let mut out = Vec::new();
    match show(&args, token.map(str::to_owned), &mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(Failed::Answer { code, problem }) => Err((code, problem)),
        Err(Failed::Other(error)) => panic!("{error:#}"),
    }
}

/// The words of each line, so that a table's widths do not matter.
fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn tables_show_partitions_and_plugins() {
    let served = Served::start(None);
    served.status.plugins.get_mut("last-location").unwrap().refused = Some("bad\u{1b}[2J".to_owned());
    let shown = status(&["--admin", &served.url], None).unwrap();
    let lines = words(&shown);
    assert!(shown.starts_with("patient-locations on ward-3: gregor 1.2.3, up 1m 3"), "{shown}");
    assert!(
        shown.lines().next().unwrap().ends_with("workers 2, lag -, standby copies 1 (12 records behind)"),
        "{shown}"
    );
    assert_eq!(
        lines[1],
        ["topic", "partition", "worker", "state", "position", "committed", "lag", "entries", "parked"]
    );
    assert_eq!(lines[2], ["locations", "2", "0", "running", "100", "90", "42", "7", "7", "(3", "keys)"]);
    assert_eq!(lines[3], ["locations", "10", "1", "held", "(trap)", "7", "-", "-", "0", "0"]);
    assert_eq!(lines[4], ["plugin", "digest", "since"]);
    assert_eq!(lines[5], ["last-location", "0123456789ab", "2027-01-15T08:00:00Z"]);
    assert_eq!(lines[6].join(" "), "The last version of last-location was refused: bad [2J");
}

#[test]
fn a_version_that_a_partition_waits_for_is_shown() {
    let served = Served::start(None);
    for mut view in served.status.views.iter_mut() {
        (view.state, view.failure) = (crate::observe::PartitionState::WaitingForVersion, None);
        view.awaits = Some(format!("key-by@{}", "ab".repeat(32)));
    }
    let shown = status(&["--admin", &served.url], None).unwrap();
    assert_eq!(words(&shown)[2][3..5], ["waiting-for-version", "(key-by@abababababab)"]);
}

#[test]
fn json_is_the_documents_of_the_api() {
    let served = Served::start(None);
    let shown = status(&["--admin", &served.url, "--json"], None).unwrap();
    let merged: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(merged["status"]["app"], "patient-locations");
    assert_eq!(merged["partitions"][1]["failure"], "trap");
    assert_eq!(merged["plugins"][0]["since"], 1_800_000_000_000_u64);
}

#[test]
fn quiet_follows_readiness_and_needs_no_token() {
    let served = Served::start(Some("s3cret"));
    let (code, problem) = status(&["--admin", &served.url, "--quiet"], None).unwrap_err();
    assert_eq!(code, 1);
    assert!(problem.contains("worker 0 is not a member"), "{problem}");
    served.join();
    assert_eq!(status(&["--admin", &served.url, "--quiet"], None), Ok(String::new()));
}

#[test]
fn a_token_is_sent_and_a_missing_one_named() {
    let served = Served::start(Some("s3cret"));
    assert!(status(&["--admin", &served.url], Some("s3cret")).is_ok());
    for token in [None, Some("other")] {
        let (code, problem) = status(&["--admin", &served.url, "--token-env", "WARD_TOKEN"], token).unwrap_err();
        assert_eq!(code, 2);
        assert!(problem.contains("set WARD_TOKEN to"), "{problem}");
        assert!(!problem.contains("other"), "{problem}");
    }
}

#[test]
fn a_host_that_is_not_there_is_one_line_and_exit_code_3() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, problem) = status(&["--admin", &free.to_string()], None).unwrap_err();
    assert_eq!(code, 3);
    assert!(problem.starts_with(&format!("no host answers at http://{free} (")), "{problem}");
    assert!(problem.contains("--admin") && !problem.contains('\n'), "{problem}");
    assert_eq!(status(&["--admin", &free.to_string(), "--quiet"], None).unwrap_err().0, 1);
}

#[test]
fn an_address_may_leave_out_its_scheme_and_end_in_a_slash() {
    let served = Served::start(None);
    let bare = served.url.trim_start_matches("http://");
    assert!(status(&["--admin", &format!("{bare}/")], None).is_ok());
}

#[test]
fn an_address_that_cannot_be_asked_is_a_mistake_of_the_caller() {
    for address in ["https://127.0.0.1:1", "http://", "ftp://127.0.0.1:1", "127.0.0.1:1/metrics", "a b"] {
        let (code, problem) = status(&["--admin", address], None).unwrap_err();
        assert_eq!(code, 2, "{address}: {problem}");
        assert!(problem.contains("--admin"), "{address}: {problem}");
    }
}
