//! Each table of the file, key by key, with its ranges and defaults.

use std::path::Path;
use std::time::Duration;

use super::document::Table;
use super::error::ConfigError;
use super::kind::{self, boolean, choice, whole};
use super::quantity::{STAGE_MEMORY, duration, percent, size};
use super::read::{self, Reader};
use super::{
    Backend, Config, Delivery, FutureRecords, Guarantee, Host, Isolation, KafkaProperty, Limits, LogLevel, OnFailure,
    OnMismatch, Pipeline, Plugins, Probation, Quarantine, Redis, Retry, Stage, Start, State, UnknownVersions, check,
    kafka, machine, risk,
};

/// More the client library does not hand out.
const MAX_HEADERS: usize = 100_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Reads the whole document. What comes back stands only if `problems` stays
/// empty: defaults and blanks are in the place of what was wrong.
pub(super) fn config(root: &Table, dir: &Path, accepts: KafkaProperty<'_>, problems: &mut Vec<ConfigError>) -> Config {
    read::table(root, String::new(), problems, |r| {
        let app = r.required("app", kind::name, "add app = \"my-app\": it becomes the group's id");
        let host = r.table("host", |r| host(r, dir));
        let insecure = host.insecure;
        let delivery = r.table("delivery", delivery);
        let config = Config {
            app: app.unwrap_or_default(),
            kafka: r.table("kafka", |r| kafka::properties(r, dir, delivery.guarantee, insecure, accepts)),
            host,
            delivery,
            plugins: r.table("plugins", |r| plugins(r, dir)),
            redis: match r.has("redis") {
                true => r.table("redis", |r| redis(r, dir, insecure)),
                // A known key all the same.
                false => r.get("redis", |_| Ok(None)).flatten(),
            },
            pipelines: r.tables(
                "pipeline",
                "pipeline",
                "add a [[pipeline]] with `name`, `source` and a [[pipeline.stage]]",
                pipeline,
            ),
            warnings: Vec::new(),
        };
        check::redis(r, &config.pipelines);
        check::standby(r, &config);
        check::versions(r, &config.pipelines);
        config
    })
}

fn host(r: &mut Reader<'_>, dir: &Path) -> Host {
    let host = Host {
        id: r.get("id", kind::host_id).unwrap_or_else(machine::name),
        workers: r.get("workers", whole(1..=256)).unwrap_or_else(machine::workers),
        static_membership: r.get("static-membership", boolean).unwrap_or(false),
        data_dir: dir.join(r.get("data-dir", kind::string).unwrap_or_else(|| "data".into())),
        admin: r.get("admin", kind::admin_address).unwrap_or(Some(([127, 0, 0, 1], 9640).into())),
        admin_token: r.get("admin-token", kind::token),
        admin_hosts: r.list("admin-hosts", kind::admin_host),
        insecure: r.get("insecure", boolean).unwrap_or(false),
        max_instances: r.get("max-instances", whole(1..=10_000)).unwrap_or(256),
        start_timeout: r.get("start-timeout", duration(s(1)..=HOUR)).unwrap_or(s(30)),
        shutdown_timeout: r.get("shutdown-timeout", duration(s(1)..=s(600))).unwrap_or(s(10)),
    };
    check::admin(r, host.admin, host.insecure);
    if let Some(token) = &host.admin_token {
        risk::token(r, token.expose(), host.insecure);
    }
    host
}

fn delivery(r: &mut Reader<'_>) -> Delivery {
    const GUARANTEES: &[(&str, Guarantee)] =
        &[("at-least-once", Guarantee::AtLeastOnce), ("exactly-once", Guarantee::ExactlyOnce)];
    let delivery = Delivery {
        guarantee: r.get("guarantee", choice(GUARANTEES)).unwrap_or(Guarantee::AtLeastOnce),
        commit_interval: r.get("commit-interval", duration(ms(10)..=s(60))).unwrap_or(ms(200)),
    };
    check::delivery(r, &delivery);
    delivery
}

