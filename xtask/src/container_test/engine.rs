//! The Docker engine: this machine's, or one of the test's own.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::process::{self, Signal};

pub const INSTALL: &str = "install Docker and its compose plugin";

/// Apart from a project that the user runs from the same file.
const PROJECT: &str = "gregor-container-test";
const READY_WITHIN: Duration = Duration::from_secs(60);

pub struct Engine {
    own: Option<Own>,
    /// `docker compose`, or the older `docker-compose`.
    compose: &'static [&'static str],
}

/// An engine that ends with this process.
struct Own {
    dockerd: Child,
    folder: PathBuf,
    /// Keeps a second run out of the folder.
    _lock: File,
}

impl Engine {
    /// The engine that answers already, if one does.
    ///
    /// # Errors
    /// When it does but compose is missing.
    pub fn of_this_machine() -> Result<Option<Engine>> {
        if !succeeds(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"])) {
            return Ok(None);
        }
        let compose = compose().with_context(|| format!("compose is missing: {INSTALL}"))?;
        Ok(Some(Engine { own: None, compose }))
    }

    /// Installs an engine where there is none, and starts it on a folder of the test's own.
    ///
    /// # Errors
    /// Elsewhere than on Debian as root, or when it does not install or start.
    pub fn own(fresh: bool) -> Result<Engine> {
        install()?;
        let folder = env::temp_dir().join("gregor-containers");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.with_extension("lock"))?;
        lock.lock()?;
        if fresh {
            fs::remove_dir_all(&folder)?;
            fs::create_dir(&folder)?;
        }
        wait_until_gone(&folder.join("pid"));
        eprintln!("Starting a Docker engine of the test's own on {}", folder.display());
        let log = File::create(folder.join("dockerd.log"))?;
        let mut dockerd = process::tied("dockerd", Signal::Term);
        dockerd
            .arg("--iptables=false")
            .arg(format!("--host=unix://{}", socket(&folder)))
            .arg(format!("--data-root={}", folder.join("data").display()))
            .arg(format!("--exec-root={}", folder.join("exec").display()))
            .arg(format!("--pidfile={}", folder.join("pid").display()))
            .stdout(log.try_clone()?)
            .stderr(log);
        let dockerd = dockerd.spawn().map_err(|error| command::not_started(&dockerd, INSTALL, error))?;
        let compose = compose().context("docker-compose is missing after its installation")?;
        let engine = Engine { own: Some(Own { dockerd, folder, _lock: lock }), compose };
        engine.wait_until_ready()?;
        Ok(engine)
    }

    fn wait_until_ready(&self) -> Result<()> {
        let since = Instant::now();
        while !succeeds(&mut self.docker(["version"])) {
            if since.elapsed() > READY_WITHIN {
                let log = self.folder()?.join("dockerd.log");
                bail!("dockerd does not answer within {} s:\n{}", READY_WITHIN.as_secs(), fs::read_to_string(log)?);
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Where an engine of the test's own keeps its files.
    ///
    /// # Errors
    /// When the engine is this machine's.
    pub fn folder(&self) -> Result<&Path> {
        let own = self.own.as_ref().context("this machine's engine keeps its own folder")?;
        Ok(&own.folder)
    }

    /// `docker <words>` in the workspace's root.
    pub fn docker<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut docker = Command::new("docker");
        docker.args(words);
        self.prepared(docker)
    }

    /// `docker build`, to be told what.
    pub fn build(&self) -> Command {
        let mut build = self.docker(["build"]);
        if self.own.is_some() {
            // The host's network: without iptables there is no other way out.
            build.arg("--network=host");
        }
        build
    }

    /// `docker compose <words>` on the workspace's docker-compose.yml.
    pub fn compose<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        self.compose_with(&[], words)
    }

    /// As [`Engine::compose`], with further files of services.
    pub fn compose_with<'a>(&self, files: &[&Path], words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut compose = Command::new(self.compose[0]);
        compose
            .args(&self.compose[1..])
            .args(["--project-name", PROJECT, "--file", "docker-compose.yml"])
            .args(files.iter().flat_map(|file| [Path::new("--file"), *file]))
            .args(words)
            .env("GREGOR_PLUGINS", plugins());
        self.prepared(compose)
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(crate::root());
        if let Some(own) = &self.own {
            command.env("DOCKER_HOST", format!("unix://{}", socket(&own.folder)));
            // BuildKit is a plugin of its own that Debian's packages lack.
            command.env("DOCKER_BUILDKIT", "0");
        }
        command
    }

    /// What `docker inspect` says of a service's one container.
    ///
    /// # Errors
    /// When the service has none, or several.
    pub fn inspect(&self, service: &str, format: &str) -> Result<String> {
        match &self.containers(service)?[..] {
            [id] => self.inspect_container(id, format),
            others => bail!("the service {service} has {} containers", others.len()),
        }
    }

    /// What `docker inspect` says of a container.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn inspect_container(&self, id: &str, format: &str) -> Result<String> {
        output(&mut self.docker(["inspect", "--format", format, id]))
    }

    /// The ids of a service's containers, stopped ones too.
    ///
    /// # Errors
    /// When compose fails.
    pub fn containers(&self, service: &str) -> Result<Vec<String>> {
        let ids = output(&mut self.compose(["ps", "--all", "--quiet", service]))?;
        Ok(ids.split_whitespace().map(str::to_owned).collect())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // At the pipe's end it is asked to stop, and stops its containers first.
        drop(self.dockerd.stdin.take());
        let _ = self.dockerd.wait();
    }
}

