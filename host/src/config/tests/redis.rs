//! `[redis]`, and the stages that need it.

use super::*;

const STAGE: &str = "state = { backend = \"redis\" }";

/// A stage with its state in Redis, and `lines` in `[redis]`, which start at line 5.
fn with_redis(lines: &str) -> String {
    with_table(&format!("[redis]\n{lines}")) + STAGE + "\n"
}

#[test]
fn redis_is_a_url_and_how_long_to_wait() {
    let config = accepted(&with_redis("url = \"redis://localhost:6379/3\""), &[]);
    let redis = config.redis.unwrap();
    assert_eq!(redis.url.expose(), "redis://localhost:6379/3");
    assert_eq!((redis.ca, redis.timeout), (None, Duration::from_secs(1)));
    assert_eq!(config.pipelines[0].stages[0].state.backend, Backend::Redis);

    let lines = "url = \"rediss://gregor:p%40ss@cache.example:6380\"\nca = \"tls/ca.pem\"\ntimeout = \"250ms\"";
    let dir = tempfile::tempdir().unwrap();
    let missing = parse_in(dir.path(), &with_redis(lines)).unwrap_err().to_string();
    let ca = dir.path().join("tls/ca.pem");
    let told = format!("gregor.toml:6: redis.ca: names {}, which cannot be read: No such file", ca.display());
    assert!(missing.starts_with(&told), "{missing}");
    std::fs::create_dir(dir.path().join("tls")).unwrap();
    std::fs::write(&ca, "").unwrap();
    let redis = parse_in(dir.path(), &with_redis(lines)).unwrap().redis.unwrap();
    assert_eq!(redis.ca, Some(ca));
    assert_eq!(redis.timeout, Duration::from_millis(250));

    assert_eq!(accepted(LEAST, &[]).redis, None);
}

#[test]
fn a_variable_names_redis_without_a_table_in_the_file() {
    let config = accepted(&with_stage(STAGE), &[("GREGOR__REDIS__URL", "redis://cache:6379")]);
    assert_eq!(config.redis.unwrap().url.expose(), "redis://cache:6379");
    let config = accepted(&with_redis("url = \"redis://a\""), &[("GREGOR__REDIS__URL", "redis://b")]);
    assert_eq!(config.redis.unwrap().url.expose(), "redis://b");
}

#[test]
fn a_stage_with_its_state_in_redis_needs_one() {
    assert_eq!(
        problem(&with_stage(STAGE)),
        "gregor.toml:1: redis: is missing, and stage \"s\" of pipeline \"p\" keeps its state there; \
         add [redis] with url = \"redis://host:6379/0\", or set GREGOR__REDIS__URL"
    );
    assert_eq!(
        problem(&with_redis("timeout = \"2s\"")),
        "gregor.toml:4: redis.url: is missing; add url = \"redis://host:6379/0\""
    );
}

#[test]
fn a_url_that_is_none_is_refused_and_not_told() {
    for bad in [
        "h1dden",
        "localhost:6379",
        "http://gregor:h1dden@host",
        "redis://",
        "redis://gregor:h1dden@host:port",
        "redis://gregor:h1dden@host/zero",
        "redis://gregor:h1d/den@host",
        "rediss://gregor:h1dden@host#insecure-not",
        "unix:///tmp/redis.sock",
    ] {
        let line = problem(&with_redis(&format!("url = \"{bad}\"")));
        assert!(line.starts_with("gregor.toml:5: redis.url: is not the URL of a Redis; write \"redis://"), "{line}");
        assert!(!line.contains("h1d"), "{line}");
    }
    let line = problem(&with_redis("url = 6379"));
    assert!(line.starts_with("gregor.toml:5: redis.url: is an integer, not a string; "), "{line}");
}

#[test]
fn settings_without_use_are_refused() {
    assert_eq!(
        problem(&with_redis("url = \"redis://host\"\nca = \"ca.pem\"")),
        "gregor.toml:6: redis.ca: is of no use without TLS; begin `url` with rediss://, or leave `ca` out"
    );
    let url = "[redis]\nurl = \"redis://host\"";
    let stage = |keys: &str| format!("{}state = {{ backend = \"redis\", {keys} }}\n", with_table(url));
    let line = problem(&stage("changelog = true"));
    assert!(line.starts_with("gregor.toml:11: pipeline.p.stage.s.state.changelog: is on, and Redis"), "{line}");
    let line = problem(&stage("max-bytes = \"2GiB\", max-value = \"1GiB\""));
    assert_eq!(
        line,
        "gregor.toml:11: pipeline.p.stage.s.state.max-value: is more than Redis takes; write 512MiB or less"
    );
}

#[test]
fn debug_shows_no_password() {
    let config = accepted(&with_redis("url = \"rediss://gregor:h1dden@host\""), &[]);
    let shown = format!("{config:?}");
    assert!(!shown.contains("h1dden") && shown.contains("redis: Some(Redis { url: ***"), "{shown}");
}
