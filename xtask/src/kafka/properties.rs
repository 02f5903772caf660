//! The broker's `server.properties`.

use std::path::Path;

/// What every broker here shares: internal topics that one broker can hold,
/// topics only on request, and a group and an election that take no longer than
/// a test can wait.
const FIXED: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("inter.broker.listener.name", "PLAINTEXT"),
    ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
    ("controller.quorum.election.timeout.ms", "200"),
    ("controller.quorum.election.backoff.max.ms", "200"),
    ("auto.create.topics.enable", "false"),
    ("num.partitions", "6"),
    ("default.replication.factor", "1"),
    ("min.insync.replicas", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
    ("offsets.topic.replication.factor", "1"),
    ("offsets.topic.num.partitions", "8"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("transaction.state.log.num.partitions", "8"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    ("share.coordinator.state.topic.num.partitions", "4"),
    ("log.retention.ms", "-1"),
    ("log.segment.bytes", "268435456"),
    ("log.cleaner.dedupe.buffer.size", "33554432"),
    ("log.cleaner.backoff.ms", "1000"),
];

/// The text of `server.properties` for a broker on 127.0.0.1. A property in
/// `set` (`name=value`) replaces the one above.
pub fn text(port: u16, controller_port: u16, data: &Path, set: &[String]) -> String {
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}");
    let own = [
        ("listeners", listeners.clone()),
        ("advertised.listeners", listeners),
        // A voter named here, not in the data: the folder can be served from another port later.
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller_port}")),
        ("log.dirs", escaped(&data.join("log").to_string_lossy())),
    ];
    let fixed = FIXED.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let mut text = String::new();
    // Of two lines with one name, Java's parser keeps the last.
    for (name, value) in fixed.chain(own) {
        text.push_str(&format!("{name}={value}\n"));
    }
    for line in set {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// A backslash begins an escape in a properties file.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value)
            .next_back()
    }

    #[test]
    fn the_broker_listens_on_loopback_only() {
        let text = text(9092, 9093, Path::new("/data"), &[]);
        let listeners = Some("PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093");
        assert_eq!(value(&text, "listeners"), listeners);
        assert_eq!(value(&text, "advertised.listeners"), listeners);
        assert_eq!(value(&text, "controller.quorum.voters"), Some("1@127.0.0.1:9093"));
        assert_eq!(value(&text, "log.dirs"), Some("/data/log"));
    }

    #[test]
    fn topics_are_never_made_by_accident() {
        let text = text(1, 2, Path::new("d"), &[]);
        assert_eq!(value(&text, "auto.create.topics.enable"), Some("false"));
        assert_eq!(value(&text, "num.partitions"), Some("6"));
    }

    #[test]
    fn a_property_that_is_set_replaces_the_usual_one() {
        let text = text(1, 2, Path::new("d"), &["num.partitions=8".to_owned()]);
        assert_eq!(value(&text, "num.partitions"), Some("8"));
    }
}