/// What a command prints, trimmed; its errors go where ours go.
///
/// # Errors
/// When it cannot be started or fails.
pub fn output(command: &mut Command) -> Result<String> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| command::not_started(command, INSTALL, error))?;
    let mut text = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut text)?;
    let status = child.wait()?;
    ensure!(status.success(), "`{}` failed: {status}\n{text}", command::shown(command));
    Ok(text.trim().to_owned())
}

/// Waits for the engine of a run that was interrupted, which stops its
/// containers before it ends.
fn wait_until_gone(pid: &Path) {
    let since = Instant::now();
    while since.elapsed() < READY_WITHIN {
        let pid = fs::read_to_string(pid).ok().and_then(|pid| pid.trim().parse().ok());
        let line = pid.and_then(process::command_line);
        if !line.is_some_and(|line| line.contains("dockerd")) {
            return;
        }
        sleep(Duration::from_millis(200));
    }
}

/// The plugins' folder of the test's project: a developer's own stays as it is.
pub fn plugins() -> PathBuf {
    files().join("plugins")
}

/// What the test gives to containers.
pub fn files() -> PathBuf {
    crate::root().join("target/container-test")
}

fn socket(folder: &Path) -> String {
    folder.join("docker.sock").display().to_string()
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn compose() -> Option<&'static [&'static str]> {
    [&["docker", "compose"][..], &["docker-compose"]]
        .into_iter()
        .find(|words| succeeds(Command::new(words[0]).args(&words[1..]).arg("version")))
}

/// Installs what an engine of our own takes, where it is missing.
fn install() -> Result<()> {
    let packages = [("docker.io", "dockerd"), ("docker-compose", "docker-compose"), ("debootstrap", "debootstrap")];
    let missing: Vec<_> = packages
        .into_iter()
        .filter(|(_, program)| Command::new(program).arg("--version").output().is_err())
        .map(|(package, _)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let root = output(Command::new("id").arg("-u"))? == "0";
    ensure!(
        root && Path::new("/etc/debian_version").exists(),
        "no Docker engine answers: start one (one can be installed for this test only on Debian, \
         as root)"
    );
    eprintln!("Installing {} with apt-get", missing.join(", "));
    command::run(Command::new("apt-get").args(["update", "--quiet"]), INSTALL)?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet"]).args(missing).env("DEBIAN_FRONTEND", "noninteractive");
    command::run(&mut apt, INSTALL)
}
