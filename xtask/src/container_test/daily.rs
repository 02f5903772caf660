//! What people do with the containers once they run: a new version, a stop, a second
//! host. Records are produced all the time, and each of them comes out.

use std::fmt::Write as _;
use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::check::{by_key, consume, kafka, producer};
use super::engine::{self, Engine, INSTALL, output};
use crate::command;

const PARTITIONS: u64 = 6;
/// Records that are produced beside each thing that people do.
const RECORDS: usize = 20_000;
/// For whatever has to happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// Does one thing after another.
///
/// # Errors
/// At the first thing that is not as a user expects it, and when a record is lost.
pub fn all(engine: &Engine) -> Result<()> {
    let mut records = Records { produced: 0 };
    eprintln!("\n== a new version in the mounted folder");
    records.beside(engine, || new_version(engine))?;
    eprintln!("\n== docker stop");
    records.beside(engine, || stop_and_start(engine))?;
    eprintln!("\n== a second host");
    records.beside(engine, || scale(engine, 2))?;
    eprintln!("\n== one host again");
    records.beside(engine, || scale(engine, 1))?;
    records.all_came_out(engine)
}

/// Records of patients whom nobody else has: each has one.
struct Records {
    produced: usize,
}

impl Records {
    /// Produces records while `happens` does.
    fn beside(&mut self, engine: &Engine, happens: impl FnOnce() -> Result<()>) -> Result<()> {
        let file = engine::files().join("records");
        let mut lines = String::new();
        for number in self.produced..self.produced + RECORDS {
            let patient = patient(number);
            writeln!(lines, r#"{patient}:{{"patientId": "{patient}", "lat": 38.7, "lon": -9.1}}"#)?;
        }
        fs::write(&file, lines)?;
        let mut producer = producer(engine, &file)?;
        let producing = producer.spawn().map_err(|error| command::not_started(&producer, INSTALL, error))?;
        let happened = happens();
        ended(producing)?;
        happened?;
        self.produced += RECORDS;
        Ok(())
    }

    /// Waits until the sink holds as many records as must come out, and looks for each.
    fn all_came_out(&self, engine: &Engine) -> Result<()> {
        let topic = "locations-enriched";
        let before = fs::read_to_string(crate::root().join("examples/locations/locations.jsonl"))?.lines().count();
        let wanted = before + self.produced;
        let mut held = 0;
        until("every record comes out", || {
            let mut offsets = kafka(engine, "get-offsets");
            held = sum_of_offsets(&output(offsets.args(["--topic", topic]))?)?;
            Ok(held >= wanted)
        })
        .with_context(|| format!("{held} of {wanted} records are there"))?;
        let keys = by_key(&consume(engine, topic, held)?)?;
        let lost = (0..self.produced).filter(|number| !keys.contains_key(&patient(*number))).count();
        ensure!(lost == 0, "{lost} of {} records were lost", self.produced);
        eprintln!("{} records, none of them lost, {} repeated", self.produced, held - wanted);
        Ok(())
    }
}

fn patient(number: usize) -> String {
    format!("daily-{number}")
}

fn ended(mut child: Child) -> Result<()> {
    let status = child.wait()?;
    ensure!(status.success(), "Kafka's producer failed: {status}");
    Ok(())
}

/// Of lines `topic:partition:offset`.
fn sum_of_offsets(text: &str) -> Result<usize> {
    let offset = |line: &str| line.rsplit(':').next().and_then(|offset| offset.trim().parse::<usize>().ok());
    text.lines().map(|line| offset(line).with_context(|| format!("no offset: {line}"))).sum()
}

/// A version dropped into the mounted folder runs without a restart.
fn new_version(engine: &Engine) -> Result<()> {
    let container = only(engine)?;
    let (before, started) = (digest(engine, &container)?, started(engine, &container)?);
    let file = engine::plugins().join("last-location.wasm");
    let mut component = fs::read(&file)?;
    // Another version of the same code: a custom section, its length and its name.
    component.extend([0, 2, 1, b'x']);
    fs::write(file.with_extension("new"), component)?;
    fs::rename(file.with_extension("new"), &file)?;
    until("the new version runs", || Ok(digest(engine, &container)? != before))?;
    ensure!(self::started(engine, &container)? == started, "the container was restarted for a new version");
    Ok(())
}

fn stop_and_start(engine: &Engine) -> Result<()> {
    let container = only(engine)?;
    let before = processed(engine, &container)?;
    until("records flow", || Ok(processed(engine, &container)? > before))?;
    command::run(&mut engine.docker(["stop", &container]), INSTALL)?;
    let code = engine.inspect_container(&container, "{{.State.ExitCode}}")?;
    ensure!(code == "0", "the host ended with exit code {code} when it was stopped");
    command::run(&mut engine.docker(["start", &container]), INSTALL)?;
    spread(engine, 1)
}

/// As many hosts as asked for, each with its share of the partitions.
fn scale(engine: &Engine, hosts: usize) -> Result<()> {
    let scale = format!("gregor={hosts}");
    let words = ["up", "--detach", "--no-build", "--no-recreate", "--no-deps", "--scale", &scale, "gregor"];
    command::run(&mut engine.compose(words), INSTALL)?;
    spread(engine, hosts)
}

/// Waits until so many hosts are healthy and share all partitions.
fn spread(engine: &Engine, hosts: usize) -> Result<()> {
    until(&format!("{hosts} hosts share the partitions"), || {
        let containers = engine.containers("gregor")?;
        let mut shares = Vec::new();
        for container in &containers {
            let health = engine.inspect_container(container, "{{.State.Health.Status}}")?;
            // One that starts answers nothing yet.
            let share = match health.as_str() {
                "healthy" => status(engine, container)?["partitions"].as_array().map_or(0, Vec::len),
                _ => 0,
            };
            shares.push(share as u64);
        }
        Ok(shares.len() == hosts && shares.iter().all(|share| *share > 0) && shares.iter().sum::<u64>() == PARTITIONS)
    })
}

fn only(engine: &Engine) -> Result<String> {
    match &engine.containers("gregor")?[..] {
        [container] => Ok(container.clone()),
        others => bail!("there are {} containers of the host, not one", others.len()),
    }
}

/// What `gregor status --json` says in a container.
fn status(engine: &Engine, container: &str) -> Result<Value> {
    let status = output(&mut engine.docker(["exec", container, "gregor", "status", "--json"]))?;
    serde_json::from_str(&status).context("`gregor status --json` is no JSON")
}

fn digest(engine: &Engine, container: &str) -> Result<String> {
    let digest = status(engine, container)?["plugins"][0]["digest"].as_str().map(str::to_owned);
    digest.context("the host names no version of its plugin")
}

/// Records that a host has processed, of all its partitions.
fn processed(engine: &Engine, container: &str) -> Result<i64> {
    let status = status(engine, container)?;
    let partitions = status["partitions"].as_array().context("the host names no partitions")?;
    Ok(partitions.iter().filter_map(|partition| partition["position"].as_i64()).sum())
}

fn started(engine: &Engine, container: &str) -> Result<String> {
    engine.inspect_container(container, "{{.State.StartedAt}}")
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let since = Instant::now();
    while !holds()? {
        ensure!(since.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        sleep(Duration::from_millis(300));
    }
    eprintln!("{what}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_of_all_partitions_are_summed() -> Result<()> {
        assert_eq!(sum_of_offsets("a:b:0:7\na:b:1:30\n")?, 37);
        assert!(sum_of_offsets("a:0:\n").is_err());
        Ok(())
    }
}
