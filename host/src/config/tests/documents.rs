//! What a file says, and what it leaves to the defaults.

use std::collections::BTreeMap;

use super::*;

#[test]
fn every_key_of_the_example_is_read() {
    let config = accepted(EXAMPLE, &[]);
    assert_eq!(config.app, "patient-locations");
    assert_eq!(
        config.kafka.iter().collect::<Vec<_>>(),
        [("bootstrap.servers", "localhost:9092"), ("enable.ssl.certificate.verification", "true"), ("linger.ms", "5"),]
    );
    assert_eq!(
        config.host,
        Host {
            id: "ward-3".into(),
            workers: 2,
            static_membership: false,
            data_dir: "/etc/gregor/data".into(),
            admin: Some(([127, 0, 0, 1], 9640).into()),
            admin_token: None,
            admin_hosts: Vec::new(),
            insecure: false,
            max_instances: 64,
            start_timeout: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(15),
        }
    );
    assert_eq!(
        config.delivery,
        Delivery { guarantee: Guarantee::AtLeastOnce, commit_interval: Duration::from_millis(500) }
    );
    assert_eq!(
        config.plugins,
        Plugins {
            dir: "/srv/plugins".into(),
            max_size: 16 << 20,
            trusted_keys: vec![],
            compile_timeout: Duration::from_secs(30),
            compile_memory: 2 << 30,
            keep_versions: 3,
            probation: Probation { time: Duration::from_secs(300), max_failure_percent: 5 },
            migrate_timeout: Duration::from_secs(30),
            unknown_versions: UnknownVersions::Serve,
        }
    );
    let [locations, plain] = &config.pipelines[..] else { panic!("two pipelines") };
    assert_eq!(locations.name, "locations");
    assert_eq!(locations.source, "locations");
    assert_eq!(locations.start, Start::Latest);
    assert_eq!(locations.sink.as_deref(), Some("locations-enriched"));
    assert_eq!(locations.dead_letter.as_deref(), Some("locations-dead-letter"));
    assert!(locations.provenance);
    assert_eq!(locations.max_out_of_orderness, Duration::from_secs(30));
    assert_eq!(locations.idle_timeout, Some(Duration::from_millis(1_500)));
    assert_eq!((locations.max_future, locations.future), (Duration::from_secs(3_600), FutureRecords::Fail));
    assert_eq!((locations.max_record_bytes, locations.max_headers), (2 << 20, 50));
    assert_eq!(plain.name, "plain");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        locations.stages[0],
        Stage {
            name: "last".into(),
            plugin: "last-location".into(),
            state: State {
                backend: Backend::Memory,
                changelog: false,
                max_bytes: 1 << 30,
                max_value: 64 << 10,
                hot_bytes: 8 << 20,
                replication_factor: None,
                standby: 0,
                on_mismatch: OnMismatch::Hold,
            },
            topics: vec!["locations-by-ward".into(), "audit".into()],
            limits: Limits {
                timeout: Duration::from_secs(2),
                memory: 128 << 20,
                outputs: 10,
                output_bytes: 1 << 20,
                log_lines: 7,
                call_memory: 128 << 20,
            },
            isolation: Isolation::Record,
            capsules: 7,
            on_failure: OnFailure::Skip,
            retry: Retry { attempts: 3, backoff: Duration::from_millis(50), max_backoff: Duration::from_secs(5) },
            log: Some(LogLevel::Warn),
            config: BTreeMap::from([
                pair("factor", "1.50"),
                pair("radius", "6371000"),
                pair("strict", "true"),
                pair("unit", "m"),
            ]),
        }
    );
}

