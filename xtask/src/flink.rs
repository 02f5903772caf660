//! `cargo xtask flink`: the Flink job of `examples/flink`.
//!
//! Flink's jars and the Kafka connector come from Maven Central, as the
//! example's pom names them, into `target/flink/libs-<version>`; the job is
//! compiled into `target/flink/classes` when its sources have changed. Maven
//! keeps its own copy under `~/.m2`; nothing is installed elsewhere.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, ExitCode};
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::command;

const POM: &str = include_str!("../../examples/flink/pom.xml");

const MAVEN: &str = "Flink's jars are downloaded, and the job is compiled, with Maven and a JDK \
    (Debian: `apt-get install maven openjdk-17-jdk-headless`; macOS: `brew install maven openjdk@17`)";

const JAVA: &str = "Flink needs a Java runtime, version 17 or newer \
    (Debian: `apt-get install openjdk-17-jre-headless`; macOS: `brew install openjdk@17`)";

/// The job that `examples/flink` compares plugins with.
#[derive(Subcommand)]
pub enum Command {
    /// Run the job in this process's place; its options are in examples/flink/README.md
    #[command(disable_help_flag = true)]
    Run(Passed),
    /// Download and compile what is missing, and print the job's class path
    Classpath,
}

#[derive(Args)]
pub struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    args: Vec<String>,
}

/// Runs one `cargo xtask flink` command.
///
/// # Errors
/// When Java or Maven is missing, the download fails, or the job does not compile.
pub fn run(command: &Command) -> Result<ExitCode> {
    let classpath = classpath()?;
    match command {
        Command::Classpath => println!("{}", classpath.display()),
        Command::Run(passed) => {
            let mut java = Program::new("java");
            java.args(["-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"]);
            java.arg(classpath).arg("gregor.flink.Locations").args(&passed.args);
            command::run(&mut java, JAVA)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Of the compiled job and of all that it needs.
///
/// Two processes may ask together: one downloads and compiles, the other waits.
fn classpath() -> Result<OsString> {
    let flink = crate::root().join("target/flink");
    fs::create_dir_all(&flink).with_context(|| format!("cannot create {}", flink.display()))?;
    let lock = File::create(flink.join("lock"))?;
    lock.lock().context("cannot lock target/flink/lock")?;
    let libs = fetch(&flink)?;
    compile(&flink)?;
    Ok(std::env::join_paths([flink.join("classes"), libs.join("*")])?)
}

fn fetch(flink: &Path) -> Result<PathBuf> {
    let libs = flink.join(format!("libs-{}", version()));
    if libs.is_dir() {
        return Ok(libs);
    }
    eprintln!("Downloading Flink {} from Maven Central (98 MB, once) into {}", version(), libs.display());
    // Renamed once complete, so that an interrupted download is never used.
    let partial = flink.join("libs.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let mut maven = maven();
    maven
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", partial.display()));
    command::run(&mut maven, MAVEN).context("Flink's jars could not be downloaded")?;
    fs::rename(&partial, &libs)?;
    Ok(libs)
}

fn compile(flink: &Path) -> Result<()> {
    let built = flink.join("built");
    let since = built.metadata().and_then(|built| built.modified()).ok();
    let changed = newest(&example())?;
    if since.is_some_and(|since| since > changed) {
        return Ok(());
    }
    command::run(maven().arg("compile"), MAVEN).context("the job of examples/flink could not be compiled")?;
    File::create(built)?;
    Ok(())
}

fn maven() -> Program {
    let mut maven = Program::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(example().join("pom.xml"));
    // What it prints is not the class path that someone reads from here.
    maven.stdout(std::io::stderr());
    maven
}

fn example() -> PathBuf {
    crate::root().join("examples/flink")
}

/// When the last of the files in `folder` was changed.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let changed =
            if entry.file_type()?.is_dir() { self::newest(&entry.path())? } else { entry.metadata()?.modified()? };
        newest = newest.max(changed);
    }
    Ok(newest)
}

/// Flink's version, as the pom names it.
fn version() -> &'static str {
    POM.split_once("<flink.version>")
        .and_then(|(_, rest)| rest.split_once('<'))
        .map_or("unknown", |(version, _)| version)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_pom_names_the_version() {
        let parts: Vec<_> = super::version().split('.').map(str::parse::<u32>).collect();
        assert!(parts.len() == 3 && parts.iter().all(Result::is_ok), "{parts:?}");
    }
}
