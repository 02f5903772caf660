//! Contradictions between keys, and what this version cannot do yet.

use std::net::SocketAddr;

use super::read::Reader;
use super::{Backend, Guarantee, OnFailure, Pipeline, Retry, Stage, State};

pub(super) fn guarantee(reader: &mut Reader<'_>, guarantee: Guarantee) {
    if guarantee == Guarantee::ExactlyOnce {
        reader.refuse(
            "guarantee",
            "exactly-once is not built in this version",
            "write \"at-least-once\": no record is lost, and after a crash some outputs repeat",
        );
    }
}

pub(super) fn trusted_keys(reader: &mut Reader<'_>, keys: &[String]) {
    if !keys.is_empty() {
        reader.refuse(
            "trusted-keys",
            "signatures are not checked in this version, so no plugin could be trusted by them",
            "write [], and let only the people you trust write to plugins.dir",
        );
    }
}

pub(super) fn state(reader: &mut Reader<'_>, state: &State) {
    if state.backend != Backend::Memory {
        reader.refuse(
            "backend",
            "only memory is built in this version",
            "write \"memory\"; the cache is then empty after a restart",
        );
    }
    if state.changelog {
        reader.refuse(
            "changelog",
            "changelog topics are not built in this version",
            "write false; the cache is then empty after a restart",
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
