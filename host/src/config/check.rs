//! Contradictions between keys, and what this version cannot do yet.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::read::Reader;
use super::{Backend, Config, Delivery, Guarantee, OnFailure, Pipeline, Redis, Retry, Stage, State};

/// Bytes of the brokers' default `offset.metadata.max.bytes` that versions of
/// plugins may take; the rest is for what else stands there.
const MAX_VERSIONS: usize = 4_000;
/// Bytes of one version in it, besides the plugin's name: a digest, how often
/// one came back, what stands between.
const VERSION_BYTES: usize = 72;

/// Half of the time after which brokers abort a transaction.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(5);

pub(super) fn delivery(reader: &mut Reader<'_>, delivery: &Delivery) {
    if delivery.guarantee == Guarantee::ExactlyOnce && delivery.commit_interval > LONGEST_TRANSACTION {
        reader.refuse(
            "commit-interval",
            "is more than 5s, and under exactly-once brokers abort a transaction after 10s",
            "write 5s or less",
        );
    }
}

/// Hosts tell each other by the client ids of their members.
pub(super) fn standby(reader: &mut Reader<'_>, config: &Config) {
    let copies = config.pipelines.iter().flat_map(|pipeline| &pipeline.stages).any(|stage| stage.state.standby > 0);
    if copies && config.kafka.get("client.id").is_some() {
        reader.refuse(
            "kafka.client.id",
            "is set, and `standby` needs the one that tells hosts apart",
            "leave it out, or the stages' `standby`",
        );
    }
    if copies && config.kafka.consumer_protocol() {
        reader.refuse(
            "kafka.group.protocol",
            "is consumer, and the client library cannot ask such a group who owns what, which `standby` needs",
            "write classic, or leave out the stages' `standby`",
        );
    }
}

/// The committed offset of a partition names the version of each plugin that
/// its records go through, in the metadata that brokers take.
pub(super) fn versions(reader: &mut Reader<'_>, pipelines: &[Pipeline]) {
    for source in pipelines.iter().map(|pipeline| &pipeline.source).collect::<BTreeSet<_>>() {
        let of_source = pipelines.iter().filter(|pipeline| pipeline.source == *source);
        let plugins: BTreeSet<_> = of_source.flat_map(|pipeline| &pipeline.stages).map(|stage| &stage.plugin).collect();
        let bytes: usize = plugins.iter().map(|plugin| plugin.len() + VERSION_BYTES).sum();
        if bytes > MAX_VERSIONS {
            reader.refuse(
                "pipeline",
                format!(
                    "has {} plugins on source {source}, and their versions are more than an offset's metadata takes",
                    plugins.len()
                ),
                "run fewer plugins on it, or shorten their names",
            );
        }
    }
}

pub(super) fn state(reader: &mut Reader<'_>, state: &State) {
    if state.max_value > state.backend.max_value() {
        reader.refuse("max-value", "is more than Redis takes", "write 512MiB or less");
    }
    if state.backend.is_shared() && state.changelog {
        reader.refuse(
            "changelog",
            "is on, and Redis outlives this host without one",
            "write false, or another backend",
        );
    }
    if state.replication_factor.is_some() && !state.changelog {
        reader.refuse(
            "replication-factor",
            "is for a changelog, which is off",
            "leave it out, or write changelog = true",
        );
    }
    if state.standby > 0 && !state.changelog {
        reader.refuse(
            "standby",
            "asks for copies on other hosts, which they make from the changelog, and that is off",
            "leave it out, or write changelog = true",
        );
    }
    if state.max_value > state.max_bytes {
        reader.refuse(
            "max-value",
            "is more than max-bytes, so such a value never fits",
            "lower it, or raise max-bytes",
        );
    }
}

/// Whoever reaches the admin server can replace plugins and read state.
pub(super) fn admin(reader: &mut Reader<'_>, address: Option<SocketAddr>, insecure: bool) {
    let Some(address) = address.filter(|address| !address.ip().is_loopback()) else {
        return;
    };
    if !reader.has("admin-token") {
        reader.refuse(
            "admin-token",
            format!("is missing, and {address} can be reached from other machines"),
            "set a token, best by GREGOR__HOST__ADMIN_TOKEN, or listen at 127.0.0.1",
        );
    }
    if !insecure {
        reader.refuse(
            "admin",
            format!("{address} can be reached from other machines, and TLS is not built in this version"),
            "listen at 127.0.0.1, or write insecure = true where the network is trusted",
        );
    }
}