#[test]
fn what_is_left_out_has_a_default() {
    let config = accepted(LEAST, &[]);
    assert!(!config.host.id.is_empty());
    assert!((1..=4).contains(&config.host.workers));
    assert_eq!(config.host.data_dir, PathBuf::from("/etc/gregor/data"));
    assert_eq!(config.host.admin, Some(([127, 0, 0, 1], 9640).into()));
    assert_eq!(config.host.admin_token, None);
    assert!(!config.host.insecure);
    assert_eq!(config.host.max_instances, 256);
    assert_eq!(config.host.start_timeout, Duration::from_secs(30));
    assert_eq!(config.host.shutdown_timeout, Duration::from_secs(10));
    assert_eq!(config.delivery.guarantee, Guarantee::AtLeastOnce);
    assert_eq!(config.delivery.commit_interval, Duration::from_millis(200));
    assert_eq!(config.plugins.dir, PathBuf::from("/etc/gregor/plugins"));
    assert_eq!(config.plugins.max_size, 64 << 20);
    let [pipeline] = &config.pipelines[..] else { panic!("one pipeline") };
    assert_eq!(pipeline.start, Start::Earliest);
    assert_eq!((&pipeline.sink, &pipeline.dead_letter), (&None, &None));
    assert!(!pipeline.provenance);
    assert_eq!((pipeline.max_out_of_orderness, pipeline.idle_timeout), (Duration::ZERO, None));
    assert_eq!((pipeline.max_future, pipeline.future), (Duration::from_secs(600), FutureRecords::Clamp));
    assert_eq!((pipeline.max_record_bytes, pipeline.max_headers), (64 << 20, 10_000));
    assert_eq!(
        pipeline.stages,
        [Stage {
            name: "s".into(),
            plugin: "s".into(),
            state: State {
                backend: Backend::Memory,
                changelog: false,
                max_bytes: 256 << 20,
                max_value: 1 << 20,
                hot_bytes: 8 << 20,
                replication_factor: None,
                standby: 0,
                on_mismatch: OnMismatch::Hold,
            },
            topics: vec![],
            limits: Limits {
                timeout: Duration::from_secs(1),
                memory: 64 << 20,
                outputs: 1_000,
                output_bytes: 8 << 20,
                log_lines: 100,
                call_memory: 64 << 20,
            },
            isolation: Isolation::Task,
            capsules: 0,
            on_failure: OnFailure::Hold,
            retry: Retry { attempts: 5, backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(10) },
            log: None,
            config: BTreeMap::new(),
        }]
    );
}

#[test]
fn failed_records_are_dead_letters_where_there_is_a_topic_for_them() {
    let config = accepted(&with_pipeline(r#"dead-letter = "dead""#), &[]);
    assert_eq!(config.pipelines[0].stages[0].on_failure, OnFailure::DeadLetter);
}

#[test]
fn a_default_gives_way_to_the_limit_written_beside_it() {
    let text = with_stage("retry = { backoff = \"1m\" }\nstate = { max-bytes = \"10KiB\" }");
    let stage = &accepted(&text, &[]).pipelines[0].stages[0];
    assert_eq!(stage.retry.max_backoff, Duration::from_secs(60));
    assert_eq!(stage.state.max_value, 10 << 10);

    let text = with_stage("retry = { max-backoff = \"20ms\" }\nstate = { max-value = \"512MiB\" }");
    let stage = &accepted(&text, &[]).pipelines[0].stages[0];
    assert_eq!(stage.retry.backoff, Duration::from_millis(20));
    assert_eq!(stage.state.max_bytes, 512 << 20);
}

#[test]
fn the_admin_server_and_the_log_can_be_off() {
    let text = with_table("[host]\nadmin = \"off\"") + "log = \"off\"\ncapsules = \"off\"\n";
    let config = accepted(&text, &[]);
    assert_eq!(config.host.admin, None);
    assert_eq!(config.pipelines[0].stages[0].log, None);
    assert_eq!(config.pipelines[0].stages[0].capsules, 0);
}

#[test]
fn dotted_keys_without_quotes_are_kafka_properties_too() {
    let text = LEAST.replace("\"bootstrap.servers\"", "bootstrap.servers");
    let config = accepted(&text, &[]);
    assert_eq!(config.kafka.bootstrap_servers(), "b:9092");
}

#[test]
fn several_pipelines_may_read_one_source() {
    let second = "[[pipeline]]\nname = \"q\"\nsource = \"in\"\n[[pipeline.stage]]\nplugin = \"s\"\n";
    assert_eq!(accepted(&format!("{LEAST}{second}"), &[]).pipelines.len(), 2);
}

#[test]
fn a_file_is_found_beside_its_folders() {
    let dir = std::env::temp_dir().join(format!("gregor-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("gregor.toml");
    std::fs::write(&path, LEAST).unwrap();
    let config = Config::load(&path, [], &librdkafka);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(config.unwrap().host.data_dir, dir.join("data"));
}

#[test]
fn no_text_makes_the_reader_panic() {
    let read = |text: &str| {
        if let Err(errors) = parse_with(text, &[]) {
            assert!(!errors.0.is_empty(), "refused without a problem:\n{text}");
        }
    };
    assert!(EXAMPLE.is_ascii(), "cut anywhere");
    for at in 0..EXAMPLE.len() {
        read(&EXAMPLE[..at]);
        for odd in ["\0", "=", "[", "]", "\"", "\n", "9", "ü", "{", "."] {
            read(&format!("{}{odd}{}", &EXAMPLE[..at], &EXAMPLE[at + 1..]));
        }
    }
}

#[test]
fn deep_nesting_is_refused_without_exhausting_the_stack() {
    for open in ["[", "{ a = ", "a."] {
        let deep = open.repeat(100_000);
        refused(&format!("x = {deep}"), &[]);
        refused(&format!("{deep}x = 1"), &[]);
        refused(LEAST, &[("GREGOR__HOST__WORKERS", &deep)]);
    }
}
