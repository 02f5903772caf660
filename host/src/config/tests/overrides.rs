//! Values from the environment.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_variable_overrides_any_value() {
    let config = accepted(
        EXAMPLE,
        &[
            ("GREGOR__APP", "other"),
            ("GREGOR__HOST__DATA_DIR", "/var/lib/gregor"),
            ("GREGOR__HOST__WORKERS", "3"),
            ("GREGOR__HOST__INSECURE", "true"),
            ("GREGOR__DELIVERY__COMMIT_INTERVAL", "1s"),
            ("GREGOR__KAFKA__BOOTSTRAP_SERVERS", "kafka:9092"),
            ("GREGOR__KAFKA__LINGER_MS", "7"),
            ("GREGOR__KAFKA__SASL_USERNAME", "gregor"),
            ("GREGOR__PIPELINE__0__SINK", "elsewhere"),
            ("GREGOR__PIPELINE__PLAIN__SOURCE", "rooms"),
            ("GREGOR__PIPELINE__0__STAGE__0__CONFIG__UNIT", "km"),
            ("GREGOR__PIPELINE__LOCATIONS__STAGE__KEY_BY__CONFIG__MAX_AGE", "60"),
            ("GREGOR__PIPELINE__LOCATIONS__STAGE__LAST__ON_FAILURE", "hold"),
            ("GREGOR__PIPELINE__LOCATIONS__STAGE__LAST__TOPICS", "[\"one\"]"),
            ("GREGOR__PIPELINE__LOCATIONS__STAGE__LAST__RETRY", "{ attempts = 9 }"),
            ("GREGOR__PIPELINE__LOCATIONS__STAGE__LAST__RETRY__BACKOFF", "1ms"),
            ("GREGOR_LOG", "not one of ours"),
            ("PATH", "/bin"),
        ],
    );
    assert_eq!(config.app, "other");
    assert_eq!(config.host.data_dir, PathBuf::from("/var/lib/gregor"));
    assert_eq!(config.host.workers, 3);
    assert!(config.host.insecure);
    assert_eq!(config.delivery.commit_interval, Duration::from_secs(1));
    assert_eq!(config.kafka.bootstrap_servers(), "kafka:9092");
    assert_eq!(config.kafka.get("linger.ms"), Some("7"));
    assert_eq!(config.kafka.get("sasl.username"), Some("gregor"));
    assert_eq!(config.pipelines[0].sink.as_deref(), Some("elsewhere"));
    assert_eq!(config.pipelines[1].source, "rooms");
    let [last, key_by] = &config.pipelines[0].stages[..] else { panic!("two stages") };
    assert_eq!(last.config["unit"], "km");
    assert_eq!(key_by.config["max-age"], "60");
    assert_eq!(last.on_failure, OnFailure::Hold);
    assert_eq!(last.topics, ["one"]);
    assert_eq!(last.retry.attempts, 9);
    assert_eq!(last.retry.backoff, Duration::from_millis(1));
}

#[test]
fn a_variable_may_add_what_the_file_lacks() {
    let text = LEAST.replace("app = \"a\"\n", "").replace("\"bootstrap.servers\" = \"b:9092\"\n", "");
    let config = accepted(&text, &[("GREGOR__APP", "a"), ("GREGOR__KAFKA__BOOTSTRAP_SERVERS", "kafka:9092")]);
    assert_eq!(config.app, "a");
    assert_eq!(config.kafka.bootstrap_servers(), "kafka:9092");
}

#[test]
fn the_expected_kind_decides_how_a_variable_is_read() {
    let env = [
        ("GREGOR__HOST__ADMIN_TOKEN", "1234567890123456"),
        ("GREGOR__HOST__ID", "\"quoted\""),
        ("GREGOR__PIPELINE__0__SINK", "2026-11-23"),
    ];
    let config = accepted(LEAST, &env);
    assert_eq!(config.host.admin_token.unwrap().expose(), "1234567890123456");
    assert_eq!(config.host.id, "quoted");
    assert_eq!(config.pipelines[0].sink.as_deref(), Some("2026-11-23"));
}