fn plugins(r: &mut Reader<'_>, dir: &Path) -> Plugins {
    const UNKNOWN: &[(&str, UnknownVersions)] = &[("wait", UnknownVersions::Wait), ("serve", UnknownVersions::Serve)];
    Plugins {
        dir: dir.join(r.get("dir", kind::string).unwrap_or_else(|| "plugins".into())),
        max_size: r.get("max-size", size(KIB..=GIB)).unwrap_or(64 * MIB),
        trusted_keys: r.list("trusted-keys", kind::public_key),
        compile_timeout: r.get("compile-timeout", duration(s(1)..=HOUR)).unwrap_or(s(120)),
        compile_memory: r.get("compile-memory", size(256 * MIB..=1_024 * GIB)).unwrap_or(4 * GIB),
        keep_versions: r.get("keep-versions", whole(1..=100)).unwrap_or(5),
        probation: Probation {
            time: r.get("probation", duration(s(1)..=DAY)).unwrap_or(s(60)),
            max_failure_percent: r.get("max-failure-rate", percent).unwrap_or(50),
        },
        migrate_timeout: r.get("migrate-timeout", duration(ms(10)..=s(120))).unwrap_or(s(10)),
        unknown_versions: r.get("unknown-versions", choice(UNKNOWN)).unwrap_or(UnknownVersions::Wait),
    }
}

fn redis(r: &mut Reader<'_>, dir: &Path, insecure: bool) -> Option<Redis> {
    let url = r.required("url", kind::redis_url, "add url = \"redis://host:6379/0\"");
    let ca = r.get("ca", kind::string).map(|path| dir.join(path));
    let timeout = r.get("timeout", duration(ms(10)..=s(60))).unwrap_or(s(1));
    let redis = Redis { url: url?, ca, timeout };
    check::certificates(r, &redis);
    risk::redis(r, redis.url.expose(), insecure);
    Some(redis)
}

fn pipeline(r: &mut Reader<'_>, before: &[Pipeline]) -> Pipeline {
    const STARTS: &[(&str, Start)] = &[("earliest", Start::Earliest), ("latest", Start::Latest)];
    const FUTURES: &[(&str, FutureRecords)] = &[("clamp", FutureRecords::Clamp), ("fail", FutureRecords::Fail)];
    let name = r.required("name", kind::name, "add name = \"...\"");
    let source = r.required("source", kind::topic, "add source = \"...\", the topic to read");
    let source = source.unwrap_or_default();
    let dead_letter = r.has("dead-letter");
    let stages = r.tables(
        "stage",
        "pipeline.stage",
        "add a [[pipeline.stage]] with `plugin` below the pipeline",
        |r, before| stage(r, before, &source, dead_letter),
    );
    let pipeline = Pipeline {
        name: name.unwrap_or_default(),
        start: r.get("start", choice(STARTS)).unwrap_or(Start::Earliest),
        sink: r.get("sink", kind::topic),
        dead_letter: r.get("dead-letter", kind::topic),
        provenance: r.get("provenance", boolean).unwrap_or(false),
        max_out_of_orderness: r.get("max-out-of-orderness", duration(Duration::ZERO..=DAY)).unwrap_or(Duration::ZERO),
        idle_timeout: r.get("idle-timeout", duration(ms(100)..=DAY)),
        max_future: r.get("max-future", duration(Duration::ZERO..=YEAR)).unwrap_or(s(600)),
        future: r.get("future", choice(FUTURES)).unwrap_or(FutureRecords::Clamp),
        max_record_bytes: r.get("max-record-bytes", size(KIB..=GIB)).unwrap_or(64 * MIB),
        max_headers: r.get("max-headers", whole(0..=MAX_HEADERS)).unwrap_or(10_000),
        quarantine: r.table("quarantine", quarantine),
        stages,
        source,
    };
    check::pipeline(r, &pipeline, before);
    pipeline
}

fn quarantine(r: &mut Reader<'_>) -> Quarantine {
    Quarantine {
        records: r.get("records", whole(1..=1_000_000)).unwrap_or(1_000),
        bytes: r.get("bytes", size(KIB..=16 * GIB)).unwrap_or(16 * MIB),
    }
}