/// A file that the host is told to read, or a folder of such, at its full `path`.
pub(super) fn file(reader: &mut Reader<'_>, key: &str, path: &Path) {
    // Opened only where that cannot wait, as on a FIFO.
    let readable = fs::metadata(path).and_then(|found| match found.is_file() || found.is_dir() {
        true => File::open(path).map(drop),
        false => Err(io::Error::other("it is neither a file nor a folder")),
    });
    if let Err(error) = readable {
        reader.refuse(
            key,
            format!("names {}, which cannot be read: {error}", path.display()),
            "correct the path, which is relative to the configuration's folder, or let the host's user read it",
        );
    }
}

pub(super) fn certificates(reader: &mut Reader<'_>, redis: &Redis) {
    let Some(ca) = &redis.ca else { return };
    if redis.url.expose().starts_with("rediss://") {
        return file(reader, "ca", ca);
    }
    reader.refuse("ca", "is of no use without TLS", "begin `url` with rediss://, or leave `ca` out");
}

/// Reads the root table: a stage that keeps its entries in Redis needs one.
pub(super) fn redis(reader: &mut Reader<'_>, pipelines: &[Pipeline]) {
    let stages = pipelines.iter().flat_map(|pipeline| pipeline.stages.iter().map(move |stage| (pipeline, stage)));
    let mut in_redis = stages.filter(|(_, stage)| stage.state.backend == Backend::Redis);
    if let (Some((pipeline, stage)), false) = (in_redis.next(), reader.has("redis")) {
        reader.refuse(
            "redis",
            format!("is missing, and stage {:?} of pipeline {:?} keeps its state there", stage.name, pipeline.name),
            "add [redis] with url = \"redis://host:6379/0\", or set GREGOR__REDIS__URL",
        );
    }
}

/// `before` holds the pipelines above this one.
pub(super) fn pipeline(reader: &mut Reader<'_>, pipeline: &Pipeline, before: &[Pipeline]) {
    let name = &pipeline.name;
    if !name.is_empty() && before.iter().any(|other| other.name == *name) {
        reader.refuse(
            "name",
            format!("a pipeline above is called {name:?} too"),
            "give each pipeline a name of its own",
        );
    }
    parked_survive(reader, &pipeline.stages);
    let source = &pipeline.source;
    for (key, topic) in [("sink", &pipeline.sink), ("dead-letter", &pipeline.dead_letter)] {
        if topic.as_ref().is_some_and(|topic| topic == source) {
            reader.refuse(
                key,
                format!("is the source {source:?}, which the pipeline would then read back for ever"),
                "name another topic",
            );
        }
    }
    // They share one consumer group, so one committed offset a partition.
    let shared = before.iter().find(|other| other.source == *source && other.start != pipeline.start);
    if let Some(other) = shared.filter(|_| !source.is_empty()) {
        reader.refuse(
            "start",
            format!("pipeline {:?} reads {source:?} from another start", other.name),
            "give both the same `start`: pipelines on one source share its offsets",
        );
    }
}

/// A parked record that is lost with its host is a lost record: nothing else has it.
fn parked_survive(reader: &mut Reader<'_>, stages: &[Stage]) {
    let quarantines = stages.iter().find(|stage| stage.on_failure == OnFailure::Quarantine);
    if let (Some(stage), Some(first)) = (quarantines, stages.first())
        && !first.state.changelog
        && !first.state.backend.is_shared()
    {
        reader.refuse(
            "stage",
            format!(
                "{:?} has on-failure = \"quarantine\", and what is parked is kept in the state of the first stage, \
                 {:?}, which is lost with its host",
                stage.name, first.name
            ),
            format!(
                "write state = {{ changelog = true }} or state = {{ backend = \"redis\" }} in stage {:?}",
                first.name
            ),
        );
    }
}

/// `before` holds the stages above this one.
pub(super) fn stage(reader: &mut Reader<'_>, stage: &Stage, before: &[Stage], source: &str, dead_letter: bool) {
    let name = &stage.name;
    if !name.is_empty() && before.iter().any(|other| other.name == *name) {
        reader.refuse("name", format!("a stage above is called {name:?} too"), "give this stage a `name` of its own");
    }
    if !source.is_empty() && stage.topics.iter().any(|topic| topic == source) {
        reader.refuse(
            "topics",
            format!("{source:?} is the source, which the pipeline would then read back for ever"),
            "leave it out",
        );
    }
    if stage.on_failure == OnFailure::DeadLetter && !dead_letter {
        reader.refuse(
            "on-failure",
            "\"dead-letter\" needs a topic, and the pipeline names none",
            "add `dead-letter = \"topic\"` to the pipeline, or write \"hold\" or \"skip\"",
        );
    }
}

pub(super) fn retry(reader: &mut Reader<'_>, retry: &Retry) {
    if retry.backoff > retry.max_backoff {
        reader.refuse("backoff", "is more than max-backoff", "lower it, or raise max-backoff");
    }
}
