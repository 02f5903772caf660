//! Records whose timestamps are past the host's clock, and event time that is set back.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::extra::{Line, Topics, stage};
use crate::support::{Host, Record, Setup, eventually, kafka};

const TOKEN: &str = "s3cret";
const DAY: i64 = 86_400_000;
/// In the year 2200, milliseconds since the Unix epoch.
const FAR: i64 = 7_260_000_000_000;
/// No bound, in milliseconds.
const ANY: &str = "9223372036854775807";

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as i64
}

/// A host of one pipeline with these lines, whose stage tells the watermark.
fn timed(lines: &[(&str, &str)]) -> Line {
    let topic = || kafka().topic_with(1, &[("retention.ms", "-1"), ("message.timestamp.after.max.ms", ANY)]);
    let topics = Topics { source: topic(), sink: topic(), dead: topic() };
    let pipeline = lines.iter().fold(topics.pipeline(), |pipeline, (key, value)| pipeline.set(key, value));
    let setup = Setup::new().pipeline(pipeline.stage(stage("timed", "state = { changelog = true }")));
    let host = Host::spawn_with(&setup.write(), "one", &[], &[("GREGOR__HOST__ADMIN_TOKEN", TOKEN)]);
    Line::of(topics, setup, host)
}

#[track_caller]
fn watermark(line: &Line) -> i64 {
    line.ask_at(0, 1, "watermark").parse().expect("milliseconds")
}

#[test]
fn a_record_of_the_future_moves_event_time_little() {
    let line = timed(&[("max-future", "\"1h\"")]);
    assert_eq!(line.ask_at(0, FAR, "ok"), "ok");
    let stands = watermark(&line);
    assert!(stands <= now() + DAY / 24, "{stands}");
    assert!(stands > now() - DAY, "{stands}");
    line.expect_metric("gregor_future_records_total", &[], 1.0);
    assert!(line.host.log().contains("past this host's clock by more than max-future"));
    // One that is not past it moves it as ever.
    let soon = now() + DAY / 48;
    assert_eq!(line.ask_at(0, soon, "ok"), "ok");
    assert!(watermark(&line) >= soon);
    line.expect_metric("gregor_future_records_total", &[], 1.0);
}

#[test]
fn a_record_of_the_future_fails_where_it_is_to() {
    let line = timed(&[("future", "\"fail\"")]);
    assert_eq!(line.ask_at(0, 1_000, "ok"), "ok");
    let offset = line.send_record(Record::new("key", "ok").partition(0).timestamp(FAR));
    assert_eq!(watermark(&line), 1_000);
    line.settle();
    let [letter] = &line.dead()[..] else { panic!("one dead letter") };
    assert_eq!(letter.header("gregor-offset"), Some(&*offset.to_string()));
    assert_eq!(letter.header("gregor-error"), Some("future-timestamp"));
    assert!(letter.header("gregor-reason").is_some_and(|reason| reason.ends_with("600000 ms (`max-future`)")));
    line.expect_metric("gregor_future_records_total", &[], 1.0);
    line.expect_metric("gregor_plugin_calls_total", &[r#"outcome="ok""#], 2.0);
}

#[test]
fn event_time_can_be_set_back_for_good() {
    let mut line = timed(&[("max-future", "\"8760h\"")]);
    let ahead = now() + 300 * DAY;
    assert_eq!(line.ask_at(0, ahead, "ok"), "ok");
    assert_eq!(watermark(&line), ahead);
    let said = gregor(&line, &["--to", "2026-01-01T00:00:00Z", "--partition", "0"]);
    assert!(said.contains("event time set back from") && said.contains("to 2026-01-01T00:00:00.000Z"), "{said}");
    assert_eq!(watermark(&line), 1_767_225_600_000);
    assert!(gregor(&line, &["--to", "now"]).contains("nothing was done"));
    line.settle();
    assert_eq!(line.host.term(), Some(0));
    line.host = line.setup.start();
    assert_eq!(watermark(&line), 1_767_225_600_000);
    let audit = fs::read_to_string(line.setup.data("one").join("audit.log")).expect("an audit log");
    assert!(audit.contains(r#""action":"watermark""#) && audit.contains(r#""to":1767225600000"#), "{audit}");
}

/// `gregor state watermark line …` for the host of `line`; what it said.
#[track_caller]
fn gregor(line: &Line, arguments: &[&str]) -> String {
    let admin = eventually("an admin server", || line.host.admin());
    let output = Command::new(env!("CARGO_BIN_EXE_gregor"))
        .args(["state", "watermark", "line", "--admin", &admin])
        .args(arguments)
        .env("GREGOR_ADMIN_TOKEN", TOKEN)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}