#[test]
fn a_key_of_the_file_is_found_in_its_own_spelling() {
    let text = with_stage("config = { apiBase_url = \"x\" }");
    let config = accepted(&text, &[("GREGOR__PIPELINE__P__STAGE__S__CONFIG__APIBASE_URL", "y")]);
    assert_eq!(config.pipelines[0].stages[0].config, BTreeMap::from([("apiBase_url".to_owned(), "y".to_owned())]));
}

#[test]
fn a_variable_reaches_a_plugins_key_in_any_spelling() {
    let reached = |text: &str, variable: &str| {
        let name = format!("GREGOR__PIPELINE__P__STAGE__S__CONFIG__{variable}");
        let config = accepted(text, &[(&name, "60")]).pipelines.remove(0).stages.remove(0).config;
        config.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    for (variable, key) in
        [("MAX_AGE", "max-age"), ("max_age", "max_age"), ("maxAge", "maxAge"), ("max-age", "max-age")]
    {
        assert_eq!(reached(LEAST, variable), [format!("{key}=60")]);
    }
    let both = with_stage("config = { max_age = \"1\", max-age = \"2\" }");
    assert_eq!(reached(&both, "max_age"), ["max-age=2", "max_age=60"]);
    assert_eq!(reached(&with_stage("config = { maxAge = \"1\" }"), "MAXAGE"), ["maxAge=60"]);
}

#[test]
fn a_variable_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStringExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gregor.toml");
    std::fs::write(&path, LEAST).unwrap();
    let latin = std::ffi::OsString::from_vec(b"h1dden\xe9".to_vec());
    let env = |name: &str| [(name.into(), latin.clone())];
    let errors = Config::load_with(&path, env("GREGOR__KAFKA__SASL_PASSWORD"), &librdkafka).unwrap_err().to_string();
    assert!(errors.starts_with("GREGOR__KAFKA__SASL_PASSWORD: is not UTF-8 text; "), "{errors}");
    assert!(!errors.contains("h1dden"), "{errors}");
    assert!(Config::load_with(&path, env("LESSOPEN"), &librdkafka).is_ok());
}

