//! The command line: one file for each subcommand.
#![warn(clippy::print_stderr)]

// Before the others, which use its macro.
#[macro_use]
mod output;

mod api;
mod bars;
mod brokers;
mod config;
mod dead_letter;
mod demo;
mod log;
mod offsets;
mod pause;
mod plugin;
mod run;
mod state;
mod status;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::config::{Config, ConfigErrors};
use crate::files::private;
use crate::host::HostError;
use crate::kafka;
use crate::plugin::compiler;
use log::LogFormat;

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
    /// Look at the state of a stage, carry it elsewhere, or say what becomes of it
    #[command(subcommand)]
    State(state::StateCommand),
    /// Show where the group is in a pipeline's source, or move it
    #[command(subcommand)]
    Offsets(offsets::OffsetsCommand),
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
  gregor offsets show locations
  gregor dead-letter list locations
  gregor status

Exit codes: 0 done; 1 it could not go on; 2 usage or configuration; 3 Kafka is
not reachable or a topic is missing; 4 a plugin is missing or refused; 6 a bounded run
that held partitions keep from its end.";

/// Where the configuration is.
#[derive(clap::Args)]
struct ConfigArgs {
    /// The configuration file; `GREGOR__SECTION__KEY` variables override it
    #[arg(long, short, env = "GREGOR_CONFIG", default_value = CONFIG, value_parser = config_file(), value_name = "FILE")]
    config: PathBuf,
}

/// Where the configuration is looked for.
const CONFIG: &str = "gregor.toml";

/// The path of a configuration; an empty variable is as good as none.
fn config_file() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(|path| if path.is_empty() { PathBuf::from(CONFIG) } else { PathBuf::from(path) })
}

impl ConfigArgs {
    fn load(&self) -> Result<Config, ConfigErrors> {
        load(&self.config)
    }
}

/// The configuration with this environment, its warnings unsaid.
fn read(path: &Path) -> Result<Config, ConfigErrors> {
    Config::load_with(path, std::env::vars_os(), &kafka::check_property)
}

fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let config = read(path)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// Runs the command that this process was called with.
pub fn main() -> ExitCode {
    output::ended(|| match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(told) => {
            // Help, the version, or what is wrong with the arguments.
            let code = ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2));
            match told.print().and_then(|()| std::io::stdout().flush()) {
                Err(error) if !told.use_stderr() => output::unwritten(&error.to_string()),
                Ok(()) | Err(_) => code,
            }
        }
    })
}

/// Runs a command; its errors become one line each and an exit code.
fn run(cli: Cli) -> ExitCode {
    if let Command::Compile(args) = &cli.command {
        return plugin::compile(args);
    }
    keep_to_itself(&cli.command);
    let default = match cli.command {
        // Each failure is told by the command itself; what a plugin prints is its author's.
        Command::Plugin(plugin::PluginCommand::Test(_) | plugin::PluginCommand::Try(_)) => "off,gregor::guest=info",
        Command::Demo(_)
        | Command::State(_)
        | Command::Offsets(_)
        | Command::DeadLetter(_)
        | Command::Plugin(_)
        | Command::Pause(_)
        | Command::Resume(_) => "warn,librdkafka=error",
        _ => "info,librdkafka=warn",
    };
    let filter = cli.log.as_deref().filter(|filter| !filter.trim().is_empty());
    if let Err(error) = log::start(filter.unwrap_or(default), cli.log_format) {
        complain!("error: --log (GREGOR_LOG): {error}");
        return ExitCode::from(2);
    }
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Plugin(command) => plugin::run(command),
        Command::State(command) => Ok(state::run(command)),
        Command::Offsets(command) => Ok(offsets::run(command)),
        Command::DeadLetter(command) => Ok(dead_letter::run(command)),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Status(args) => status::run(args),
        Command::Compile(args) => Ok(plugin::compile(&args)),
    };
    outcome.unwrap_or_else(|error| {
        complain!("error: {error:#}");
        let code = error.downcast_ref::<HostError>().map(HostError::exit_code);
        let config = error.downcast_ref::<ConfigErrors>().map(|_| 2);
        ExitCode::from(code.or(config).unwrap_or(1))
    })
}

/// Keeps other processes, of this user too, from this one's memory and
/// environment, which hold tokens and passwords, and other users from the files
/// of those commands that write what records hold. Projects of plugins keep the
/// user's own umask.
fn keep_to_itself(command: &Command) {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        complain!("warning: other processes of this user can read this one's environment: {error}");
    }
    if matches!(command, Command::Run(_) | Command::Demo(_) | Command::State(_) | Command::DeadLetter(_)) {
        private::by_default();
    }
}
