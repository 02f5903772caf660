//! What a user does once the services are up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::engine::{Engine, INSTALL, output};
use crate::command;

const BOOTSTRAP: [&str; 2] = ["--bootstrap-server", "kafka:9092"];
const EXAMPLE: &str = "examples/locations";

/// The enriched records of each key, in order.
type ByKey = BTreeMap<String, Vec<Value>>;

/// Looks at the topics, produces the example's records, and compares what comes out.
///
/// # Errors
/// At the first thing that is not as a user expects it.
pub fn all(engine: &Engine) -> Result<()> {
    eprintln!("\n== checks");
    topics(engine)?;
    user(engine)?;
    produce(engine)?;
    let count = example_comes_out(engine, "locations-enriched")?;
    eprintln!("{count} enriched records are as expected");
    let health = engine.inspect("gregor", "{{.State.Health.Status}}")?;
    ensure!(health == "healthy", "the host is {health} after its work");
    Ok(())
}

fn topics(engine: &Engine) -> Result<()> {
    for topic in ["locations", "locations-enriched", "locations-dead-letter"] {
        let mut describe = kafka(engine, "topics");
        describe.args(["--describe", "--topic", topic]);
        let described = output(&mut describe)?;
        ensure!(described.contains("PartitionCount: 6"), "the topic {topic} has not 6 partitions:\n{described}");
    }
    eprintln!("three topics with 6 partitions each");
    Ok(())
}

fn user(engine: &Engine) -> Result<()> {
    let user = output(&mut engine.compose(["exec", "-T", "gregor", "id", "-u"]))?;
    ensure!(user == "10001", "the host runs as user {user}");
    Ok(())
}

fn produce(engine: &Engine) -> Result<()> {
    command::run(&mut producer(engine, &crate::root().join(EXAMPLE).join("locations.jsonl"))?, INSTALL)
}

/// Kafka's producer, to be given the `key:value` lines of a file.
///
/// # Errors
/// When the file cannot be opened.
pub fn producer(engine: &Engine, records: &Path) -> Result<Command> {
    let mut producer = kafka(engine, "console-producer");
    producer
        .args(["--topic", "locations"])
        .args(["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"])
        .stdin(File::open(records)?);
    Ok(producer)
}

/// Reads as many records of `topic` as the example has; how many.
///
/// # Errors
/// When they are not those that come out of the example's.
pub fn example_comes_out(engine: &Engine, topic: &str) -> Result<usize> {
    let read = |file: &str| fs::read_to_string(crate::root().join(EXAMPLE).join(file));
    let count = read("locations.jsonl")?.lines().count();
    let enriched = consume(engine, topic, count)?;
    ensure!(
        are_as(&by_key(&enriched)?, &by_key(&read("expected.jsonl")?)?),
        "the records of {topic} are not those of {EXAMPLE}/expected.jsonl:\n{enriched}"
    );
    Ok(count)
}

/// So many `key:value` lines from the beginning of a topic.
///
/// # Errors
/// When Kafka's consumer fails.
pub fn consume(engine: &Engine, topic: &str, count: usize) -> Result<String> {
    let mut consumer = kafka(engine, "console-consumer");
    consumer
        .args(["--topic", topic, "--from-beginning"])
        .args(["--max-messages", &count.to_string(), "--timeout-ms", "60000"])
        .args(["--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"]);
    output(&mut consumer)
}

/// One of Kafka's tools in the broker's own container.
pub fn kafka(engine: &Engine, tool: &str) -> Command {
    let tool = format!("/opt/kafka/bin/kafka-{tool}.sh");
    let mut command = engine.compose(["exec", "-T", "kafka", &tool]);
    command.args(BOOTSTRAP);
    command
}

/// Only the order within a key is promised.
pub fn by_key(lines: &str) -> Result<ByKey> {
    let mut by_key = ByKey::new();
    for line in lines.lines() {
        let (key, value) = line.split_once(':').with_context(|| format!("a line without a key: {line}"))?;
        let value = serde_json::from_str(value).with_context(|| format!("a value that is not JSON: {line}"))?;
        by_key.entry(key.to_owned()).or_default().push(value);
    }
    Ok(by_key)
}

/// Whether the records are those expected; a `ts` of null expects any.
fn are_as(found: &ByKey, expected: &ByKey) -> bool {
    let as_expected = |(found, expected): (&Value, &Value)| {
        let mut found = found.clone();
        if expected["ts"].is_null() && found["ts"].is_u64() {
            found["ts"] = Value::Null;
        }
        found == *expected
    };
    found.keys().eq(expected.keys())
        && found.iter().zip(expected).all(|((_, found), (_, expected))| {
            found.len() == expected.len() && found.iter().zip(expected).all(as_expected)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(found: &str, expected: &str) -> Result<bool> {
        Ok(are_as(&by_key(found)?, &by_key(expected)?))
    }

    #[test]
    fn only_the_order_within_a_key_counts() -> Result<()> {
        let expected = "a:{\"n\":1,\"ts\":1}\nb:{\"n\":1,\"ts\":1}\na:{\"n\":2,\"ts\":1}\n";
        assert!(same("b:{\"n\":1,\"ts\":1}\na:{\"n\":1,\"ts\":1}\na:{\"n\":2,\"ts\":1}", expected)?);
        assert!(!same("b:{\"n\":1,\"ts\":1}\na:{\"n\":2,\"ts\":1}\na:{\"n\":1,\"ts\":1}", expected)?);
        assert!(!same("b:{\"n\":1,\"ts\":1}\na:{\"n\":1,\"ts\":1}", expected)?);
        assert!(!same("a:{\"n\":1,\"ts\":1}\na:{\"n\":2,\"ts\":1}", expected)?);
        Ok(())
    }

    #[test]
    fn a_time_that_depends_on_the_run_is_any_time() -> Result<()> {
        assert!(same("a:{\"ts\":17}", "a:{\"ts\":null}")?);
        assert!(!same("a:{\"ts\":\"17\"}", "a:{\"ts\":null}")?);
        assert!(!same("a:{\"ts\":17}", "a:{\"ts\":18}")?);
        Ok(())
    }
}