/// `dead_letter` tells whether the pipeline names a topic for dead letters.
fn stage(r: &mut Reader<'_>, before: &[Stage], source: &str, dead_letter: bool) -> Stage {
    const ISOLATIONS: &[(&str, Isolation)] = &[("task", Isolation::Task), ("record", Isolation::Record)];
    const POLICIES: &[(&str, OnFailure)] = &[
        ("dead-letter", OnFailure::DeadLetter),
        ("skip", OnFailure::Skip),
        ("hold", OnFailure::Hold),
        ("quarantine", OnFailure::Quarantine),
    ];
    const LEVELS: &[(&str, Option<LogLevel>)] = &[
        ("off", None),
        ("error", Some(LogLevel::Error)),
        ("warn", Some(LogLevel::Warn)),
        ("info", Some(LogLevel::Info)),
        ("debug", Some(LogLevel::Debug)),
        ("trace", Some(LogLevel::Trace)),
    ];
    let plugin = r.required("plugin", kind::name, "add plugin = \"...\", its file's name without .wasm");
    let plugin = plugin.unwrap_or_default();
    let policy = if dead_letter { OnFailure::DeadLetter } else { OnFailure::Hold };
    let kept = r.table("state", state);
    let stage = Stage {
        name: r.get("name", kind::name).unwrap_or_else(|| plugin.clone()),
        plugin,
        limits: limits(r, kept.max_value),
        state: kept,
        topics: r.list("topics", kind::topic),
        isolation: r.get("isolation", choice(ISOLATIONS)).unwrap_or(Isolation::Task),
        on_failure: r.get("on-failure", choice(POLICIES)).unwrap_or(policy),
        retry: r.table("retry", retry),
        log: r.get("log", choice(LEVELS)).flatten(),
        capsules: r.get("capsules", kind::count_or_off(0..=1_000)).unwrap_or(0),
        config: r.table("config", |r| r.scalars()).into_iter().collect(),
    };
    check::stage(r, &stage, before, source, dead_letter);
    stage
}

/// They stand among the stage's own keys. `max_value` is the state's.
fn limits(r: &mut Reader<'_>, max_value: u64) -> Limits {
    Limits {
        timeout: r.get("timeout", duration(ms(10)..=s(60))).unwrap_or(s(1)),
        memory: r.get("memory", size(STAGE_MEMORY)).unwrap_or(64 * MIB),
        outputs: r.get("outputs", whole(1..=100_000)).unwrap_or(1_000),
        output_bytes: r.get("output-bytes", size(KIB..=GIB)).unwrap_or(8 * MIB),
        log_lines: r.get("log-lines", whole(0..=100_000)).unwrap_or(100),
        call_memory: r.get("call-memory", size(MIB..=16 * GIB)).unwrap_or((64 * MIB).max(2 * max_value)),
    }
}

fn state(r: &mut Reader<'_>) -> State {
    const BACKENDS: &[(&str, Backend)] =
        &[("memory", Backend::Memory), ("disk", Backend::Disk), ("redis", Backend::Redis)];
    const MISMATCH: &[(&str, OnMismatch)] =
        &[("hold", OnMismatch::Hold), ("keep", OnMismatch::Keep), ("reset", OnMismatch::Reset)];
    let backend = r.get("backend", choice(BACKENDS)).unwrap_or(Backend::Memory);
    let changelog = r.get("changelog", boolean).unwrap_or(false);
    let max_bytes = r.get("max-bytes", size(KIB..=1_024 * GIB));
    let max_value = r.get("max-value", size(1..=GIB));
    let state = State {
        backend,
        changelog,
        max_bytes: max_bytes.unwrap_or(max_value.unwrap_or(0).max(256 * MIB)),
        max_value: max_value.unwrap_or(MIB.min(max_bytes.unwrap_or(MIB))),
        hot_bytes: r.get("hot-bytes", size(64 * KIB..=16 * GIB)).unwrap_or(8 * MIB),
        replication_factor: r.get("replication-factor", whole(1..=32_767)),
        standby: r.get("standby", whole(0..=16)).unwrap_or(0),
        on_mismatch: r.get("on-mismatch", choice(MISMATCH)).unwrap_or_default(),
    };
    check::state(r, &state);
    state
}

fn retry(r: &mut Reader<'_>) -> Retry {
    let attempts = r.get("attempts", whole(0..=1_000)).unwrap_or(5);
    let given = (r.get("backoff", duration(ms(1)..=HOUR)), r.get("max-backoff", duration(ms(1)..=HOUR)));
    // A default gives way to what is written beside it.
    let (backoff, max_backoff) = match given {
        (Some(backoff), Some(max)) => (backoff, max),
        (Some(backoff), None) => (backoff, backoff.max(s(10))),
        (None, Some(max)) => (max.min(ms(100)), max),
        (None, None) => (ms(100), s(10)),
    };
    let retry = Retry { attempts, backoff, max_backoff };
    check::retry(r, &retry);
    retry
}
