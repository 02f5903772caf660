//! What a host tells of itself, and what it keeps to itself.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::extra::{Line, Topics, revised, stage};
use crate::support::{Pipeline, Record, Setup, kafka, plugin, until};

#[test]
fn metrics_tell_what_a_run_did() {
    let retry = r#"retry = { attempts = 5, backoff = "1ms", max-backoff = "5ms" }"#;
    let line = Line::start(2, "fails", retry);
    for partition in 0..2 {
        for value in ["good", "good", "reject", "good", "good", "good"] {
            line.send(partition, "key", value);
        }
    }
    line.send(0, "key", "retry:2");
    line.settle();
    line.setup.put("fails", &revised(&plugin("fails")));

    let [source, sink, dead] =
        [&line.topics.source, &line.topics.sink, &line.topics.dead].map(|topic| format!("topic={topic:?}"));
    let of_stage = [r#"pipeline="line""#, r#"stage="fails""#];
    let with = |label| [of_stage[0], of_stage[1], label];
    line.expect_metric("gregor_records_consumed_total", &[&source], 13.0);
    line.expect_metric("gregor_records_consumed_total", &[], 13.0);
    line.expect_metric("gregor_records_produced_total", &[&sink], 11.0);
    line.expect_metric("gregor_records_produced_total", &[&dead], 2.0);
    line.expect_metric("gregor_plugin_calls_total", &with(r#"outcome="ok""#), 11.0);
    line.expect_metric("gregor_plugin_calls_total", &with(r#"outcome="reject""#), 2.0);
    line.expect_metric("gregor_plugin_calls_total", &with(r#"outcome="retry""#), 2.0);
    line.expect_metric("gregor_plugin_calls_total", &[], 15.0);
    line.expect_metric("gregor_plugin_call_seconds_count", &of_stage, 15.0);
    line.expect_metric("gregor_retries_total", &of_stage, 2.0);
    line.expect_metric("gregor_dead_letters_total", &with(r#"reason="reject""#), 2.0);
    line.expect_metric("gregor_dead_letters_total", &[], 2.0);
    line.expect_metric("gregor_plugin_swaps_total", &[r#"plugin="fails""#, r#"outcome="activated""#], 1.0);
    line.expect_metric("gregor_plugin_swap_pause_seconds_count", &[r#"plugin="fails""#], 2.0);
    line.expect_metric("gregor_partition_state", &[&source, r#"state="running""#], 2.0);
    line.expect_metric("gregor_partition_state", &[], 2.0);

    let text = line.host.metrics();
    for partition in [r#"partition="0""#, r#"partition="1""#] {
        let lag = format!("gregor_consumer_lag{{{source},{partition}}} 0");
        until("the lag is known and 0", || line.host.metrics().lines().any(|line| line == lag));
    }
    for (family, kind) in [
        ("records_consumed", "counter"),
        ("records_produced", "counter"),
        ("commit_seconds", "histogram"),
        ("plugin_calls", "counter"),
        ("plugin_call_seconds", "histogram"),
        ("plugin_traps", "counter"),
        ("retries", "counter"),
        ("records_skipped", "counter"),
        ("dead_letters", "counter"),
        ("plugin_swaps", "counter"),
        ("plugin_swap_pause_seconds", "histogram"),
        ("consumer_lag", "gauge"),
        ("partition_state", "gauge"),
        ("state_entries", "gauge"),
        ("state_bytes", "gauge"),
    ] {
        let declared = format!("# TYPE gregor_{family} {kind}");
        assert!(text.lines().any(|line| line == declared), "{declared} is missing");
    }
    assert!(text.ends_with("# EOF\n"));
    // Series that have not counted yet are there at 0, for `increase()`.
    assert!(text.contains(r#"gregor_plugin_traps_total{pipeline="line",stage="fails",reason="timeout"} 0"#));
    assert!(line.host.metric("gregor_commit_seconds_count", &[]) >= 1.0);
}

#[test]
fn a_plugins_own_metrics_stand_beside_the_hosts_and_never_in_their_place() {
    let line = Line::start(2, "metrics", "");
    for value in ["count:seen:3", "count:seen:4", "observe:load:0.5", "count:calls:900", "count:Not-A-Name:1"] {
        line.send(0, "key", value);
    }
    line.send(1, "key", "count:seen:5");
    line.settle();
    let of_stage = [r#"pipeline="line""#, r#"stage="metrics""#];
    line.expect_metric("gregor_plugin_seen_total", &of_stage, 12.0);
    line.expect_metric("gregor_plugin_load", &of_stage, 0.5);
    line.expect_metric("gregor_plugin_calls_total", &[], 6.0);
    let text = line.host.metrics();
    assert!(!text.contains("Not-A-Name"));
    assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE gregor_plugin_calls ")).count(), 1);
}

#[test]
fn no_plugin_makes_the_metrics_unreadable() {
    let line = Line::start(1, "metrics", "");
    for value in ["count:seen:1", "observe:depth:NaN", "observe:depth:inf", "observe:low:-inf", "observe:small:-0.0"] {
        line.send(0, "key", value);
    }
    let suffixes = ["total", "created", "bucket", "count", "sum", "info", "gcount", "gsum", "total_created"];
    for suffix in suffixes {
        for name in ["calls", "refusals", "call_seconds", "swap_pause_seconds", "seen", "depth", "", "_", "7"] {
            line.send(0, "key", &format!("observe:{name}_{suffix}:1"));
            line.send(0, "key", &format!("count:{name}_{suffix}:1"));
        }
    }
    line.settle();
    line.expect_metric("gregor_plugin_low", &[], f64::NEG_INFINITY);
    let mut parser = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["run", "--quiet", "--locked", "--package", "xtask", "--", "openmetrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo runs");
    let text = line.host.metrics();
    parser.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let read = parser.wait_with_output().expect("its end");
    let told = String::from_utf8_lossy(&read.stdout) + String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success() && told.contains("samples"), "{told}\n{text}");
    let refused = line.host.metric("gregor_plugin_refusals_total", &[r#"limit="metric-names""#]);
    assert!(refused > 0.0, "the names of others were taken: {text}");
}

#[test]
fn nothing_of_a_record_or_a_guest_is_in_the_log_or_the_admin_api() {
    let topics = Topics::new(2);
    let plugins = ["script", "traps", "fails", "logs", "outputs", "metrics"];
    let pipelines = plugins.into_iter().fold(Setup::new(), |setup, name| {
        let pipeline = Pipeline::named(name, &topics.source).sink(&topics.sink).dead_letter(&topics.dead);
        let retry = r#"retry = { attempts = 1, backoff = "1ms" }"#;
        setup.pipeline(pipeline.provenance().stage(stage(name, retry)))
    });
    // All that the host can log of its own.
    let host = pipelines.spawn_as("one", &["--log", "info,gregor=trace,librdkafka=trace"]);
    let line = Line::of(topics, pipelines, host);
    let values = [
        "set canary-entry canary-value\ncanary-command",
        "set canary-entry canary-value\ntrap",
        "set canary-entry canary-value\nreject",
        "panic",
        "reject",
        "retry",
        "log:3",
        "print:3",
        "eprint:3",
        "topic:canary-topic",
        "count:canary-count:1",
        "header-nul",
    ];
    for (nth, value) in values.into_iter().enumerate() {
        let record = Record::new(format!("canary-key-{nth}"), value).partition(nth as i32 % 2);
        line.send_record(record.header("canary-header", Some(b"canary-header-value")));
    }
    line.settle();
    assert!(line.dead().len() >= values.len(), "each value fails somewhere");
    line.host.wait_for_log("\"attempts\"");
    let mut told = vec![("log", line.host.log()), ("metrics", line.host.metrics())];
    for route in ["status", "partitions", "plugins"] {
        told.push((route, line.host.document(route).to_string()));
    }
    for (place, text) in told {
        for secret in ["canary", "as commanded", "the script says so", "no such command", "line 0", "line 2"] {
            assert!(!text.contains(secret), "{secret:?} is in the {place}");
        }
    }
}

#[test]
fn a_guests_lines_are_logged_where_the_stage_asks_for_them() {
    let topics = Topics::new(1);
    let pipeline = |name: &str, plugin: &str, lines: &str| {
        Pipeline::named(name, &topics.source).sink(&topics.sink).dead_letter(&topics.dead).stage(stage(plugin, lines))
    };
    let setup = Setup::new()
        .pipeline(pipeline("told", "logs", r#"log = "info""#))
        .pipeline(pipeline("warned", "logs", r#"log = "warn""#))
        .pipeline(pipeline("mute", "logs", r#"log = "off""#))
        .pipeline(pipeline("failing", "fails", r#"log = "info""#));
    let line = Line::run(topics, setup);
    for value in ["log:2", "print:1", "eprint:1", "reject"] {
        line.send(0, "key", value);
    }
    line.settle();
    let guests: Vec<(String, String, String)> = line
        .host
        .log()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["target"] == "gregor::guest")
        .map(|line| {
            let field = |name: &str| line["fields"][name].as_str().unwrap_or_default().to_owned();
            (line["level"].as_str().unwrap_or_default().to_owned(), field("pipeline"), field("message"))
        })
        .collect();
    let expected = [
        ("INFO", "told", "\"line 0\""),
        ("INFO", "told", "\"line 1\""),
        ("INFO", "told", "\"line 0\""),
        ("WARN", "told", "\"line 0\""),
        ("WARN", "warned", "\"line 0\""),
        ("WARN", "failing", "\"as commanded\""),
    ];
    let expected = expected.map(|(level, pipeline, text)| (level.to_owned(), pipeline.to_owned(), text.to_owned()));
    assert_eq!(guests, expected);
}

#[test]
fn lines_past_their_limit_are_dropped_and_counted() {
    let line = Line::start(1, "logs", "log = \"info\"\nlog-lines = 3");
    line.ask(0, "log:10");
    let kept = |line: &Line| line.host.log().matches("\"message\":\"\\\"line ").count();
    assert_eq!(kept(&line), 3);
    until("the dropped lines are told with a later record", || {
        line.ask(0, "quiet");
        line.host.log().lines().any(|line| line.contains("\"dropped\":7"))
    });
    assert_eq!(kept(&line), 3);
}

#[test]
fn health_is_open_and_all_else_asks_for_the_token() {
    let topics = Topics::new(1);
    let pipeline = topics.pipeline().stage(stage("echo", ""));
    let line = Line::run(topics, Setup::new().host("admin-token", "\"open-sesame\"").pipeline(pipeline));
    line.host.wait_until_ready();
    let status = |route: &str| line.host.ask(route).map(|(status, _)| status);
    assert_eq!((status("/healthz"), status("/readyz")), (Some(200), Some(200)));
    for route in ["/", "/metrics", "/api/v1/status", "/api/v1/partitions", "/api/v1/plugins", "/nothing"] {
        assert_eq!(status(route), Some(401), "{route}");
    }
    assert!(!line.host.log().contains("open-sesame"));
}

#[test]
fn a_host_is_ready_once_its_workers_are_members() {
    let line = Line::start(2, "echo", "");
    line.host.wait_until_ready();
    assert_eq!(kafka().group(&line.setup.app).members.len(), 2);
    // A cooperative rebalance may still be in its second round.
    until("the group is stable with both", || kafka().is_stable(&line.setup.app, 2));
    assert_eq!(line.host.ask("/healthz"), Some((200, "ok\n".to_owned())));
    assert_eq!(line.host.ask("/readyz"), Some((200, "ready\n".to_owned())));
    assert_eq!(line.host.ask("/nothing").map(|(status, _)| status), Some(404));
}
