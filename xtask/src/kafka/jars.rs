//! Kafka's jars: downloaded once, then used from `target/kafka/libs-<version>`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

const POM: &str = include_str!("../../kafka/pom.xml");

const MAVEN: &str = "Kafka's jars are downloaded with Maven \
    (Debian: `apt-get install maven`; macOS: `brew install maven`)";

/// Kafka's version, as the pom names it.
pub fn version() -> &'static str {
    POM.split_once("<kafka.version>")
        .and_then(|(_, rest)| rest.split_once('<'))
        .map_or("unknown", |(version, _)| version)
}

/// The folder of the jars, downloaded first where they are missing.
///
/// Two processes may call this together: one downloads, the other waits.
///
/// # Errors
/// When Maven is missing or the download fails.
pub fn fetch() -> Result<PathBuf> {
    let kafka = super::folder();
    let libs = kafka.join(format!("libs-{}", version()));
    if libs.is_dir() {
        return Ok(libs);
    }
    fs::create_dir_all(&kafka).with_context(|| format!("cannot create {}", kafka.display()))?;
    let lock = File::create(kafka.join("libs.lock"))?;
    lock.lock().context("cannot lock target/kafka/libs.lock")?;
    if libs.is_dir() {
        return Ok(libs);
    }

    eprintln!("Downloading Kafka {} from Maven Central (55 MB, once) into {}", version(), libs.display());
    // Renamed once complete, so that an interrupted download is never used.
    let partial = kafka.join("libs.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let mut maven = Command::new("mvn");
    maven
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(crate::root().join("xtask/kafka/pom.xml"))
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", partial.display()));
    command::run(&mut maven, MAVEN).context("Kafka's jars could not be downloaded")?;
    fs::rename(&partial, &libs)?;
    Ok(libs)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_pom_names_the_version() {
        let parts: Vec<_> = super::version().split('.').map(str::parse::<u32>).collect();
        assert!(parts.len() == 3 && parts.iter().all(Result::is_ok), "{parts:?}");
    }
}
