//! A plugin in Python in a container with a limit of memory, as a user gives it one.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::check;
use super::engine::{self, Engine, INSTALL};
use crate::command;
use crate::languages;

/// Bytes that the container may use: the compilation of the component takes most of them.
const LIMIT: u64 = 1 << 30;
const HEALTHY_WITHIN: Duration = Duration::from_secs(600);
const SINK: &str = "locations-python";

/// Runs a second host beside the first one, on the same records.
///
/// # Errors
/// When its records are not those of the plugin in Rust, or memory ran out.
pub fn check(engine: &Engine) -> Result<()> {
    eprintln!("\n== a plugin in Python within {} MiB", LIMIT >> 20);
    fs::copy(languages::python("last-location")?, engine::plugins().join("python-location.wasm"))?;
    let (config, services) = (engine::files().join("python.toml"), engine::files().join("python.yml"));
    fs::write(&config, CONFIG)?;
    let limit = LIMIT.to_string();
    fs::write(&services, SERVICE.replace("CONFIG", &config.display().to_string()).replace("LIMIT", &limit))?;
    let mut create = check::kafka(engine, "topics");
    create.args(["--create", "--topic", SINK, "--partitions", "6"]);
    command::run(&mut create, INSTALL)?;

    let up = ["up", "--detach", "--no-build", "--no-deps", "python"];
    command::run(&mut engine.compose_with(&[&services], up), INSTALL)?;
    let outcome = healthy(engine, &services).and_then(|()| check::example_comes_out(engine, SINK));
    if outcome.is_err() {
        let _ = command::run(&mut engine.compose_with(&[&services], ["logs", "--tail=60", "python"]), INSTALL);
    }
    let killed = inspect(engine, &services, "{{.State.OOMKilled}}")?;
    command::run(&mut engine.compose_with(&[&services], ["rm", "--stop", "--force", "-v", "python"]), INSTALL)?;
    ensure!(killed == "false", "the plugin in Python took more than {} MiB", LIMIT >> 20);
    eprintln!("{} records are as those of the plugin in Rust", outcome?);
    Ok(())
}

fn healthy(engine: &Engine, services: &Path) -> Result<()> {
    let since = Instant::now();
    loop {
        let health = inspect(engine, services, "{{.State.Health.Status}}")?;
        if health == "healthy" {
            return Ok(());
        }
        let late = since.elapsed() > HEALTHY_WITHIN;
        ensure!(!late, "the host is {health}, not healthy, after {} s", HEALTHY_WITHIN.as_secs());
        sleep(Duration::from_secs(1));
    }
}

fn inspect(engine: &Engine, services: &Path, format: &str) -> Result<String> {
    let id = engine::output(&mut engine.compose_with(&[services], ["ps", "--all", "--quiet", "python"]))?;
    engine.inspect_container(&id, format)
}

/// The first records of the topic are the example's.
const CONFIG: &str = r#"app = "python-locations"

[kafka]
"bootstrap.servers" = "kafka:9092"

[host]
workers = 1
data-dir = "/var/lib/gregor"

[plugins]
dir = "/plugins"

[[pipeline]]
name = "locations"
source = "locations"
sink = "locations-python"

  [[pipeline.stage]]
  plugin = "python-location"
"#;

const SERVICE: &str = r#"services:
  python:
    image: gregor
    read_only: true
    tmpfs:
      - /tmp
    mem_limit: LIMIT
    memswap_limit: LIMIT
    volumes:
      - CONFIG:/etc/gregor/gregor.toml:ro
      - ${GREGOR_PLUGINS:-./plugins}:/plugins:ro
      - /var/lib/gregor
"#;
