//! The command line: one file for each subcommand.

mod api;
mod bars;
mod brokers;
mod config;
mod dead_letter;
mod demo;
mod pause;
mod plugin;
mod run;
mod state;
mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, ConfigErrors};
use crate::error::HostError;
use crate::plugin::compiler;
use crate::worker;

/// WebAssembly plugins over Kafka records: sandboxed, in order, swapped without stopping.
#[derive(Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What the host logs, to standard error: a level, or levels by target, with commas
    /// [default: info,librdkafka=warn; for the demo, plugin and state warn,librdkafka=error]
    #[arg(long, global = true, env = "GREGOR_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Show it all on this machine, with nothing else running
    Demo(demo::DemoArgs),
    /// Process records as the configuration says, until stopped
    Run(run::RunArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Write, build, test, sign and deploy plugins, and bring earlier versions back
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Look at the state of a stage, or carry it from one place to another
    #[command(subcommand)]
    State(state::StateCommand),
    /// Look at records that failed for good, or put them through their pipeline again
    #[command(subcommand)]
    DeadLetter(dead_letter::DeadLetterCommand),
    /// Pause a pipeline's partitions on a running host, until they are resumed
    Pause(pause::PauseArgs),
    /// Let a pipeline's paused partitions flow again on a running host
    Resume(pause::ResumeArgs),
    /// Show a running host's partitions and plugins
    Status(status::StatusArgs),
    /// What a host runs to compile a plugin apart from itself
    #[command(hide = true, name = compiler::SUBCOMMAND)]
    Compile(plugin::CompileArgs),
}

const EXAMPLES: &str = "\
Examples:
  gregor demo                              no broker needed: an in-process one
  gregor run --config gregor.toml
  gregor run --bounded                     up to the end offsets found at start
  gregor config check --config gregor.toml
  gregor plugin new mine --lang rust
  gregor plugin test mine                  built, and records put through it
  gregor plugin check plugins/mine.wasm
  gregor plugin deploy plugins/mine.wasm
  gregor plugin rollback mine
  gregor state get locations last-location 123
  gregor dead-letter list locations
  gregor status

Exit codes: 0 done; 1 it could not go on; 2 usage or configuration; 3 Kafka is
not reachable or a topic is missing; 4 a plugin is missing or refused; 6 a bounded run
that held partitions keep from its end.";

/// Where the configuration is.
#[derive(clap::Args)]
struct ConfigArgs {
    /// The configuration file; `GREGOR__SECTION__KEY` variables override it
    #[arg(long, short, env = "GREGOR_CONFIG", default_value = "gregor.toml", value_name = "FILE")]
    config: PathBuf,
}

impl ConfigArgs {
    fn load(&self) -> Result<Config, ConfigErrors> {
        load(&self.config)
    }
}

fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(path, env, &worker::check_property)
}

/// As shells report a program that SIGPIPE ended.
const READER_GONE: i32 = 141;

/// Runs a command; its errors become one line each and an exit code.
pub fn run(cli: Cli) -> ExitCode {
    if let Command::Compile(args) = &cli.command {
        return plugin::compile(args);
    }
    let default = match cli.command {
        // Each failure is told by the command itself; what a plugin prints is its author's.
        Command::Plugin(plugin::PluginCommand::Test(_)) => "off,gregor::guest=info",
        Command::Demo(_)
        | Command::State(_)
        | Command::DeadLetter(_)
        | Command::Plugin(_)
        | Command::Pause(_)
        | Command::Resume(_) => "warn,librdkafka=error",
        _ => "info,librdkafka=warn",
    };
    end_where_nobody_reads();
    if let Err(error) = start_log(cli.log.as_deref().unwrap_or(default), cli.log_format) {
        eprintln!("error: --log: {error}");
        return ExitCode::from(2);
    }
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Plugin(command) => plugin::run(command),
        Command::State(command) => Ok(state::run(command)),
        Command::DeadLetter(command) => Ok(dead_letter::run(command)),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Status(args) => status::run(args),
        Command::Compile(args) => Ok(plugin::compile(&args)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        let code = error.downcast_ref::<HostError>().map(HostError::exit_code);
        let config = error.downcast_ref::<ConfigErrors>().map(|_| 2);
        ExitCode::from(code.or(config).unwrap_or(1))
    })
}

/// Whoever reads the output may have seen enough, as `head` has: no reason for a
/// panic, which is what the standard library makes of it.
fn end_where_nobody_reads() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(READER_GONE);
        }
        tell(panic);
    }));
}

fn start_log(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let targets: Targets = filter.parse()?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| bars::Lines)
        // It would tell on standard error that standard error takes nothing, and
        // end the thread when that fails as well: on a full disk, or a closed pipe.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // For all of it, not for this layer: a line that follows one that is filtered by a layer may get lost.
    let log = tracing_subscriber::registry().with(targets);
    match format {
        LogFormat::Text => log.with(lines).init(),
        LogFormat::Json => log.with(lines.json()).init(),
    }
    Ok(())
}
