//! `cargo xtask container-test`: the image and docker-compose.yml, as a user meets them.
//!
//! With a Docker engine that answers, the public images are used. Without
//! one, on Debian as root, the test installs docker.io, docker-compose and
//! debootstrap with apt-get, runs an engine of its own whose data are in
//! `gregor-containers` in the folder for temporary files, and builds
//! stand-ins for the public images there (see `xtask/container`). The folder
//! stays, and with it the layers of all images, so that a second run builds only
//! what has changed; `--fresh` starts anew.
//!
//! Beside what comes out, it shows what people do with the containers: a plugin in
//! Python within a limit of memory, a version dropped into the mounted folder,
//! `docker stop`, a second host, and one again. It takes what `cargo xtask languages`
//! takes for Python.

mod check;
mod daily;
mod engine;
mod python;
mod stand_ins;

use std::fs;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use engine::{Engine, INSTALL};

const HEALTHY_WITHIN: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub struct Args {
    /// Forget the images that an earlier run built with an engine of its own
    #[arg(long)]
    fresh: bool,
}

/// Builds the image, starts the services, checks them, and takes them down.
///
/// # Errors
/// When something cannot be installed, built or started, or a check fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let engine = match Engine::of_this_machine()? {
        Some(engine) => engine,
        None => {
            let engine = Engine::own(args.fresh)?;
            stand_ins::build(&engine)?;
            engine
        }
    };
    eprintln!("\n== image");
    command::run(engine.build().args(["--tag=gregor", "."]), INSTALL)?;

    let services = Services::up(&engine)?;
    let outcome = check::all(&engine).and_then(|()| python::check(&engine)).and_then(|()| daily::all(&engine));
    if outcome.is_err() {
        let _ = command::run(&mut engine.compose(["logs", "--tail=60"]), INSTALL);
    }
    let down = services.down();
    outcome?;
    down?;
    println!("the containers do what a user expects of them");
    Ok(ExitCode::SUCCESS)
}

/// What docker-compose.yml starts, in a project of the test's own: taken down,
/// with its data, when this is dropped.
struct Services<'a> {
    engine: &'a Engine,
    up: bool,
}

impl<'a> Services<'a> {
    fn up(engine: &'a Engine) -> Result<Services<'a>> {
        eprintln!("\n== services");
        let services = Services { engine, up: true };
        // The plugins of an earlier image would stay, as a user's own do.
        let plugins = engine::plugins();
        if plugins.exists() {
            fs::remove_dir_all(&plugins)?;
        }
        fs::create_dir_all(&plugins)?;
        // What an interrupted run has left would be counted as this one's.
        services.remove()?;
        command::run(&mut engine.compose(["up", "--detach", "--no-build"]), INSTALL)?;
        services.wait_until_healthy()?;
        Ok(services)
    }

    fn wait_until_healthy(&self) -> Result<()> {
        for service in ["kafka", "redis", "gregor"] {
            let since = Instant::now();
            loop {
                let health = self.engine.inspect(service, "{{.State.Health.Status}}")?;
                if health == "healthy" {
                    eprintln!("{service} is healthy");
                    break;
                }
                if since.elapsed() > HEALTHY_WITHIN {
                    let mut logs = self.engine.compose(["logs", "--tail=60", service]);
                    command::run(&mut logs, INSTALL)?;
                    bail!("{service} is {health}, not healthy, after {} s", HEALTHY_WITHIN.as_secs());
                }
                sleep(Duration::from_millis(500));
            }
        }
        Ok(())
    }

    /// Stops the host as a user would, then removes everything.
    fn down(mut self) -> Result<()> {
        eprintln!("\n== down");
        command::run(&mut self.engine.compose(["stop", "gregor"]), INSTALL)?;
        let code = self.engine.inspect("gregor", "{{.State.ExitCode}}")?;
        self.up = false;
        self.remove()?;
        ensure!(code == "0", "the host ended with exit code {code} when it was stopped");
        Ok(())
    }

    fn remove(&self) -> Result<()> {
        let mut down = self.engine.compose(["down", "--volumes", "--remove-orphans"]);
        command::run(&mut down, INSTALL).context("the services could not be removed")
    }
}

impl Drop for Services<'_> {
    fn drop(&mut self) {
        if self.up
            && let Err(error) = self.remove()
        {
            eprintln!("error: {error:#}");
        }
    }
}
