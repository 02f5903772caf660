//! What a user does once the services are up.

use std::collections::BTreeMap;
use std::fs::{self, File};

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
    let enriched = consume(engine)?;
    let expected = fs::read_to_string(crate::root().join(EXAMPLE).join("expected.jsonl"))?;
    ensure!(
        are_as(&by_key(&enriched)?, &by_key(&expected)?),
        "the enriched records are not those of {EXAMPLE}/expected.jsonl:\n{enriched}"
    );
    eprintln!("{} enriched records are as expected", enriched.lines().count());
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
    let records = File::open(crate::root().join(EXAMPLE).join("locations.jsonl"))?;
    let mut producer = kafka(engine, "console-producer");
    producer
        .args(["--topic", "locations"])
        .args(["--reader-property", "parse.key=true", "--reader-property", "key.separator=:"])
        .stdin(records);
    command::run(&mut producer, INSTALL)
}

/// As many `key:value` lines as there are records in the example.
fn consume(engine: &Engine) -> Result<String> {
    let records = fs::read_to_string(crate::root().join(EXAMPLE).join("locations.jsonl"))?;
    let count = records.lines().count().to_string();
    let mut consumer = kafka(engine, "console-consumer");
    consumer
        .args(["--topic", "locations-enriched", "--from-beginning"])
        .args(["--max-messages", &count, "--timeout-ms", "60000"])
        .args(["--formatter-property", "print.key=true", "--formatter-property", "key.separator=:"]);
    output(&mut consumer)
}

/// One of Kafka's tools in the broker's own container.
fn kafka(engine: &Engine, tool: &str) -> std::process::Command {
    let tool = format!("/opt/kafka/bin/kafka-{tool}.sh");
    let mut command = engine.compose(["exec", "-T", "kafka", &tool]);
    command.args(BOOTSTRAP);
    command
}

/// Only the order within a key is promised.
fn by_key(lines: &str) -> Result<ByKey> {
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