#[test]
fn a_secret_with_the_line_break_of_its_file_is_told() {
    for (variable, key) in [
        ("GREGOR__KAFKA__SASL_PASSWORD", "kafka.sasl.password: ends with a line break"),
        ("GREGOR__KAFKA__SSL_KEY_PASSWORD", "kafka.ssl.key.password: ends with a line break"),
        ("GREGOR__REDIS__URL", "redis.url: ends with a line break"),
        ("GREGOR__HOST__ADMIN_TOKEN", "host.admin-token: holds characters that no HTTP header takes"),
    ] {
        let value = if variable.contains("URL") { "redis://cache/0\n" } else { "h1dden\n" };
        let errors = refused(LEAST, &[(variable, value)]);
        assert!(errors.contains(key), "{errors}");
        assert!(!errors.contains("h1dden"), "{errors}");
    }
    accepted(LEAST, &[("GREGOR__KAFKA__SSL_KEY_PEM", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")]);
}

#[test]
fn a_variable_is_checked_as_the_file_is() {
    let errors = refused(
        EXAMPLE,
        &[
            ("GREGOR__HOST__START_TIMEOUT", "5"),
            ("GREGOR__HOST__WORKERS", "many"),
            ("GREGOR__PIPELINE__0__SINK", "locations"),
            ("GREGOR__PIPELINE__0__STAGE__0__TOPICS", "one,two"),
        ],
    );
    assert_eq!(
        errors,
        "\
GREGOR__HOST__START_TIMEOUT: host.start-timeout: 5 has no unit; write \"5s\" or \"5m\"
GREGOR__HOST__WORKERS: host.workers: is a string, not a whole number; write a whole number from 1 to 256, without quotes
GREGOR__PIPELINE__0__SINK: pipeline.locations.sink: is the source \"locations\", which the pipeline would then read back for ever; name another topic
GREGOR__PIPELINE__0__STAGE__0__TOPICS: pipeline.locations.stage.last.topics: is a string, not an array; write [\"first\", \"second\"]
4 problems in the configuration"
    );
}

#[test]
fn a_variable_that_addresses_nothing_is_refused() {
    let errors = refused(
        EXAMPLE,
        &[
            ("GREGOR__", "x"),
            ("GREGOR__APP__NAME", "x"),
            ("GREGOR__HOST__WORKRES", "3"),
            ("GREGOR__HOST____ID", "x"),
            ("GREGOR__OTHER__KEY", "x"),
            ("GREGOR__PIPELINE__2__SINK", "x"),
            ("GREGOR__PIPELINE__WARDS__SINK", "x"),
            ("GREGOR__PIPELINE__0__STAGE__LOST__LOG", "warn"),
        ],
    );
    assert_eq!(
        errors,
        "\
GREGOR__: addresses nothing: a part of its name is empty; name a section and a key, as in GREGOR__HOST__WORKERS
GREGOR__APP__NAME: addresses nothing: APP is a string, which has no keys; name a section and a key, as in GREGOR__HOST__WORKERS
GREGOR__HOST__WORKRES: host.workres: unknown key; did you mean `workers`?
GREGOR__HOST____ID: addresses nothing: a part of its name is empty; name a section and a key, as in GREGOR__HOST__WORKERS
GREGOR__OTHER__KEY: other: unknown key; known here: app, host, delivery, kafka, plugins, redis, pipeline
GREGOR__PIPELINE__0__STAGE__LOST__LOG: addresses nothing: nothing is called LOST here; use a name, or an index from 0 to 1
GREGOR__PIPELINE__2__SINK: addresses nothing: nothing is called 2 here; use a name, or an index from 0 to 1
GREGOR__PIPELINE__WARDS__SINK: addresses nothing: nothing is called WARDS here; use a name, or an index from 0 to 1
8 problems in the configuration"
    );
    let no_pipeline = refused("app = \"a\"", &[("GREGOR__PIPELINE__0__SINK", "x")]);
    assert!(no_pipeline.contains("GREGOR__PIPELINE__0__SINK: addresses nothing: there is no [[pipeline]]"));
}

#[test]
fn a_variable_may_replace_an_element() {
    let whole = "{ name = \"q\", source = \"in\", stage = [{ plugin = \"t\" }] }";
    let config = accepted(LEAST, &[("GREGOR__PIPELINE__0", whole), ("GREGOR__PIPELINE__0__SINK", "out")]);
    let [pipeline] = &config.pipelines[..] else { panic!("one pipeline") };
    assert_eq!((pipeline.name.as_str(), pipeline.sink.as_deref()), ("q", Some("out")));
    assert_eq!(pipeline.stages[0].plugin, "t");
}

#[test]
fn no_variable_makes_the_reader_panic() {
    let names = [
        "APP",
        "HOST",
        "HOST__ID",
        "HOST__ADMIN",
        "KAFKA",
        "KAFKA__A__B",
        "DELIVERY__GUARANTEE",
        "PLUGINS__TRUSTED_KEYS",
        "PIPELINE",
        "PIPELINE__0",
        "PIPELINE__0__STAGE",
        "PIPELINE__0__STAGE__0",
        "PIPELINE__0__STAGE__0__TIMEOUT",
        "PIPELINE__0__STAGE__0__TOPICS",
        "PIPELINE__0__STAGE__0__TOPICS__0",
        "PIPELINE__0__STAGE__0__CONFIG",
        "PIPELINE__-1",
        "PIPELINE__99999999999999999999",
        "Ü",
        "__",
        "___",
    ];
    let values = [
        "",
        " ",
        "1",
        "-1",
        "9ü",
        "ü",
        "\"",
        "[",
        "[]",
        "[1]",
        "[[]]",
        "{}",
        "{ a = { b = 1 } }",
        "nan",
        "1e400",
        "0x",
        "99999999999999999999",
        "2026-11-23",
        "\0",
        "'",
        "1\nx = 2",
    ];
    for name in names {
        for value in values {
            if let Err(errors) = parse_with(EXAMPLE, &[(&format!("GREGOR__{name}"), value)]) {
                assert!(!errors.0.is_empty(), "refused without a problem: {name} = {value}");
            }
        }
    }
}
