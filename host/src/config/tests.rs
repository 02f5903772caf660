//! One test for each promise that the configuration makes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

mod contradictions;
mod documents;
mod files;
mod overrides;
mod redis;
mod refusals;
mod risks;
mod secrets;

/// The file of the design, with every section in it.
const EXAMPLE: &str = include_str!("tests/gregor.toml");

/// The least that is a configuration.
const LEAST: &str = r#"app = "a"
[kafka]
"bootstrap.servers" = "b:9092"
[[pipeline]]
name = "p"
source = "in"
[[pipeline.stage]]
plugin = "s"
"#;

/// Stands for librdkafka, which knows its own properties.
fn librdkafka(key: &str, value: &str) -> Result<(), String> {
    match key {
        "no.such.property" => Err(format!("no such property: {key:?}")),
        "linger.ms" | "sasl.password" if value == "soon" => Err(format!("invalid value {value:?} for {key:?}")),
        _ => Ok(()),
    }
}

fn parse_with(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    Config::parse(text, "gregor.toml", Path::new("/etc/gregor"), env, &librdkafka)
}

/// As [`parse_with`], for a file in `dir`.
fn parse_in(dir: &Path, text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, "gregor.toml", dir, [], &librdkafka)
}

#[track_caller]
fn accepted(text: &str, env: &[(&str, &str)]) -> Config {
    parse_with(text, env).unwrap_or_else(|errors| panic!("refused:\n{errors}"))
}

#[track_caller]
fn refused(text: &str, env: &[(&str, &str)]) -> String {
    match parse_with(text, env) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// The one problem of a text that differs from [`LEAST`].
#[track_caller]
fn problem(text: &str) -> String {
    one_line(refused(text, &[]))
}

#[track_caller]
fn one_line(errors: String) -> String {
    let line = errors.strip_suffix("\n1 problem in the configuration");
    line.unwrap_or_else(|| panic!("not one problem:\n{errors}")).to_owned()
}

/// [`LEAST`] with lines added to its stage, which start at line 9.
fn with_stage(lines: &str) -> String {
    format!("{LEAST}{lines}\n")
}

/// [`LEAST`] with lines added to its pipeline, which start at line 7.
fn with_pipeline(lines: &str) -> String {
    LEAST.replace("source = \"in\"\n", &format!("source = \"in\"\n{lines}\n"))
}

/// [`LEAST`] with lines added to `[kafka]`, which start at line 4.
fn with_kafka(lines: &str) -> String {
    LEAST.replace("\"b:9092\"\n", &format!("\"b:9092\"\n{lines}\n"))
}

/// [`LEAST`] with a table before its pipeline, at line 4.
fn with_table(lines: &str) -> String {
    with_kafka(lines)
}
